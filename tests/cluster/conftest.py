"""One private Slurm for the tests of this folder, started when the first of them asks for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from private_slurm import missing, private_slurm  # noqa: E402

from hpcda.cli import RANK_VARIABLES  # noqa: E402

ROOT = Path(__file__).parents[2]


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run what waits for Slurm's time limits too")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="takes minutes: give --long"))


@pytest.fixture(scope="session")
def cluster():
    absent = missing()
    if absent:
        pytest.skip(f"Slurm is not whole here: no {', '.join(absent)} (on Debian: see .ci/run)")
    with private_slurm() as slurm:
        yield slurm


@pytest.fixture
def slurm(cluster, monkeypatch):
    """The cluster, for this process and those that it starts; PATH begins with this Python's programs."""
    for name in (*RANK_VARIABLES, "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return cluster
