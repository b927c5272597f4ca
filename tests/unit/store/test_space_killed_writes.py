"""A writer that is killed before any one of its calls of the operating system: no committed rung is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpcda.native.compile import compiler
from hpcda.store import Part, RunFile, clear, survey
from hpcda.store.inspection import inspect
from hpcda.store.space import journal_of, roll_back
from tests.unit.synthetic_run import make_layout

ROOT = Path(__file__).parents[3]
KILLS = 20
COUNTER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

long calls = 0, last = -1; /* the process is killed before the call of number `last`; if negative, never */

#define COUNTED(type, name, given, names)                   \\
    type name given                                         \\
    {                                                       \\
        static type (*next) given;                          \\
        if (!next) next = (type(*) given)dlsym(RTLD_NEXT, #name); \\
        if (calls++ == last) kill(getpid(), SIGKILL);       \\
        return next names;                                  \\
    }
COUNTED(ssize_t, pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size, at))
COUNTED(ssize_t, pwrite64, (int file, const void *data, size_t size, off_t at), (file, data, size, at))
COUNTED(ssize_t, write, (int file, const void *data, size_t size), (file, data, size))
COUNTED(int, ftruncate, (int file, off_t size), (file, size))
COUNTED(int, ftruncate64, (int file, off_t size), (file, size))
COUNTED(int, rename, (const char *from, const char *to), (from, to))
COUNTED(int, unlink, (const char *name), (name))
"""

WRITER = """
import contextlib, ctypes, json, mmap, os, sys
from dataclasses import replace
from pathlib import Path
sys.path.append({root!r})
import numpy as np
from tests.unit.store.test_store import Task, make_layout, path_of, put, record
from hpcda.store import Shard
from hpcda.store.space import Space

library = ctypes.CDLL({library!r})
calls, last = (ctypes.c_long.in_dll(library, name) for name in ("calls", "last"))
folder, told, growths = Path({folder!r}), mmap.mmap(-1, 8), []
layout = replace(make_layout(rungs=3, starts=40, keep_paths={keep!r}), sketch=3, minima=True)
grow = Space.growing


@contextlib.contextmanager
def growing(space):
    with grow(space):
        yield
        before = calls.value
    growths.extend(range(before, calls.value + 1))


def write(place, kill):
    shard = Shard.create(place, 0, layout)
    calls.value, last.value = 0, kill
    for start in range(34):
        row = shard.begin(Task(start, "quiet"))
        for rung in range(3):
            value = 1000.0 * start + rung + 1
            put(shard, row, rung, record(value, (value,)), path_of(layout, value))
            told[:8] = np.array([start, rung], dtype="i4").tobytes()
        shard.finish(row, path_of(layout, value), np.full(3, value))
        shard.keep_minima({{start: path_of(layout, value)}}, ())
    growths.extend(range(calls.value, calls.value + 100))
    shard.close()
    return calls.value


def forked(action):
    child = os.fork()
    if not child:
        try:
            action()
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


def whole():
    Space.growing = growing
    total = write(folder / "whole", -1)
    (folder / "growths.json").write_text(json.dumps([one for one in growths if one < total]))


forked(whole)
growths = json.loads((folder / "growths.json").read_text())
kills = sorted({{*growths[:: max(1, len(growths) // {kills})], *growths[-6:]}})
found = []
for kill in kills:
    told[:8] = bytes(8)
    assert os.WTERMSIG(forked(lambda: write(folder / str(kill), kill))) == 9
    found.append([kill, *np.frombuffer(told[:8], dtype="i4").tolist()])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counter")
    (folder / "counter.c").write_text(COUNTER)
    command = [*compiler(), "-shared", "-fPIC", "-O1", "-o", "counter.so", "counter.c", "-ldl"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "counter.so"


@pytest.mark.skipif(sys.platform != "linux", reason="calls are counted by a preloaded library")
@pytest.mark.parametrize("keep", ["final", "all"])
def test_a_kill_while_a_shard_grows_or_is_closed(tmp_path, library, keep):
    words = {"root": str(ROOT), "library": str(library), "folder": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", WRITER.format(**words, keep=keep, kills=KILLS)],
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    layout = replace(make_layout(rungs=3, starts=40, keep_paths=keep), sketch=3, minima=True)
    mended = 0
    for kill, start, rung in json.loads(done.stdout):
        folder = tmp_path / str(kill)
        shard = folder / "shards" / "rank-0000.h5"
        mended += journal_of(shard).exists()
        roll_back(shard)
        clear(folder, Part())
        assert inspect(shard, layout.fingerprint).kind == "ok", (kill, inspect(shard))
        state = survey(folder, Part(), layout)
        assert state.ended[: start + (rung == 2)].sum() >= start, kill
        assert not list((folder / "shards").glob("*.undo"))
        if not start and not rung:
            continue
        one = state.checkpoint(start)
        assert len(one.rungs) > rung and (one.values["action"] == 1000 * start + one.rungs + 1).all(), kill
        assert one.finished or (one.path == 1000 * start + one.rungs[-1] + 1).all(), kill
    file = RunFile(folder)
    assert np.array_equal(file.start[file.finished][:start], np.arange(start)), kill
    for place in ((int(file.path_start[k]), int(file.path_rung[k])) for k in (0, -1)):
        assert (file.path(*place)[0][0] == 1000 * place[0] + place[1] + 1).all(), kill
    assert mended >= KILLS // 2
