"""A layered network to be trained, from arrays of inputs and outputs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpcda.errors import DataWarning, InputError, Mistake
from hpcda.face.checks import number, of_kind, pair, shown
from hpcda.face.options import Ladder, Range, Solver
from hpcda.formatting import counted, run_lengths

if TYPE_CHECKING:
    from hpcda.build.network import BuiltNetwork
    from hpcda.job import NetworkJob


class NetworkProblem:
    """Pairs of input and output, and the layers that are to map the one to the other.

    It is frozen: to change something, make another, or `replace` it.

    Args:
        inputs: Inputs of all pairs, shape (pairs, n) or, of one input, (pairs,); or name -> values of shape
            (pairs,), as in a dict or a pandas DataFrame.
        outputs: What was measured at the last layer, likewise; NaN where nothing was.
        noise_std: Standard deviation of the Gaussian noise of the outputs: one number, or name -> number.
        labels: In place of `outputs`: the category of each pair, shape (pairs,), words or numbers 0, 1, 2, ….
            The outputs are then as many, and the loss is softmax.
        hidden: Units of every hidden layer.
        activation: Activation of the hidden layers, one that ``hpcda list`` names.
        output_activation: Activation of the last layer.
        residual: Whether a layer as wide as the one before adds to it what it computes.
        loss: The law of the noise of the outputs, "gaussian", or one without a scale, such as "poisson".
        weight_std: Standard deviation of a Gaussian prior of mean 0 on weights and biases; None for none.
        bias_std: That of the biases, infinite for none; by default `weight_std`.
        start: Range in which weights and biases start.
        input_std: Standard deviation of the noise of the inputs, which are then estimated; by default they
            are exact.
        missing_input_std: Standard deviation, about 0, of inputs that are NaN; by default none may be.
        standardize: Whether every input is shifted and scaled to mean 0 and standard deviation 1.
        pairs: How many pairs are trained, drawn from those that are not held back; by default all.
        hold_back: How many pairs are held back to test the network, or, below 1, what part of them.
        seed: Which pairs are held back follows from it.

    Raises:
        InputError: All that is wrong, one sentence each, with the key, the value and the remedy.

    Warns:
        DataWarning: Inputs that are constant over the pairs that are trained.
    """

    def __init__(
        self,
        inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike],
        outputs: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
        noise_std: float | Mapping[str, float] | None = None,
        *,
        labels: npt.ArrayLike | None = None,
        hidden: Sequence[int] = (),
        activation: str = "tanh",
        output_activation: str = "identity",
        residual: bool = False,
        loss: str | Mapping[str, Any] = "gaussian",
        weight_std: float | None = None,
        bias_std: float | None = None,
        start: Range = (-0.1, 0.1),
        input_std: float | None = None,
        missing_input_std: float | None = None,
        standardize: bool = False,
        pairs: int | None = None,
        hold_back: float = 0,
        seed: int = 1,
    ) -> None:
        self._arguments = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        columns = _columns("inputs", inputs, "x")
        data: dict[str, Any] = {"file": columns, "inputs": list(columns)}
        if (outputs is None) == (labels is None):
            problem = "are missing, as are labels" if outputs is None else "stand beside labels"
            raise InputError(Mistake("outputs", problem, "give exactly one of outputs and labels"))
        if labels is not None:
            data["label"] = _free("label", columns)
            columns[data["label"]] = _labels(labels)
        else:
            measured = _columns("outputs", outputs, "y")
            if twice := sorted(set(measured) & set(columns)):
                problem = f"have {twice[0]!r}, which is an input as well"
                raise InputError(Mistake("outputs", problem, "give every quantity a name of its own"))
            columns |= measured
            data["outputs"] = list(measured)
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            problem = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise InputError(Mistake("inputs and outputs", f"differ in length: {problem}", "a row is a pair"))
        optional = {
            "input_std": input_std, "missing_input_std": missing_input_std, "pairs": pairs,
            "noise_std": _noise(noise_std),
        }  # fmt: skip
        data |= {key: value for key, value in optional.items() if value is not None}
        data |= {
            "loss": loss if isinstance(loss, str) else dict(loss), "standardize": bool(standardize),
            "hold_back": hold_back, "seed": seed,
        }  # fmt: skip
        network: dict[str, Any] = {
            "hidden": list(hidden), "activation": activation, "output_activation": output_activation,
            "residual": bool(residual), "start": pair("start", start, "(-0.1, 0.1)"),
        }  # fmt: skip
        for key, std in (("weight_std", weight_std), ("bias_std", bias_std)):
            if std is not None:
                network[key] = number(key, std, "1.0")
        self._tables = {"network": network, "data": data}
        for doubt in self.built.notes:  # what is wrong is said here
            warnings.warn(doubt, DataWarning, stacklevel=2)

    def replace(self, **changes: Any) -> NetworkProblem:
        """The same problem with other arguments."""
        return NetworkProblem(**{**self._arguments, **changes})

    @property
    def tables(self) -> dict[str, Any]:
        """The tables of a job that say the same, with arrays in place of a file."""
        return dict(self._tables)

    def job(
        self,
        ladder: Ladder | None = None,
        solver: Solver | None = None,
        ensemble: Mapping[str, Any] | None = None,
    ) -> NetworkJob:
        """The job of an ensemble on this problem.

        Args:
            ladder: Finite rungs, for ``way="annealed"`` alone.
            solver: Its elimination, its limit of iterations, and options of PETSc.
            ensemble: The table [ensemble].

        Raises:
            InputError: Options that do not fit.
        """
        from hpcda.job import load_job

        tables = {**self._tables, "ensemble": dict(ensemble or {})}
        if ladder is not None:
            own = of_kind("ladder", ladder, Ladder, "hpcda.Ladder(rf0=1.0, alpha=10.0, rungs=8)")
            tables["ladder"] = {key: own.table[key] for key in ("rf0", "alpha", "rungs")}
        if solver is not None:
            tables["solver"] = _solver(
                of_kind("solver", solver, Solver, 'hpcda.Solver(elimination="krylov")')
            )
        try:
            found: NetworkJob = load_job(tables)  # type: ignore[assignment]
        except InputError as error:
            raise InputError([_in_python(one) for one in error.mistakes]) from None
        return found

    @cached_property
    def built(self) -> BuiltNetwork:
        """The network and its pairs as the action takes them."""
        from hpcda.build import build_network

        try:
            return build_network(self.job())
        except InputError as error:
            raise InputError([_in_python(one) for one in error.mistakes]) from None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, one sentence each."""
        return self.built.notes

    def __repr__(self) -> str:
        network, back = self.built.network, self.built.held_back
        held = "" if back is None else f", {len(back.inputs)} held back"
        return (
            f"<NetworkProblem {run_lengths(network.widths, '-')}: {counted(network.pairs, 'pair')}{held}, "
            f"{network.weights} weights and biases>"
        )


