"""A finished run that assimilated data, in Python: ``run = hpcda.open_run("run")``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpcda.action import Action
from hpcda.analysis.answer import Answer
from hpcda.analysis.bars import KINDS
from hpcda.analysis.candidate import Band, Separation, separation
from hpcda.analysis.ends import ends_of, rows_of
from hpcda.analysis.laplace import (
    MOST,
    NEGLIGIBLE,
    Bar,
    Gaussian,
    Mixture,
    NotAMinimumError,
    gaussian,
    mixture,
    named,
    steps_of,
)
from hpcda.analysis.levels import VALLEY, Minimum, distinct_minima, in_valleys, minima_of_rows
from hpcda.analysis.measured import fitted, misfits, noise_alone, scales
from hpcda.analysis.obedience import obedience
from hpcda.analysis.outcome import Outcome, collect, joined
from hpcda.analysis.outliers import Outlier, outliers, sentences
from hpcda.analysis.parallel import Mapping, in_turn
from hpcda.analysis.prediction import Prediction, first_errors, from_end, observe, rmse, run_on
from hpcda.analysis.valley import WALKS, Patience, one_valley, straight_valley
from hpcda.errors import CompilerError, InputError, Mistake
from hpcda.formatting import counted
from hpcda.linalg.blocktridiagonal import NotBlockTridiagonalError
from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.models.expression import names_in
from hpcda.models.flow import End
from hpcda.models.model import Model
from hpcda.problem import Problem, Window
from hpcda.results.table import RunTable
from hpcda.results.windows import StoredWindow
from hpcda.search.conclusion import Conclusion
from hpcda.search.evidence import Evidence
from hpcda.search.expected import Expected
from hpcda.search.finer import time_step
from hpcda.search.judge import Ends, Facts, judge, minima_of, plateau_of
from hpcda.search.local_errors import StepUnknownError
from hpcda.search.obeyed import Obedience
from hpcda.search.plateau import Plateau
from hpcda.search.relaxed import precision, relaxed
from hpcda.search.time_step import TimeStep

if TYPE_CHECKING:
    import xarray as xr

Array = npt.NDArray[np.float64]
NEAREST = 3
"""Points of a valley, the nearest first, that a further one is tried to be joined with by a straight path."""


class Result(Answer):
    """A run that has ended: labeled data, distinct minima, candidate, distribution, prediction.

    Attributes:
        file: Its files.
        notes: What the analysis could not do, and why, gathered as it goes.
    """

    def __init__(
        self,
        file: RunTable,
        problem: Problem | None = None,
        trust: bool = False,
        model: Model | None = None,
    ) -> None:
        self._begin(file, problem, trust, model)

    def _begin(self, file: RunTable, problem: Problem | None, trust: bool, model: Model | None) -> None:
        self.file = file
        self._trust, self._model = trust, model
        self.notes: list[str] = []
        self._problem = problem
        self._predictions: dict[tuple[int | None, int], Prediction] = {}
        self._mapping: Mapping = in_turn
        self._parts = 1
        self._gaussians: dict[int, Gaussian | str] = {}
        self._patience = Patience()
        self._places: dict[int, Array] = {}
        self._unit: Array | None = None
        self._nearby: dict[int, Array] = {}
        self._lowest: Minimum | None = None

    def __repr__(self) -> str:
        header = self.file.header
        size = f"{counted(len(self.file.start), 'start')}, {counted(len(header.rf), 'rung')}"
        return f"<Result {self.file.name!r}: {header.model}, {size}>"

    def __getstate__(self) -> tuple[Any, ...]:
        """What a copy is made of; what was computed from it is computed again there."""
        return self.file, self._problem, self._trust, self._model

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._begin(*state)

    def use(self, mapping: Mapping, parts: int) -> Result:
        """Let the parts of the ensemble be read through `mapping`; returns the run itself."""
        self._mapping, self._parts = mapping, max(1, parts)
        return self

    @cached_property
    def dataset(self) -> xr.Dataset:
        """All arrays, labeled and lazy; with several windows, what belongs to one is in `window(k)`."""
        from hpcda.analysis.labeled import labeled_run

        return labeled_run(self.file)

    def window(self, number: int = 0) -> xr.Dataset:
        """Data, paths, held-out data and truth of one window, labeled and lazy.

        Raises:
            IndexError: There is no such window.
        """
        self._known_window(number)
        from hpcda.analysis.labeled import labeled_window

        return labeled_window(self.file, number)

    @property
    def actions(self) -> xr.DataArray:
        """A of every start at every rung, dims (start, rung)."""
        return self.dataset["action"]

    @cached_property
    def windows(self) -> tuple[StoredWindow, ...]:
        """The windows as they were assimilated."""
        return self.file.windows()

    @cached_property
    def outcome(self) -> Outcome:
        """How every start ended."""
        jobs = [(self.file.source, part) for part in self.file.parts(self._parts)]
        if not jobs:
            raise InputError(Mistake(self.file.name, "no start has completed a rung", "run the job again"))
        return joined(self._mapping(collect, jobs))

    @cached_property
    def levels(self) -> tuple[Minimum, ...]:
        """Distinct minima at the last Rf, lowest first; the points of one flat valley are one."""
        if self.ends.sketched:
            minima = minima_of_rows(self.file, self.outcome, minima_of(self.ends))
        else:
            minima, note = distinct_minima(self.file, self.outcome, self._mapping, self._parts)
            self._note(note)
        self._lowest = next((one for one in minima if one.has_path), None)
        try:
            found = in_valleys(minima, self._one_valley, self._place)
            near = [m for m in found[1:] if not m.has_path and m.action - found[0].action <= VALLEY]
            if near and self._is_loose(found[0]):
                self._note(
                    f"{counted(len(near), 'minimum', 'minima')} close to the lowest action stored no path "
                    f"(keep_paths = {self.file.header.keep_paths!r}) and may be points of the lowest one's "
                    "flat valley"
                )
            return found
        except (InputError, CompilerError, StepUnknownError) as error:
            self._note(
                "minima of nearly equal action are counted separately, though they may lie in one flat "
                f"valley: {str(error).splitlines()[0]}"
            )
            return minima

    def _one_valley(self, valley: Sequence[Minimum], other: Minimum) -> bool:
        """Whether a minimum lies in a valley: by straight paths to its points, else a walk from the nearest.

        A point near by along a curved valley is joined by a straight path where the lowest may not be.
        """
        if not any(self._is_loose(minimum) for minimum in (valley[0], other)):
            return False
        rf, two = self._rf, self._smooth_path(other)
        here = self._place(other)
        near = sorted(valley, key=lambda point: float(np.linalg.norm(self._place(point) - here)))[:NEAREST]
        if any(straight_valley(self._action, self._smooth_path(point), two, rf) for point in near):
            return True
        one = self._smooth_path(near[0])
        if not self._patience:
            asked = counted(WALKS - self._patience.walks, "pair")
            self._note(
                f"more than {asked} of minima may lie in one flat valley: those compared last are counted "
                "separately"
            )
            return False
        return one_valley(self._action, one, two, rf, self._patience)

    def _place(self, minimum: Minimum) -> Array:
        """Parameters and initial states of a minimum in natural scales of the first one asked for."""
        if minimum.start not in self._places:
            path = self._flat_path(minimum)
            if self._unit is None:
                self._unit = steps_of(self.problem, path)
            _, places = named(self.problem)
            self._places[minimum.start] = (path / self._unit)[places]
        return self._places[minimum.start]

    def _is_loose(self, minimum: Minimum) -> bool:
        """Whether something is open at a minimum."""
        found = self._gaussian(minimum)
        return not (isinstance(found, str) or found.is_lost) and bool((found.kinds == Bar.OPEN).any())

    @property
    def candidate(self) -> Minimum | None:
        """The lowest minimum, None where no start reached the end of the ladder."""
        return self.levels[0] if self.levels else None

    @cached_property
    def band(self) -> Band:
        """χ² band of the reduced level."""
        header = self.file.header
        return Band.of(header.measured, header.trajectory_unknowns, self.noise_alone)

    @cached_property
    def separation(self) -> Separation:
        """Distance of the candidate to the other levels."""
        return separation(self.levels, self.band)

    @cached_property
    def plateau(self) -> Plateau | None:
        """Dependence of the candidate on Rf."""
        if self.candidate is None:
            return None
        (rows,) = rows_of(self.ends, (self.candidate,))
        found = plateau_of(self.ends, rows, self._known)
        return replace(found, limit=self.candidate.limit, rise=self.candidate.model)

    @property
    def _known(self) -> Facts:
        """What the judge is told before anything is computed of the candidate but its noise."""
        header = self.file.header
        return Facts(
            header.measured,
            header.trajectory_unknowns,
            header.prior_terms,
            header.rf,
            self.noise_alone,
            complete=float(self.file.finished.sum()) / max(header.starts, len(self.file.start), 1),
        )

    @property
    def verdict(self) -> Conclusion:
        """What the ensemble says."""
        return self._concluded[0]

    @property
    def evidence(self) -> Evidence:
        """What the verdict rests on."""
        return self._concluded[1]

    @cached_property
    def _concluded(self) -> tuple[Conclusion, Evidence]:
        facts = replace(
            self._known,
            predicted=self.first_prediction,
            left_open=self.left_open,
            obedience=self.obedience,
            step=self.time_step,
        )
        return judge(self.ends, facts, rows_of(self.ends, self.levels))

    @cached_property
    def ends(self) -> Ends:
        """How the starts ended, as the judge takes it."""
        return ends_of(self.file, self.outcome)

    @cached_property
    def obedience(self) -> Obedience | None:
        """How the candidate obeys the equations; None, with a note, where that cannot be told.

        None too at Rf = ∞, where all are obeyed.
        """
        if self.candidate is None or not self.candidate.has_path or self._exact:
            return None
        try:
            problem = self.problem
            return obedience(problem, problem.join(*self.kept_path()), float(self.file.header.rf[-1]))
        except (InputError, CompilerError, NotBlockTridiagonalError, NotPositiveDefiniteError) as error:
            self._note(f"it is not known whether the equations are obeyed: {str(error).splitlines()[0]}")
            return None

    @cached_property
    def time_step(self) -> TimeStep | None:
        """Whether the time step is fine enough for the candidate; None of maps, and without a candidate."""
        if self.candidate is None or self.file.header.model_kind == "map":
            return None
        if not self.candidate.has_path:
            return TimeStep(unknown="the candidate's path was not stored")
        try:
            return time_step(self._action, self._smooth_path(self.candidate), self._rf)
        except (InputError, CompilerError, StepUnknownError) as error:
            return TimeStep(unknown=str(error).splitlines()[0])

    @cached_property
    def outliers(self) -> tuple[Outlier, ...]:
        """Data that lie further from the candidate than noise explains, the furthest first."""
        if self.candidate is None or not self.candidate.has_path:
            return ()
        numbers = range(len(self.windows))
        fits = [self.fitted(number) for number in numbers]
        scale = [self.noise_scales(number) for number in numbers]
        if self._plain:
            residuals = [(w.data - fit) / s for w, fit, s in zip(self.windows, fits, scale, strict=True)]
        else:
            residuals = [misfits(self.problem, k, fits[k], scale[k]) for k in numbers]
        found = outliers(self.windows, fits, residuals, self.file.header.observed)
        for note in sentences(found):
            self._note(note)
        return tuple(found)

    @cached_property
    def first_prediction(self) -> float | None:
        """Root mean square error of the candidate's prediction of the first samples, over the noise.

        None where nothing is kept back, or the model cannot be run on.
        """
        known = [k for k, window in enumerate(self.windows) if len(window.beyond_t) > 1]
        if self.candidate is None or not self.candidate.has_path or not known:
            return None
        try:
            errors = [
                first_errors(self.predicted(window=k), np.nanmedian(self.noise_scales(k), axis=0))
                for k in known
            ]
        except InputError as error:
            self._note(f"no prediction: {error}")
            return None
        return rmse(np.concatenate(errors))

    @cached_property
    def problem(self) -> Problem:
        """The problem, made again from job.toml, with the data as they are stored.

        Raises:
            InputError: The job cannot be read, gives another problem than the one that was solved, or names
                code of another user, who is not trusted.
        """
        problem = self._problem
        if problem is None:
            from hpcda.build import build_problem
            from hpcda.job import Job
            from hpcda.job.given import with_model
            from hpcda.job.stored import job_as_it_was
            from hpcda.store.reader import RunFile

            assert isinstance(self.file, RunFile)  # one in memory has its problem
            job = with_model(job_as_it_was(self.file.run_dir, self._trust), self._model)
            assert isinstance(job, Job)  # or this run would be a NetworkResult
            problem = build_problem(job).problem
        header = self.file.header
        same = (
            problem.model.state_names == header.state
            and tuple(constant.label for constant in problem.layout.constants) == header.parameter
            and tuple(window.times for window in problem.windows) == header.lengths
            and tuple(problem.observed) == header.observed
            and problem.discretization == header.discretization
        )
        if not same:
            place = f"{self.file.name}/job.toml"
            remedy = "restore the job, the model and the data as they were"
            raise InputError(
                Mistake(place, "it defines a different problem from the one this run solved", remedy)
            )
        windows = tuple(Window(w.t, w.data, w.noise_std, w.series) for w in self.windows)
        weight = header.model_error_weight
        weight = problem.model_error_weight if weight is None else weight
        return replace(problem, windows=windows, model_error_weight=weight)

    @cached_property
    def _plain(self) -> bool:
        """Whether all that is measured are functions of states alone, with Gaussian noise of known width."""
        header = self.file.header
        used = {name for text in header.expression for name in names_in(text)}
        plain = used <= set(header.state)
        return plain and not (self._problem is not None and self._problem.noise) and not header.noise

    @cached_property
    def noise_alone(self) -> Expected | None:
        """What noise makes of the candidate's measurement part; None of Gaussian noise of known width."""
        if self._plain or self.candidate is None:
            return None
        if not self.candidate.has_path:
            return Expected(0.0, 0.0, known=False)
        mean, variance = noise_alone(self.problem, *self.kept_path())
        estimated = any(noise.scale is not None for noise in self.problem.noise.values())
        return Expected(mean, variance, known=np.isfinite(mean) and not estimated)

    def fitted(self, window: int, start: int | None = None) -> Array:
        """Values that a kept path, by default the candidate's, has for what is measured, shape (N, L)."""
        blocks, constants = self.kept_path(start)
        header = self.file.header
        if self._plain:
            return observe(header.expression, header.state, blocks[window][:, : len(header.state)])
        return fitted(self.problem, window, blocks[window], constants)

    def noise_scales(self, window: int, start: int | None = None) -> Array:
        """Scale of the noise of every datum, shape (N, L): as it is given, or as it is estimated."""
        if self._plain:
            return self.windows[window].noise_std
        return scales(self.problem, window, self.kept_path(start)[1])

    def kept_path(self, start: int | None = None, rung: int | None = None) -> tuple[list[Array], Array]:
        """A kept path, by default the candidate's: one array (N, D + V) a window, and the parameters, (P,).

        Raises:
            KeyError: It was not kept, or there is no candidate.
        """
        return self.file.path(self._start(start), rung)

    def _start(self, start: int | None) -> int:
        if start is not None:
            return start
        if self.candidate is None:
            raise KeyError("no start reached the end of the ladder, so there is no candidate")
        return self.candidate.start

    @cached_property
    def _action(self) -> Action:
        return Action(self.problem)

    def _flat_path(self, minimum: Minimum) -> Array:
        return self.problem.join(*self.file.path(minimum.start))

    @property
    def _exact(self) -> bool:
        """Whether the ladder ends at Rf = ∞."""
        return bool(np.isinf(self.file.header.rf[-1]))

    @cached_property
    def _rf(self) -> float:
        """Rf at which Hessians are computed: the last one, in place of infinity one that comes close."""
        rf = self.file.header.rf
        if not self._exact:
            return float(rf[-1])
        if self._lowest is None:
            raise StepUnknownError("no path was stored")
        return precision(self._action, self._flat_path(self._lowest), float(rf[-2]) if len(rf) > 1 else 1.0)

    def _smooth_path(self, minimum: Minimum) -> Array:
        """The minimum at that Rf.

        Raises:
            StepUnknownError: There is none near an exact one.
        """
        if not self._exact:
            return self._flat_path(minimum)
        if minimum.start not in self._nearby:
            self._nearby[minimum.start] = relaxed(self._action, self._flat_path(minimum), self._rf)
        return self._nearby[minimum.start]

    def _gaussian(self, minimum: Minimum) -> Gaussian | str:
        """The Gaussian at a minimum, or why there is none.

        Raises:
            InputError: The problem cannot be made again.
            CompilerError: There is no C compiler to compile the action with.
        """
        if not minimum.has_path:
            return "its path was not stored"
        if minimum.start not in self._gaussians:
            action = self._action
            made: Gaussian | str
            try:
                path = self._smooth_path(minimum)
                _, gradient, values = action.derivatives(path, self._rf)
                csr = (action.sparsity.indptr, action.sparsity.indices, values)
                made = gaussian(self.problem, path, csr, gradient)
                made = made.moved(self._flat_path(minimum)) if self._exact else made
            except (
                NotAMinimumError, NotPositiveDefiniteError, NotBlockTridiagonalError, StepUnknownError,
            ) as error:  # fmt: skip
                made = str(error)
            self._gaussians[minimum.start] = made
        return self._gaussians[minimum.start]

    @cached_property
    def bars(self) -> Gaussian | None:
        """The Gaussian at the candidate, flat: its error bars; None with a note where there is none."""
        return None if self.candidate is None else self.bars_of(self.candidate)

    def bars_of(self, minimum: Minimum) -> Gaussian | None:
        """The Gaussian at a minimum, flat; None with a note where there is none."""
        found = self._known_gaussian(minimum)
        why = found if isinstance(found, str) else found.unsure
        if why is not None:
            self._note(f"no error bars at the minimum of start {minimum.start}: {why}")
            return None
        assert not isinstance(found, str)
        return found

    def _known_gaussian(self, minimum: Minimum) -> Gaussian | str:
        """As `_gaussian`, also where the problem cannot be made again."""
        try:
            return self._gaussian(minimum)
        except (InputError, CompilerError) as error:
            return str(error).splitlines()[0]

    @cached_property
    def no_bars(self) -> str | None:
        """Why the candidate has no error bars; None where it has, and without a candidate."""
        if self.candidate is None:
            return None
        found = self._known_gaussian(self.candidate)
        return found if isinstance(found, str) else found.unsure

    def error_bars(self, window: int = 0) -> xr.Dataset:
        """The candidate with its own error bars in one window.

        Variables `estimate`, `std`, `low`, `high`, `kind` (time, state), the same with `parameter_`, and with
        `varying_` where parameters belong to one time. `kind` is "gaussian", "at bound" or "open"; only the
        first has a `std`. `low` and `high` are two standard deviations away, never beyond the bounds; at a
        bound they hold 95 %; of what is open they are the bounds. The attribute `open` names what the data
        leave open.

        Raises:
            ValueError: The candidate has no Gaussian.
            IndexError: There is no such window.
        """
        self._known_window(window)
        found = self.bars
        if found is None:
            raise ValueError("; ".join(self.notes) or "there is no candidate")
        words = np.array([KINDS[Bar(k)] for k in sorted(KINDS)])[found.kinds]
        values = {
            "estimate": found.path, "std": found.std, "low": found.low, "high": found.high, "kind": words,
        }  # fmt: skip
        return self._labeled(values, window, {"open": list(self.left_open)})

    @cached_property
    def left_open(self) -> tuple[str, ...]:
        """Parameters and initial states of the candidate that the data leave open, "p with q" together."""
        found = "" if self.candidate is None else self._known_gaussian(self.candidate)
        if isinstance(found, str) or found.is_lost:
            return ()
        return tuple(flat.name for flat in found.flats)

    @cached_property
    def mixture(self) -> Mixture:
        """The Laplace mixture over the distinct minima as flat vectors.

        Raises:
            InputError: The problem cannot be made again.
            CompilerError: There is no C compiler to compile the action with.
            ValueError: The candidate has no Gaussian, so that what is left would be the distribution of
                others.
        """
        if self.candidate is None:
            raise ValueError("there is no candidate")
        near = [m for m in self.levels if m.action - self.candidate.action <= NEGLIGIBLE]
        made = [self._gaussian(minimum) for minimum in near[:MOST]]
        made = [one if isinstance(one, str) or one.unsure is None else one.unsure for one in made]
        missing = [
            f"the minimum of start {minimum.start} (action {minimum.action:.6g}): {why}"
            for minimum, why in zip(near, made, strict=False)
            if isinstance(why, str)
        ]
        if isinstance(made[0], str):
            raise ValueError(missing[0])
        used = [(m, g) for m, g in zip(near, made, strict=False) if not isinstance(g, str)]
        if len(near) > MOST:
            missing.append(counted(len(near) - MOST, "minimum more", "minima more") + f" than {MOST}")
        if missing:
            self._note("missing in the distribution: " + "; ".join(missing))
        minima, gaussians = zip(*used, strict=True)
        return mixture(self.problem, minima, gaussians, missing, len(self.levels) - len(near))

    @cached_property
    def known_mixture(self) -> Mixture | None:
        """`mixture`, or None with a note where it cannot be had."""
        try:
            return self.mixture
        except (InputError, CompilerError, ValueError) as error:
            self._note(f"no path distribution: {str(error).splitlines()[0]}")
            return None

    @property
    def distribution(self) -> xr.Dataset:
        """Mean and standard deviation of every state at every time and of the parameters, one window.

        With several windows use `distribution_of(k)`. Raises as `mixture` does.
        """
        return self.distribution_of(0)

    def distribution_of(self, window: int = 0) -> xr.Dataset:
        """The distribution over all minima of weight in one window.

        Variables `mean`, `std`, `low`, `high` (time, state), the same with `parameter_`, and with `varying_`
        where parameters belong to one time; `weight` (minimum), with the `start` of each. They are those of
        the mixture, not of one minimum; for the candidate's own see `error_bars`. `std` is NaN of what is
        open; `low` and `high` are two of them from the mean, never beyond the bounds. The attribute `missing`
        names minima of weight that are not in it.
        """
        made = self.mixture
        values = {"mean": made.mean, "std": made.std, "low": made.low, "high": made.high}
        labeled = self._labeled(values, window, {"missing": list(made.missing)})
        weights = {"weight": ("minimum", list(made.weights.values()))}
        return labeled.assign(weights).assign_coords(start=("minimum", list(made.weights)))

    def _labeled(self, values: dict[str, Array], window: int, attrs: dict[str, Any]) -> xr.Dataset:
        """Flat vectors as arrays of one window and of the parameters."""
        import xarray as xr

        header = self.file.header
        states = len(header.state)
        coords: dict[str, Any] = {
            "time": ("time", self.windows[window].t, {"units": header.time_unit}),
            "state": list(header.state),
            "unit": ("state", list(header.state_unit)),
            "parameter": list(header.parameter),
            "parameter_unit": ("parameter", list(header.parameter_unit)),
        }
        data: dict[str, Any] = {}
        if len(header.unknown) > states:
            coords["varying"] = list(header.unknown[states:])
        for name, flat in values.items():
            blocks, parameters = self.problem.split(flat)
            data[name] = (("time", "state"), blocks[window][:, :states])
            data[f"parameter_{name}"] = ("parameter", parameters)
            if len(header.unknown) > states:
                data[f"varying_{name}"] = (("time", "varying"), blocks[window][:, states:])
        return xr.Dataset(data, coords, attrs)

    def predicted(
        self, start: int | None = None, window: int = 0, t: npt.ArrayLike | None = None
    ) -> Prediction:
        """Run the model on from the last state of a path, with its parameters.

        Args:
            start: Number of the start, by default the candidate's.
            window: Number of the window.
            t: Rising times from the end of the window on, or one time; by default those of the data kept
                back, else as many as the window has, from the end of the window on. Models with known time
                series go no further than these were kept.

        Raises:
            InputError: The problem cannot be made again, the known time series end with the window, or `t`
                does not rise from the end of the window on.
            KeyError: The path was not kept.
            IndexError: There is no such window.
        """
        if t is None and (start, window) in self._predictions:
            return self._predictions[start, window]
        self._known_window(window)
        problem, known = self.problem, self.windows[window]
        blocks, parameters = self.kept_path(start)
        names = self.file.header.series
        data = np.zeros((0, len(problem.observed)))
        asked = slice(None)
        if t is not None:
            times, asked = from_end(t, float(known.t[-1]), problem.windows[window].dt)
        elif len(known.beyond_t):
            times, data = known.beyond_t, known.beyond_data
        else:
            times = known.t - known.t[0] + known.t[-1]
        series = np.zeros((len(times), len(names)))
        if names:
            if not len(known.beyond_t) or times[-1] > known.beyond_t[-1]:
                remedy = "hold out data (data.hold_back); their stimuli are stored too"
                raise InputError(Mistake("predict", "the known time series end with the window", remedy))
            columns = [np.interp(times, known.beyond_t, column) for column in known.beyond_series.T]
            series = np.stack(columns, axis=1)
        last = blocks[window][-1]
        dimension = problem.dimension
        seen = problem.layout.seen(window)
        values = {
            **problem.fixed,
            **dict(zip(problem.layout.seen_names, parameters[seen].tolist(), strict=True)),
            **dict(zip(problem.layout.varying, last[dimension:].tolist(), strict=True)),
        }
        dt = problem.windows[window].dt
        course = run_on(problem.model, last[:dimension], values, times, series, names, dt)
        if course.end not in (End.REACHED, End.UNBOUND):
            whose = "the candidate" if start is None else f"start {start}"
            self._note(
                f"the prediction of {whose} in window {window} fails at t = {course.time:.6g}: "
                f"{course.end.value}"
            )
        every = dict(zip(names, series.T, strict=True)) | values
        every = {name: every[name] for name in every if name not in problem.model.stimulus_names}
        measured = observe(self.file.header.expression, self.file.header.state, course.states, every)
        kept_back = data if len(data) else np.full(measured.shape, np.nan)
        made = Prediction(times[asked], course.states[asked], measured[asked], kept_back[asked])
        if t is None:
            self._predictions[start, window] = made
        return made

    def predict(
        self, start: int | None = None, window: int = 0, t: npt.ArrayLike | None = None
    ) -> xr.Dataset:
        """Prediction beyond the window: `states` (time, state), `prediction` and `data` (time, observed).

        Arguments and errors as for `predicted`.
        """
        import xarray as xr

        made, header = self.predicted(start, window, t), self.file.header
        data = {
            "states": (("time", "state"), made.states),
            "prediction": (("time", "observed"), made.observed),
            "data": (("time", "observed"), made.data),
        }
        coords: dict[str, Any] = {
            "time": ("time", made.t, {"units": header.time_unit}),
            "state": list(header.state),
            "unit": ("state", list(header.state_unit)),
            "observed": list(header.observed),
        }
        return xr.Dataset(data, coords)

    def _note(self, note: str | None) -> None:
        if note and note not in self.notes:
            self.notes.append(note)
