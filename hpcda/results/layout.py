"""Layout of stored results: names, dimensions, units, versions; the same for shards and index.

    /               attributes: schema, version, fingerprint, model, discretization, alpha, seed, …
    /job            the job as resolved, text
    /provenance     attributes: versions, host, date, command, threads, …
    /axes           dimension scales: rung, beta, rf, parameter, unknown, observed, series; units of each
    /reasons        code -> name, sentence, whether it is a minimum, whether a failure
    /extensions     files outside the package whose parts the run may use: name, checksum, text
    /windows        data of all windows, one after the other: dimension point
    /network        of a network alone: widths, activations, loss, prior, field, scales of inputs, teacher
    /sources        file, columns, and line or row of every point, where the data were read from files
    /beyond, /truth held-out data after each window; true states, where they are known
    /ensemble       one row a start (dimension start), per-rung arrays (start, rung); a checksum each
    /paths          kept paths (path, point, unknown), the start and rung each belongs to, a checksum
    /ended          shards: the sketch of every ended start's path, by which minima are told apart;
                    in the index /sketches
    /current        shards only: the newest path of every start at work, to resume from
    /minima         shards only: paths of the lowest minima, where a search needs them

The columns of /ensemble are those of `hpcda.annealing.record`. Arrays have the attributes `units` and
`long_name`, as CF and xarray read them. In the index the arrays of /axes and /ensemble stand in / too:
`xarray.open_dataset("run.h5")`.

A run that trains a network has one window, whose points are the pairs: their inputs are the series, their
outputs the data; a path has one point, whose unknowns are the weights.

Windows lie behind one another along one dimension, `point`, so that a thousand training pairs cost no more
files, datasets or writes than one window; `/windows/window` tells which window a point belongs to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from hpcda.errors import InputError, Mistake
from hpcda.problem import Array, Beyond, Problem, Window
from hpcda.results.network import StoredNetwork
from hpcda.source import Source

SCHEMA = "hpcda-run"
VERSION = 5
RESUMABLE = (4, VERSION)
"""Versions of the layout that a run may go on from. In 4 units and names were attributes `unit` and
`meaning`."""
READABLE = (3, *RESUMABLE)
"""Versions that can be read. In 3 a start's way is a position in /ways."""
SAME_RUN = 4
"""Version since which files of the same run have the same fingerprint."""


class Truth(Protocol):
    """True states of one window, and beyond: times `t`, shape (M,), and `states`, shape (M, D)."""

    @property
    def t(self) -> Array: ...  # noqa: D102
    @property
    def states(self) -> Array: ...  # noqa: D102


@dataclass(frozen=True)
class File:
    """A file outside the package that a run depends on.

    Attributes:
        name: As the job names it.
        sha256: Checksum of what it holds.
        text: What it holds.
    """

    name: str
    sha256: str
    text: str


@dataclass(frozen=True, kw_only=True)
class RunLayout:
    """What a run's files hold, known before the first start, whatever the run is about.

    Attributes:
        rf: Rf of every rung, shape (R,).
        beta: β of every rung, shape (R,).
        alpha: Factor of the ladder.
        starts: Number of starts that were asked for, 0 where it was not fixed.
        seed: Seed of the ensemble.
        keep_paths: "final", "all" or "best:K".
        job_toml: The job as resolved.
        provenance: Versions, host, date, command, threads, …
        extensions: Files outside the package that the job names.
        sketch: Numbers that are kept of an ended start's path, by which minima are told apart; 0 for none.
        minima: Whether paths of minima are kept beside those that `keep_paths` names.

    Raises:
        InputError: keep_paths is none of the three.
    """

    rf: Array
    beta: npt.NDArray[np.int64]
    alpha: float
    starts: int
    seed: int
    keep_paths: str
    job_toml: str = ""
    provenance: dict[str, str] = field(default_factory=dict)
    extensions: tuple[File, ...] = ()
    sketch: int = 0
    minima: bool = False

    def __post_init__(self) -> None:
        best_of(self.keep_paths)

    @property
    def size(self) -> int:
        """Numbers of a flat path."""
        raise NotImplementedError

    @property
    def points(self) -> tuple[int, int]:
        """Points of a path, and unknowns of each: the path's head; its tail are parameters."""
        raise NotImplementedError

    @property
    def recorded(self) -> tuple[str, ...]:
        """Names of what is stored of a path at every rung."""
        raise NotImplementedError

    @property
    def words(self) -> list[Any]:
        """What two files of one run must share beside the ladder and the arrays."""
        raise NotImplementedError

    @property
    def arrays(self) -> Iterable[npt.ArrayLike]:
        """Data that two files of one run must share."""
        raise NotImplementedError

    def narrowed(self, rungs: int) -> Self:
        """The same with a ladder of so many rungs."""
        return replace(self, rf=self.rf[:rungs], beta=self.beta[:rungs])

    @property
    def fingerprint(self) -> str:
        """Hash of all that two files of one run must share.

        What is solved, the data, the ladder, the seed, the files of the job; but neither how any of it is
        compiled, nor what else could have been chosen. Whether all else that was chosen is the same is told
        by the job (`hpcda.job.refuse_changed`).
        """
        return _with_ladder(self._common, self.rf, self.beta)

    @property
    def fingerprints(self) -> frozenset[str]:
        """Those of the same run with this ladder, or with its lower rungs alone."""
        common = self._common
        return frozenset(
            _with_ladder(common, self.rf[:rungs], self.beta[:rungs]) for rungs in range(1, len(self.rf) + 1)
        )

    @property
    def _common(self) -> bytes:
        """Hash of what is the same whatever the length of the ladder."""
        digest = hashlib.sha256()
        digest.update(repr(self.words).encode())
        for array in self.arrays:
            digest.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
        return digest.digest()


