"""Builds the network that a job describes, and its pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcda.action.activations import ACTIVATIONS
from hpcda.action.exact_network import ExactNetwork
from hpcda.action.factors import DataLoss
from hpcda.action.losses import LOSSES
from hpcda.action.network import Network
from hpcda.annealing.layered import chosen, of_package
from hpcda.annealing.layered.model import ROOM
from hpcda.build.bundled import Pairs
from hpcda.build.pairs import divided, read_pairs, taught
from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted, size_of
from hpcda.job.networks import NetworkJob, PairsTable
from hpcda.job.text import quoted
from hpcda.names import nearest
from hpcda.problem import Array

LIFT = "identity"
"""Activation of the layer that goes before a field of more units than there are inputs."""
DEAD = 1.0
"""A teacher whose outputs spread by less than this part of the noise tells nothing of its inputs."""


@dataclass(frozen=True)
class BuiltNetwork:
    """The network of a job, with its pairs.

    Attributes:
        network: The network and its training pairs, inputs standardized by `shift` and `scale`.
        activations: Name of the activation of every layer after the input.
        loss: Name of the loss of outputs, and its options.
        pairs: The training pairs as given.
        held_back: The held-out pairs as given; None if there are none.
        shift: Subtracted from each input, shape (inputs,).
        scale: Each input is then divided by it, shape (inputs,).
        teacher: Weights of the network that made the pairs; None if unknown.
        notes: Warnings for the user, one sentence each.
    """

    network: Network
    activations: tuple[str, ...]
    loss: tuple[str, dict[str, float]]
    pairs: Pairs
    held_back: Pairs | None
    shift: Array
    scale: Array
    teacher: Array | None
    notes: tuple[str, ...]


def build_network(job: NetworkJob) -> BuiltNetwork:
    """Read the pairs of a job, or let its teacher make them.

    Raises:
        InputError: All mistakes in the job and its data.
    """
    table, teacher, spread = job.network, None, None
    _refuse_mixed(job)
    if job.twin is not None:
        hidden = table.hidden if job.twin.hidden is None else job.twin.hidden
        widths = (job.twin.inputs, *hidden, job.twin.outputs)
        functions = [ACTIVATIONS[name].function for name in _activations(job, len(widths) - 1)]
        trained, back, teacher, spread = taught(job.twin, widths, functions, table.residual)
        loss, standardize = ("gaussian", dict[str, float]()), False
        noise: float | Array | None = job.twin.noise_std
        input_std, missing_std = job.twin.input_std, None
    else:
        assert job.data is not None
        whole = read_pairs(job.data, job.path, job.given.arrays)
        trained, back = divided(whole, job.data.hold_back, job.data.pairs, job.data.seed)
        loss, noise, standardize = _loss(job.data, trained), _noise(job.data, trained), job.data.standardize
        input_std, missing_std = job.data.input_std, job.data.missing_input_std
    shift, scale = _scales(trained.inputs, standardize)
    ends = trained.inputs.shape[1], trained.outputs.shape[1]
    continuum = None if table.continuum is None else table.continuum.built
    widths = (ends[0], *table.hidden, ends[1])
    if continuum is not None:
        widths = continuum.widths(ends[0], table.hidden[0], ends[1])
    names = _activations(job, len(widths) - 1)
    if continuum is not None and continuum.lift(widths):
        names = (LIFT, *names[1:])
    network = Network(
        widths,
        [ACTIVATIONS[name].function for name in names],
        (trained.inputs - shift) / scale,
        trained.outputs,
        DataLoss(LOSSES[loss[0]], loss[1]) if noise is None else noise,
        input_std=input_std,
        weight_std=table.weight_std,
        start=table.start,
        residual=table.residual,
        missing_std=missing_std or 1.0,
        bias_std=table.bias_std,
        continuum=continuum,
    )
    _refuse_undetermined(network)
    _refuse_large(network, job.solver.elimination)
    notes = [*_constant_inputs(trained, standardize), *_dead_teacher(spread, noise)]
    return BuiltNetwork(network, names, loss, trained, back, shift, scale, teacher, tuple(notes))


def _activations(job: NetworkJob, layers: int) -> tuple[str, ...]:
    return (*(job.network.activation,) * (layers - 1), job.network.output_activation)


def _loss(table: PairsTable, pairs: Pairs) -> tuple[str, dict[str, float]]:
    """Name of the loss, and its options; refused where the outputs cannot be data of it."""
    name, options = ("softmax", dict[str, float]()) if pairs.labels is not None else table.kind
    if name == "gaussian":
        return name, options
    loss = LOSSES[name]
    unknown = sorted(set(options) - set(loss.options))
    if unknown:
        known = ", ".join(loss.options) or "none"
        problem, remedy = f"{unknown[0]!r} is not an option of {name!r}", f"its options: {known}"
        raise InputError(Mistake("data.loss", problem, remedy))
    y = pairs.outputs
    wrong = np.isfinite(y) & ~np.broadcast_to(loss.accepts(y), y.shape)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        problem = f"{y[row, column]:g} of {pairs.output_names[column]}, pair {pairs.numbers[row]}, is not"
        raise InputError(Mistake("data.loss", problem, f"{name!r} asks for {loss.possible}"))
    return name, options


def _noise(table: PairsTable, pairs: Pairs) -> float | Array | None:
    """The standard deviation of Gaussian outputs: one, or one of each, shape (outputs,)."""
    if not isinstance(table.noise_std, dict):
        return table.noise_std
    names, given = pairs.output_names, table.noise_std
    mistakes = [
        Mistake(f"data.noise_std.{quoted(key)}", "is not an output", nearest(key, list(names)))
        for key in given
        if key not in names
    ]
    missing = [name for name in names if name not in given]
    if missing:
        problem = f"gives no noise for {missing[0]}"
        mistakes.append(Mistake("data.noise_std", problem, f"give one value for each of {', '.join(names)}"))
    if mistakes:
        raise InputError(mistakes)
    return np.array([given[name] for name in names])


def _scales(inputs: Array, standardize: bool) -> tuple[Array, Array]:
    """What is subtracted from each input, and what it is then divided by."""
    width = inputs.shape[1]
    if not standardize:
        return np.zeros(width), np.ones(width)
    spread = np.nanstd(inputs, axis=0)
    return np.nanmean(inputs, axis=0), np.where(spread > 0.0, spread, 1.0)


def _refuse_mixed(job: NetworkJob) -> None:
    """Refuse what cannot be had of layers that integrate a field."""
    if job.network.continuum is None:
        return
    mistakes = []
    if job.solver.elimination == "data":
        problem = "'data' is not available with [network.continuum], whose weights are coupled over time"
        mistakes.append(Mistake("solver.elimination", problem, 'use "states", "krylov" or "auto"'))
    if job.twin is not None and job.twin.hidden is None:
        problem = "is missing, and the teacher has layers, not a field"
        remedy = "give the units of its hidden layers, such as [6, 6]"
        mistakes.append(Mistake("twin.hidden", problem, remedy))
    if mistakes:
        raise InputError(mistakes)


def _refuse_undetermined(network: Network) -> None:
    data, free = int(np.isfinite(network.outputs).sum()), network.weights - network.prior_terms
    if free > data:
        problem = (
            f"has {counted(free, 'weight and bias', 'weights and biases')}, but there are "
            f"{counted(data, 'output value')}, and no prior"
        )
        remedy = "give weight_std, fewer units, or more pairs"
        raise InputError(Mistake("network", problem, remedy))


def _refuse_large(network: Network, elimination: str) -> None:
    cost = chosen(ExactNetwork(network), of_package(elimination)).cost
    if not cost.fits:
        problem = f"would take {size_of(cost.memory)}, but only {size_of(ROOM)} are available"
        key = "solver.elimination" if elimination != "auto" else "network.hidden"
        raise InputError(Mistake(key, problem, 'give fewer units or pairs, or elimination = "krylov"'))


def _constant_inputs(pairs: Pairs, standardize: bool) -> Sequence[str]:
    if not standardize:
        return ()
    constant = np.nanmax(pairs.inputs, axis=0) == np.nanmin(pairs.inputs, axis=0)
    if not constant.any():
        return ()
    names = [pairs.input_names[k] for k in np.flatnonzero(constant)[:3]]
    shown = ", ".join(names) + (", …" if constant.sum() > 3 else "")
    count = counted(int(constant.sum()), "input is", "inputs are")
    return (f"{count} constant over the training pairs ({shown}).",)


def _dead_teacher(spread: Array | None, noise: float | Array | None) -> Sequence[str]:
    """Whether a teacher's outputs depend on its inputs."""
    if spread is None or not isinstance(noise, float) or spread.max() > DEAD * noise:
        return ()
    return (
        f"The teacher's outputs are nearly constant: they vary by at most {spread.max():.2g} over the "
        "inputs, and "
        f"the noise is {noise:g}. A constant network fits as well: use larger weights or fewer layers.",
    )
