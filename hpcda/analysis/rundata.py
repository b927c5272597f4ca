"""A finished run that assimilated data, in Python: ``run = hpcda.open_run("run")``."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.analysis.answer import Answer
from hpcda.analysis.candidate import Band, Separation, separation
from hpcda.analysis.ends import ends_of, rows_of
from hpcda.analysis.laplace import MOST, NEGLIGIBLE, Gaussian, Mixture, mixture
from hpcda.analysis.levels import Minimum, distinct_minima, minima_of_rows
from hpcda.analysis.measured import fitted, misfits, noise_alone, scales
from hpcda.analysis.neighborhood import Neighborhoods
from hpcda.analysis.obedience import obedience
from hpcda.analysis.outcome import Outcome, collect, joined, task_source
from hpcda.analysis.outliers import Outlier, outliers, sentences
from hpcda.analysis.parallel import Mapping, in_turn
from hpcda.analysis.prediction import Prediction, first_errors, observe, predict_window, rmse
from hpcda.analysis.remade import as_solved, problem_again
from hpcda.errors import CompilerError, InputError, Mistake
from hpcda.formatting import counted
from hpcda.linalg.blocktridiagonal import NotBlockTridiagonalError
from hpcda.linalg.elimination import NotPositiveDefiniteError
from hpcda.models.expression import names_in
from hpcda.models.flow import End
from hpcda.models.model import Model
from hpcda.problem import Array, Problem
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
from hpcda.search.refinement import Refinement, refinable, refine
from hpcda.search.time_step import TimeStep


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
        self._refinements: dict[int, Refinement] = {}
        self._mapping: Mapping = in_turn
        self._parts = 1
        self._about = Neighborhoods(file, lambda: self.problem, self._note)

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
    def windows(self) -> tuple[StoredWindow, ...]:
        """The windows as they were assimilated."""
        return self.file.windows()

    @cached_property
    def outcome(self) -> Outcome:
        """How every start ended."""
        source = task_source(self.file, self._mapping)
        jobs = [(source, part) for part in self.file.parts(self._parts)]
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
        return self._about.joined(minima)

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
        if self.candidate is None or not self.candidate.has_path or self._about.exact:
            return None
        try:
            path = self.problem.join(*self.kept_path())
            return obedience(self._about.action, path, float(self.file.header.rf[-1]))
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
            return time_step(self._about.action, self._about.smooth_path(self.candidate), self._about.rf)
        except (InputError, CompilerError, StepUnknownError) as error:
            return TimeStep(unknown=str(error).splitlines()[0])

    def refine(self, levels: int = 4) -> Refinement:
        """Solve the candidate again at 2, 4, … times as many steps, and extrapolate to none of any length.

        Args:
            levels: Levels, the run's own steps among them.

        Returns:
            `levels` (steps, action, parameters, path of each), `limits` (value, error and order of the action
            and each parameter), `path_changes`; `sentence` says whether the step is fine enough.

        Raises:
            InputError: The model is a map, the number of levels makes no sense, or the problem cannot be made
                again.
            KeyError: There is no candidate, or its path was not stored.
            CompilerError: There is no C compiler.
            StepUnknownError: No minimum is reached on a level, or the finest is too large.
        """
        if levels not in self._refinements:
            refinable(self.problem, levels)
            self.kept_path()
            assert self.candidate is not None
            path = self._about.smooth_path(self.candidate)
            self._refinements[levels] = refine(self._about.action, path, self._about.rf, levels)
        return self._refinements[levels]

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
            problem = problem_again(self.file, self._trust, self._model)
        return as_solved(problem, self.file, self.windows)

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
    def bars(self) -> Gaussian | None:
        """The Gaussian at the candidate, flat: its error bars; None with a note where there is none."""
        return None if self.candidate is None else self.bars_of(self.candidate)

    def bars_of(self, minimum: Minimum) -> Gaussian | None:
        """The Gaussian at a minimum, flat; None with a note where there is none."""
        found = self._about.known_gaussian(minimum)
        why = found if isinstance(found, str) else found.unsure
        if why is not None:
            self._note(f"no error bars at the minimum of start {minimum.start}: {why}")
            return None
        assert not isinstance(found, str)
        return found

    @cached_property
    def no_bars(self) -> str | None:
        """Why the candidate has no error bars; None where it has, and without a candidate."""
        if self.candidate is None:
            return None
        found = self._about.known_gaussian(self.candidate)
        return found if isinstance(found, str) else found.unsure

    @cached_property
    def left_open(self) -> tuple[str, ...]:
        """Parameters and initial states of the candidate that the data leave open, "p with q" together."""
        found = "" if self.candidate is None else self._about.known_gaussian(self.candidate)
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
        made = [self._about.gaussian(minimum) for minimum in near[:MOST]]
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
        problem, header = self.problem, self.file.header
        blocks, parameters = self.kept_path(start)
        last = blocks[window][-1]
        made, course = predict_window(problem, header, window, self.windows[window], last, parameters, t)
        if course.end not in (End.REACHED, End.UNBOUND):
            whose = "the candidate" if start is None else f"start {start}"
            self._note(
                f"the prediction of {whose} in window {window} fails at t = {course.time:.6g}: "
                f"{course.end.value}"
            )
        if t is None:
            self._predictions[start, window] = made
        return made

    def _note(self, note: str | None) -> None:
        if note and note not in self.notes:
            self.notes.append(note)