@dataclass(frozen=True, kw_only=True)
class Layout(RunLayout):
    """What the files of a run hold that assimilates windows of data.

    Attributes:
        problem: The problem that is solved.
        truth: True states, one object a window with `t` and `states`.
        beyond: Data kept back, one a window.
        sources: Where the data of each window were read, None where they were not read from a file.
        equations: Checksum of the equations (`hpcda.action.native.Equations.digest`).
    """

    problem: Problem
    truth: tuple[Truth, ...] | None = None
    beyond: tuple[Beyond, ...] | None = None
    sources: tuple[Source | None, ...] = ()
    equations: str = ""

    @property
    def size(self) -> int:
        """See `RunLayout`."""
        return self.problem.size

    @property
    def points(self) -> tuple[int, int]:
        """See `RunLayout`: the times of all windows, and D + V."""
        layout = self.problem.layout
        return layout.tail.start // layout.block, layout.block

    @property
    def recorded(self) -> tuple[str, ...]:
        """See `RunLayout`: the P estimated parameters that all times share."""
        return parameter_names(self.problem)

    @property
    def words(self) -> list[Any]:
        """See `RunLayout`: the model's equations, the unknowns, the discretization."""
        problem = self.problem
        words = [
            SAME_RUN, problem.model.name, problem.discretization, self.seed, self.keep_paths,
            unknown_names(problem), parameter_names(problem), sorted(problem.observed.items()),
            sorted(problem.fixed.items()), problem.series, self.equations,
            [(file.name, file.sha256) for file in self.extensions],
        ]  # fmt: skip
        if problem.model_error != "per step":
            words.append(problem.model_error)
        if problem.noise:
            words.append(
                [(name, n.loss, sorted(n.options.items()), n.scale) for name, n in problem.noise.items()]
            )
        return words

    @property
    def arrays(self) -> Iterable[npt.ArrayLike]:
        """See `RunLayout`: the windows."""
        for window in self.problem.windows:
            yield from (window.t, window.data, window.noise_std, window.series)


@dataclass(frozen=True, kw_only=True)
class NetworkLayout(RunLayout):
    """What the files of a run hold that trains a network.

    A path is its weights: W(0), b(0), W(1), …, flat; of each W and each b the norm is stored at every rung.

    Attributes:
        network: The network.
        matrices: Shapes of all W that differ.
        prior_terms: Number of Gaussian terms of the prior on weights and biases.
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        pairs: The pairs that are trained: outputs as `data`, inputs as `series`, `t` their numbers in the
            source.
        held_back: Pairs kept back, likewise, None where there are none.
    """

    network: StoredNetwork
    matrices: tuple[tuple[int, int], ...]
    prior_terms: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    pairs: Window
    held_back: Beyond | None

    @property
    def size(self) -> int:
        """See `RunLayout`."""
        return len(self.labels)

    @property
    def points(self) -> tuple[int, int]:
        """See `RunLayout`: one point, whose unknowns are all weights."""
        return 1, self.size

    @property
    def recorded(self) -> tuple[str, ...]:
        """See `RunLayout`: the norms."""
        return tuple(f"|{name}{n}|" for n in range(len(self.matrices)) for name in "Wb")

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Label of every unknown: W0[i,j], b0[i], W1[i,j], …; before them x[pair,i] of noisy inputs."""
        found: list[str] = []
        if self.network.input_std:
            found += [f"x[{int(m)},{i}]" for m in self.pairs.t for i in range(self.network.widths[0])]
        for n, (after, before) in enumerate(self.matrices):
            found += [f"W{n}[{i},{j}]" for i in range(after) for j in range(before)]
            found += [f"b{n}[{i}]" for i in range(after)]
        return tuple(found)

    @property
    def words(self) -> list[Any]:
        """See `RunLayout`: the network."""
        one, (name, options) = self.network, self.network.loss
        field = [] if one.continuum is None else [repr(one.continuum)]
        return [
            SAME_RUN, "network", self.seed, self.keep_paths, one.widths, one.activations, name,
            sorted(options.items()), one.weight_std, one.bias_std, one.start, one.residual,
            one.input_std, one.missing_std, self.inputs, self.outputs,
            [(file.name, file.sha256) for file in self.extensions], *field,
        ]  # fmt: skip

    @property
    def arrays(self) -> Iterable[npt.ArrayLike]:
        """See `RunLayout`: the pairs that are trained."""
        return self.pairs.data, self.pairs.noise_std, self.pairs.series


def _with_ladder(common: bytes, rf: Array, beta: npt.NDArray[np.int64]) -> str:
    digest = hashlib.sha256(common)
    for array in (rf, beta):
        digest.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return digest.hexdigest()


def best_of(keep_paths: str) -> int | None:
    """K of "best:K", None for "final" and "all".

    Raises:
        InputError: It is none of the three.
    """
    if keep_paths in ("final", "all"):
        return None
    word, _, number = keep_paths.partition(":")
    if word == "best" and number.isdecimal() and int(number) > 0:
        return int(number)
    raise InputError(
        Mistake(
            "output.keep_paths", f"{keep_paths!r} is not known", 'write "final", "all" or "best:K" with K ≥ 1'
        )
    )


def unknown_names(problem: Problem) -> tuple[str, ...]:
    """Names of the D + V unknowns of one time: the states, then the parameters that belong to one time."""
    return problem.layout.names


def parameter_names(problem: Problem) -> tuple[str, ...]:
    """Names of the P estimated parameters that all times share."""
    return tuple(constant.label for constant in problem.layout.constants)


def series_names(problem: Problem) -> tuple[str, ...]:
    """Names of the U known time series: the stimuli, then the fixed parameters that the data give."""
    return (*problem.model.stimulus_names, *problem.series)
