"""Runs that are submitted: the job of these tests, the command, what they leave."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hpcda.slurm
from hpcda.job.text import to_toml
from hpcda.slurm import Profile

PATIENCE = 120.0
JOB = {
    "model": {
        "name": "lorenz96",
        "options": {"dimension": 20},
        "parameters": {"F": {"estimate": True, "start": [4.0, 14.0]}},
    },
    "twin": {
        "parameters": {"F": 8.17},
        "dt": 0.025,
        "samples": 161,
        "spin_up": 20.0,
        "observed": ["x0", "x2", "x5", "x7", "x10", "x12", "x15", "x17"],
        "noise_std": 0.5,
        "seed": 1,
    },
    "ladder": {"rf0": 1e-2, "alpha": 1.5, "rf_max": 1e6},
    "ensemble": {"starts": 48, "seed": 1, "range": [-10.0, 15.0], "way": "uniform", "merge": False},
}
"""About three seconds of one core, with the same results bit by bit however often it is interrupted."""


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Call the command."""
    words = [sys.executable, "-m", "hpcda", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)


@dataclass(frozen=True)
class Run:
    """A run that was submitted."""

    directory: Path

    @property
    def known(self) -> dict:
        """What slurm.json says."""
        return json.loads((self.directory / "slurm.json").read_text())

    @property
    def log(self) -> str:
        """All that its jobs have said."""
        return "".join(path.read_text() for path in sorted((self.directory / "slurm").glob("*.log")))

    @property
    def size(self) -> int:
        """Bytes of all shards, which grow with every rung."""
        return sum(path.stat().st_size for path in (self.directory / "shards").glob("*.h5"))

    def grown(self, size: float) -> None:
        """Wait until its shards have so many bytes."""
        self._until(lambda: self.size >= size)

    def at_work(self, shards: int = 1) -> None:
        """Wait until so many shards are being written."""
        self._until(lambda: len(list((self.directory / "shards").glob("*.open"))) >= shards)

    def _until(self, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not ready():
            assert time.monotonic() < until, f"{self.size} bytes after {PATIENCE:g} s\n{self.log}"
            time.sleep(0.02)


def submit(folder: Path, analyze: bool = False, profile: Profile | None = None, **options: object) -> Run:
    """Submit the job from this process, into ``run`` of a folder; `options` are those of `Batch`."""
    job = folder / "job.toml"
    tables = options.pop("tables", JOB)
    job.write_text(to_toml(tables))
    values = {"job": job, "run": folder / "run", "profile": profile or Profile(), "ranks": 1, **options}
    done = hpcda.slurm.submit(hpcda.slurm.Batch(**values), analyze)
    run = Run(folder / "run")
    assert run.known["job"] == done.job
    return run
