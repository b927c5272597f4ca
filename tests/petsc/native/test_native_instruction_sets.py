"""A whole ensemble and a search, stored: the same results whatever instructions the code is made of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("petsc4py", reason="the minimizers are PETSc's")

import hpcda
from hpcda.store import RunFile
from tests.lives.compare import same_run
from tests.lives.jobs import WRONG, job
from tests.lives.kills import write_job
from tests.machine import instruction_sets

pytestmark = pytest.mark.petsc
SETS = instruction_sets()
FUSED = [one for one in SETS if one != "x86-64-v2"]
"""Those that have fused multiply-add."""
JOBS = {
    "ensemble": job(ladder={"rungs": 12}, output={"keep_paths": "all"}),
    "search": job(WRONG, ensemble={"merge": False, "starts": 24}),
}


@pytest.fixture(scope="module", params=JOBS)
def runs(request, tmp_path_factory):
    """Runs of a job, one by each instruction set and one by that of the processor."""
    folder = tmp_path_factory.mktemp(request.param)
    file = write_job(JOBS[request.param], folder / "job.toml")

    def by(march):
        run = folder / march
        if not run.exists():
            quickly = Path(__file__).parents[2] / "lives" / "quickly.py"
            command = [sys.executable, str(quickly), "run", str(file), "--output", str(run), "--quiet"]
            environment = os.environ | {"HPCDA_MARCH": march}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        return run

    return by


@pytest.mark.skipif(len(FUSED) < 2, reason="only one instruction set here has fused multiply-add")
@pytest.mark.parametrize("march", [*FUSED[1:], "native"])
def test_with_fused_multiply_add_every_number_that_is_stored_is_the_same(runs, march):
    same_run(RunFile(runs(FUSED[0])), RunFile(runs(march)))


@pytest.mark.skipif(not FUSED, reason="this processor has no fused multiply-add")
def test_without_it_the_lowest_level_is_the_same(runs):
    without, wanted = (hpcda.open_run(runs(one)).levels[0] for one in ("x86-64-v2", FUSED[0]))
    assert without.action == pytest.approx(wanted.action, rel=1e-9)
