"""One oracle: the tables of a job, its data, the truth where it is known, and the reference."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcda.annealing import Ladder
from hpcda.build import build_problem
from hpcda.job import load_job
from hpcda.problem import Array, Problem

from .references import SAME, Reference, reference_of
from .truth import Truth

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("HPCDA_SHARED", ROOT.parent / "shared"))
"""Where data of others are read from, which are copied nowhere."""


@dataclass(frozen=True)
class Generated:
    """Data from a true run: measured states with Gaussian noise.

    The noise of a seed is drawn for all states, so that what is measured in two problems of one run is equal.
    """

    truth: Callable[[], Truth]
    measured: tuple[str, ...]
    noise_std: float
    seed: int
    missing = ""

    def values(self) -> Array:
        """What is measured, shape (N, L)."""
        truth = self.truth()
        noise = np.random.default_rng([self.seed, 1]).standard_normal(truth.states.shape)
        places = [truth.names.index(name) for name in self.measured]
        return np.asarray((truth.states + self.noise_std * noise)[:, places])

    def table(self, file: Path) -> dict[str, Any]:
        """Write the data with the truth beside them, as npz; the table [data] of the job."""
        truth, values = self.truth(), self.values()
        columns = {f"y_{name}": values[:, k] for k, name in enumerate(self.measured)}
        true = {f"true_{name}": truth.states[:, k] for k, name in enumerate(truth.names)}
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, t=truth.t, **columns, **truth.stimuli, **true)
        return {
            "file": str(file.absolute()),
            "time": "t",
            "observed": {name: f"y_{name}" for name in self.measured},
            "noise_std": self.noise_std,
            **({"stimulus": {name: name for name in truth.stimuli}} if truth.stimuli else {}),
        }


@dataclass(frozen=True)
class Shared:
    """Data of others, in ../shared/data beside the checkout or data/ of the folder HPCDA_SHARED."""

    file: str
    observed: dict[str, int]
    noise_std: float

    @property
    def missing(self) -> str:
        """Why they cannot be read; empty where they can."""
        found = SHARED / "data" / self.file
        if found.is_file():
            return ""
        return f"{found} is not there; set HPCDA_SHARED to the folder that holds data/{self.file}"

    def table(self, file: Path) -> dict[str, Any]:
        """The table [data] of the job; nothing is written."""
        place = str((SHARED / "data" / self.file).absolute())
        return {"file": place, "time": 0, "observed": dict(self.observed), "noise_std": self.noise_std}


@dataclass(frozen=True)
class Oracle:
    """A problem whose lowest minimum is known.

    Attributes:
        name: Its name: family-seed, or the family alone.
        family: What all seeds have in common.
        measured: L, the number of measured states.
        tables: The job without its data.
        data: Where they come from.
    """

    name: str
    family: str
    measured: int
    tables: dict[str, Any]
    data: Generated | Shared

    @property
    def missing(self) -> str:
        """Why the problem cannot be made here; empty where it can."""
        return self.data.missing

    @property
    def reference(self) -> Reference:
        """The lowest minimum that is known."""
        return reference_of(self.name)

    @property
    def goal(self) -> float:
        """The action below which a path is in the reference's minimum, or a lower one."""
        return self.reference.action * (1.0 + SAME)

    def solved(self, action: float) -> bool:
        """Whether a search that ends with this action has found a minimum as low as the reference."""
        return bool(action <= self.goal)

    def job(self, folder: str | os.PathLike[str], **tables: dict[str, Any]) -> dict[str, Any]:
        """The tables of the job; its data are written to `folder`, its results go there.

        Args:
            folder: A folder, made if it is not there.
            tables: Keys that are changed, table by table: ``ensemble={"way": "quiet"}``.
        """
        place = Path(folder).absolute()
        job = {
            **copy.deepcopy(self.tables),
            "data": self.data.table(place / f"{self.name}.npz"),
            "output": {"directory": str(place / f"{self.name}-run")},
        }
        for name, changed in tables.items():
            job[name] = {**job.get(name, {}), **changed}
        return job

    def problem(self) -> Problem:
        """The problem; nothing stays on the disk."""
        with tempfile.TemporaryDirectory() as folder:
            return build_problem(load_job(self.job(folder))).problem

    @property
    def ladder(self) -> Ladder:
        """The whole ladder of the job."""
        table = self.tables["ladder"]
        return Ladder(table["rf0"], table["alpha"], table["rungs"])

    @property
    def truth(self) -> Truth | None:
        """The true run, where it is known."""
        return self.data.truth() if isinstance(self.data, Generated) else None

    def true_path(self, problem: Problem) -> Array:
        """The truth as a flat path, shape (size,)."""
        truth = self.truth
        assert truth is not None, f"{self.name}: nobody knows the truth"
        return problem.join([truth.states], np.array([truth.parameters[p.name] for p in problem.parameters]))
