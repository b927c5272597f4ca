"""What ranks share, and in which worlds a test is collected."""

import sys
from pathlib import Path

import pytest


@pytest.fixture
def quickly(monkeypatch):
    """Draws over data that nothing explains end soon."""
    from hpcda.search.ways import passes
    from tests.lives import quickly

    monkeypatch.setattr(passes, "WORK", quickly.WORK)


@pytest.fixture
def shared_path(tmp_path):
    """One temporary folder for all ranks."""
    from mpi4py import MPI

    path = MPI.COMM_WORLD.bcast(str(tmp_path), root=0)
    yield Path(path)
    MPI.COMM_WORLD.Barrier()


def pytest_collection_modifyitems(config, items):
    """A test is collected in worlds of the sizes for which it is made: those of `@pytest.mark.worlds`."""
    if not config.getoption("with_mpi", False):
        return
    from mpi4py import MPI

    def fits(least=1, most=sys.maxsize, multiple=1):
        return least <= MPI.COMM_WORLD.size <= most and MPI.COMM_WORLD.size % multiple == 0

    chosen = [item for item in items if all(fits(**mark.kwargs) for mark in item.iter_markers("worlds"))]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def pytest_unconfigure(config):
    """A world of one that saw a failure ends here: what the failure holds on to can keep MPI from its end."""
    session = config.pluginmanager.get_plugin("session")
    failed = session is not None and getattr(session, "testsfailed", 0)
    if failed and config.getoption("with_mpi", False):
        from mpi4py import MPI

        sys.stdout.flush()
        MPI.COMM_WORLD.Abort(1)
