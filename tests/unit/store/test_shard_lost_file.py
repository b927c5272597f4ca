"""A shard whose file can no longer be written, not even to close it: one error, a clean end, whole rungs."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from hpcda.store import RunFile
from hpcda.store.inspection import inspect
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[3]
CODE = """
import os, sys
sys.path.append({root!r})
from tests.unit.store.test_store import Task, make_layout, path_of, put, record
from hpcda.errors import StorageError
from hpcda.store import Shard

layout = make_layout(rungs=40, starts=100)
shard = Shard.create({folder!r}, 0, layout)
try:
    for start in range(100):
        row = shard.begin(Task(start, "quiet"))
        for rung in range(40):
            value = 1000.0 * start + rung + 1
            put(shard, row, rung, record(value, (value,)), path_of(layout, value))
            if start == 7 and rung == 11:  # from now on every write fails
                os.dup2(os.open(shard.path, os.O_RDONLY), shard._file.id.get_vfd_handle())
        shard.finish(row, path_of(layout, value))
except StorageError as error:
    print(error)
shard.close()
sys.exit(5)
"""


def test_a_file_that_cannot_be_written_nor_closed(tmp_path):
    code = CODE.format(root=str(ROOT), folder=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 5, done.stderr
    assert done.stdout.startswith(
        f"{tmp_path}/shards/rank-0000.h5: it cannot be written: Bad file descriptor"
    )
    assert done.stderr == ""
    assert inspect(tmp_path / "shards" / "rank-0000.h5").kind == "ok"
    file = RunFile(tmp_path)
    np.testing.assert_array_equal(file.start, np.arange(8))
    assert file.committed.tolist() == [40] * 7 + [12]
    assert file.table("action")[7, 11] == 7012.0
