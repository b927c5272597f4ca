"""A problem of data assimilation from arrays and a model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy.typing as npt

from hpcda.errors import DataWarning, InputError, Mistake
from hpcda.face.checks import mapping, number, of_kind, pair, shown
from hpcda.face.options import Data, Estimate, Ladder, Prior, Range, Solver
from hpcda.models.model import Model


class Problem:
    """What is known: a model, measurements, and what is to be estimated.

    It is frozen: to change something, make another, or `replace` it.

    Args:
        model: A `Model`, a name of the catalogue (``hpcda models``), or "file.py:function".
        t: Times of the samples, shape (N,); see `Data`.
        y: What is measured -> its values; see `Data.observed`.
        noise_std: Standard deviation of the noise; see `Data`.
        loss: The law of the noise, "gaussian", "student-t", "poisson", …; see `Data`.
        stimuli: Stimulus, or known parameter that depends on time -> its values, shape (N,).
        hold_back: Samples at the end that are kept back to test the prediction.
        gaps: Whether NaN and missing times are meant; else they are mistakes.
        uneven: Whether times are not equally far apart; see `Data`.
        data: In place of all these: a `Data`, or several, one a window.
        estimate: Parameter -> range of its initial guess, or an `Estimate`.
        fixed: Parameter -> its value, where that is not the model's default.
        states: State -> range of the initial guess where it is not measured.
        bounds: State -> lowest and highest value allowed.
        initial: State -> Gaussian prior on its value at the first time.
        options: Options of a model of the catalogue, such as ``{"dimension": 20}``.
        discretization: "auto", or one that ``hpcda list`` names.
        steps_per_sample: Steps of the path from sample to sample, or "auto": as many as the estimates need,
            found by a pilot before the ensemble.
        model_error_weight: State -> weight of its model error, or "auto" ((4 / spread)² of each state).
        model_error: What Rf weights: model errors "per step", or "per time", as errors of the rate that are
            integrated over time: a finer step at the same Rf is then the same problem.

    Raises:
        InputError: All that is wrong, one sentence each, with the key, the value and the remedy.

    Warns:
        DataWarning: Data that contradict the rest: outside bounds, in other units, finer or coarser than
            their noise. `notes` has all of them.
    """

    def __init__(
        self,
        model: Model | str,
        t: npt.ArrayLike | None = None,
        y: Mapping[str, npt.ArrayLike] | None = None,
        noise_std: float | Estimate | Mapping[str, Any] | npt.ArrayLike | None = None,
        *,
        loss: str | Mapping[str, Any] | None = None,
        stimuli: Mapping[str, npt.ArrayLike] | None = None,
        hold_back: int | None = None,
        gaps: bool = False,
        uneven: bool = False,
        data: Data | Sequence[Data] | None = None,
        estimate: Mapping[str, Range | Estimate] | None = None,
        fixed: Mapping[str, float] | None = None,
        states: Mapping[str, Range] | None = None,
        bounds: Mapping[str, Range] | None = None,
        initial: Mapping[str, Prior] | None = None,
        options: Mapping[str, Any] | None = None,
        discretization: str = "auto",
        steps_per_sample: int | str = "auto",
        model_error_weight: Mapping[str, float] | str = "auto",
        model_error: str = "per step",
    ) -> None:
        self._arguments = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        rest: dict[str, Any] = {
            "noise_std": noise_std,
            "loss": loss,
            "stimuli": stimuli,
            "hold_back": hold_back,
            "gaps": gaps or None,
            "uneven": uneven or None,
        }
        rest = {name: value for name, value in rest.items() if value is not None}
        if data is None:
            if t is None or y is None:
                what = "t" if t is None else "y"
                remedy = 'give t and y, as in Problem(model, t, {"x": x}, noise_std=0.5), or data=Data(…)'
                raise InputError(Mistake(what, "is missing", remedy))
            data = Data(t, y, **rest)
        elif beside := [name for name, value in (("t", t), ("y", y)) if value is not None] + list(rest):
            what = f"stands beside {', '.join(beside)}"
            raise InputError(Mistake("data", what, "keep one of the two; a Data takes all of these itself"))
        windows = [data] if isinstance(data, Data) else data
        if (
            not isinstance(windows, Sequence)
            or not all(isinstance(one, Data) for one in windows)
            or not windows
        ):
            remedy = 'give hpcda.Data(t, {"x": x}, noise_std=0.5), or a list of them, one a window'
            raise InputError(Mistake("data", f"{shown(data)} is no Data", remedy))
        self.windows: tuple[Data, ...] = tuple(windows)
        self._model = model
        self._tables = self._made(
            mapping("estimate", estimate, '{"rho": (20, 40)}'),
            mapping("fixed", fixed, '{"sigma": 10.0}'),
            mapping("states", states, '{"z": (0, 50)}'),
            mapping("bounds", bounds, '{"z": (0, None)}'),
            mapping("initial", initial, '{"z": hpcda.Prior(20.0, 5.0)}'),
            mapping("options", options, '{"dimension": 20}'),
        )
        self._tables["action"] = {
            "discretization": discretization,
            "steps_per_sample": steps_per_sample,
            "model_error_weight": model_error_weight
            if isinstance(model_error_weight, str)
            else {name: float(value) for name, value in model_error_weight.items()},
            "model_error": model_error,
        }
        for doubt in self.built.doubts:  # what is wrong is said here
            warnings.warn(doubt, DataWarning, stacklevel=2)

    def _made(
        self,
        estimate: Mapping[str, Range | Estimate],
        fixed: Mapping[str, float],
        states: Mapping[str, Range],
        bounds: Mapping[str, Range],
        initial: Mapping[str, Prior],
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The tables of the job, but [ladder], [ensemble] and [solver]."""
        model = self._model
        stimuli = set(model.stimulus_names) if isinstance(model, Model) else None
        parameters: dict[str, Any] = {
            name: {"value": number(f"fixed[{name!r}]", value, "10.0")} for name, value in fixed.items()
        }
        for name, one in estimate.items():
            if name in fixed:
                what = f"{name!r} stands under fixed as well"
                raise InputError(Mistake("estimate", what, "keep one of the two"))
            if isinstance(one, Estimate):
                parameters[name] = one.table
            else:
                example = f'{{"{name}": (20, 40)}} or {{"{name}": hpcda.Estimate()}}'
                parameters[name] = {"estimate": True, "start": pair(f"estimate[{name!r}]", one, example)}
        if stimuli is None:
            from hpcda.models.catalogue import load_model

            stimuli = set(load_model(str(model), dict(options)).stimulus_names)
        series = sorted({name for window in self.windows for name in window.stimuli} - stimuli)
        parameters |= {name: {"series": name} for name in series}
        of_states: dict[str, dict[str, Any]] = {}
        for key, argument, given in (("start", "states", states), ("bounds", "bounds", bounds)):
            for name, one in given.items():
                ends = pair(f"{argument}[{name!r}]", one, f'{{"{name}": (0, 50)}}')
                of_states.setdefault(name, {})[key] = ends
        for name, prior in initial.items():
            one = of_kind(f"initial[{name!r}]", prior, Prior, "hpcda.Prior(20.0, 5.0)")
            of_states.setdefault(name, {})["initial_prior"] = one.table
        data = [window.table(series) for window in self.windows]
        return {
            "model": {"name": model, "options": dict(options), "parameters": parameters, "states": of_states},
            "data": data[0] if len(data) == 1 else data,
        }

    def replace(self, **changes: Any) -> Problem:
        """The same problem with other arguments."""
        return Problem(**{**self._arguments, **changes})

    @property
    def tables(self) -> dict[str, Any]:
        """The tables of a job that say the same, with objects in place of files."""
        return dict(self._tables)

    def job(
        self,
        ladder: Ladder | None = None,
        solver: Solver | None = None,
        ensemble: Mapping[str, Any] | None = None,
    ) -> Any:
        """The job of an ensemble on this problem.

        Raises:
            InputError: Options that do not fit.
        """
        from hpcda.job import load_job

        return load_job(
            {
                **self._tables,
                "ladder": of_kind("ladder", ladder or Ladder(), Ladder, "hpcda.Ladder(rungs=30)").table,
                "solver": of_kind(
                    "solver", solver or Solver(), Solver, 'hpcda.Solver(minimizer="nls")'
                ).table,
                "ensemble": dict(ensemble or {}),
            }
        )

    @cached_property
    def built(self) -> Any:
        """The problem as the action takes it, `hpcda.build.Built`; at one step a sample where "auto"."""
        from hpcda.build import build_problem

        job = self.job()
        return build_problem(job if job.action.steps_per_sample != "auto" else job.with_steps(1))

    @property
    def model(self) -> Model:
        """The model."""
        found: Model = self.built.problem.model
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, one sentence each."""
        found: tuple[str, ...] = self.built.notes
        return found

    def __repr__(self) -> str:
        problem = self.built.problem
        windows = "" if len(problem.windows) == 1 else f"{len(problem.windows)} windows, "
        times = sum(window.times for window in problem.windows)
        names = ", ".join(one.name for one in (*problem.parameters, *problem.varying)) or "none"
        return (
            f"<Problem {problem.model.name}: {windows}{times} times, {problem.measured} measured values of "
            f"{', '.join(problem.observed)}; estimated: {names}>"
        )
