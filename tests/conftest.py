"""What every tier shares: a failure on one rank ends all of them, and the counts reach the runner."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import is_hypothesis_test, settings

sys.path.append(str(Path(__file__).parents[1]))

import hpcda  # noqa: E402, F401  (names the code of OpenBLAS, before NumPy brings it)
from tests import chance, machine  # noqa: E402

# The cases of a seed are the same at every run: nothing is remembered from run to run, nothing is timed.
settings.register_profile("hpcda", derandomize=True, database=None, deadline=None)
settings.load_profile("hpcda")

# Temporary folders of this process alone: ranks that share one would clear away each other's. Workers of
# pytest-xdist have theirs within that of the process that started them.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _temporary = tempfile.mkdtemp(prefix="hpcda-tests-")
    os.environ["PYTEST_DEBUG_TEMPROOT"] = _temporary
    atexit.register(shutil.rmtree, _temporary, ignore_errors=True)


def _world(config: pytest.Config) -> Any | None:
    """Return COMM_WORLD in the MPI tier, None elsewhere: the serial tier never loads MPI."""
    if not config.getoption("--with-mpi", default=False):
        return None
    from mpi4py import MPI

    return MPI.COMM_WORLD


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let rank 0 alone report; forget the batch job that runs the tests, they tell of jobs of their own."""
    world = _world(config)
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        del os.environ[name]
    if world is not None and world.rank > 0:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter._tw._file = Path(os.devnull).open("w")


def pytest_report_header() -> str:
    """What is random comes from this."""
    return f"HPCDA_TEST_SEED: {chance.SEED}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The cases that hypothesis draws depend on the seed."""
    for item in items:
        test = getattr(item, "obj", None)
        if is_hypothesis_test(test):
            chance.hypothetical(getattr(test, "__func__", test))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Say how to run a failed test again; end every rank, as the others would wait for this one for ever."""
    report = yield
    world = _world(item.config)
    if report.failed:
        report.sections.append(("again", machine.again(item.nodeid, world.size if world is not None else 1)))
    if report.failed and world is not None and world.size > 1:
        message = f"\n[rank {world.rank} of {world.size}] {item.nodeid} ({report.when}) failed\n"
        message += f"{report.longreprtext}\n"
        for title, content in report.sections:
            message += f"--- {title}\n{content}\n"
        stream = sys.__stderr__
        assert stream is not None
        os.write(stream.fileno(), message.encode())
        world.Abort(1)
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Append one line `passed failed skipped` to the file that the runner names."""
    counts = os.environ.get("HPCDA_TEST_COUNTS")
    if "PYTEST_XDIST_WORKER" in os.environ:  # whoever started the workers counts what they report
        return
    world = _world(session.config)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not counts or reporter is None or (world is not None and world.rank > 0):
        return
    stats = {name: len(reports) for name, reports in reporter.stats.items()}
    passed = sum(stats.get(name, 0) for name in ("passed", "xfailed", "xpassed"))
    failed = stats.get("failed", 0) + stats.get("error", 0)
    with Path(counts).open("a") as file:
        file.write(f"{passed} {failed} {stats.get('skipped', 0)}\n")