def _in_python(one: Mistake) -> Mistake:
    """A mistake with the argument's name in place of the job's key."""
    place = one.place.removeprefix("data.").removeprefix("network.")
    return Mistake("labels" if place == "label" else place, one.problem, one.remedy)


def _columns(place: str, given: Any, letter: str) -> dict[str, npt.NDArray[Any]]:
    """Columns by name, each of shape (pairs,)."""
    if hasattr(given, "keys") and hasattr(given, "__getitem__"):
        found = {str(key): _numbers(f"{place}[{key!r}]", given[key]) for key in given.keys()}  # noqa: SIM118
    else:
        array = _numbers(place, given)
        matrix = array[:, None] if array.ndim == 1 else array
        if matrix.ndim != 2 or not matrix.size:
            raise InputError(Mistake(place, f"has shape {array.shape}", "give shape (pairs, n)"))
        found = {f"{letter}{k}": matrix[:, k] for k in range(matrix.shape[1])}
    wrong = [key for key, values in found.items() if values.ndim != 1]
    if wrong or not found:
        problem = f"{wrong[0]!r} has shape {found[wrong[0]].shape}" if wrong else "is empty"
        raise InputError(Mistake(place, problem, "give a name for each column, values of shape (pairs,)"))
    return found


def _numbers(place: str, given: Any) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = np.asarray(given)
    if isinstance(given, np.ma.MaskedArray):
        values = np.where(np.ma.getmaskarray(given), np.nan, values.astype(float))  # type: ignore[no-untyped-call]
    if values.dtype.kind not in "iufb":
        remedy = "give numbers, NaN where nothing was measured"
        raise InputError(Mistake(place, f"{shown(given)} is no array of numbers", remedy))
    return values


def _labels(given: Any) -> npt.NDArray[Any]:
    """Categories, words or numbers, shape (pairs,)."""
    values = np.asarray(given)
    if values.dtype.kind == "O" and all(isinstance(one, str) for one in values.ravel()):
        values = values.astype(str)
    if values.dtype.kind not in "iufbU" or values.ndim != 1:
        problem = f"is an array of type {values.dtype} and shape {values.shape}"
        raise InputError(Mistake("labels", problem, "give a word or a number 0, 1, 2, … of each pair"))
    return values


def _free(name: str, columns: Mapping[str, Any]) -> str:
    """A name that no column has."""
    while name in columns:
        name += "_"
    return name


def _noise(given: Any) -> Any:
    if given is None or isinstance(given, Mapping):
        return (
            None
            if given is None
            else {str(key): number("noise_std", std, "0.1") for key, std in given.items()}
        )
    return number("noise_std", given, "0.1")


def _solver(solver: Solver) -> dict[str, Any]:
    """The table [solver] of a network's job."""
    idle = [key for key in ("minimizer", "max_seconds") if getattr(solver, key) != getattr(Solver(), key)]
    if idle:
        problem = f"{getattr(solver, idle[0])!r} has no effect on networks, whose descent is hpcda's own"
        raise InputError(Mistake(f"Solver.{idle[0]}", problem, "leave it out"))
    limit = (
        {} if solver.max_iterations == Solver().max_iterations else {"max_iterations": solver.max_iterations}
    )
    return {"elimination": solver.elimination, "petsc": dict(solver.petsc), **limit}
