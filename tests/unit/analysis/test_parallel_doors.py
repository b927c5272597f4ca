"""Nobody else's door: no socket listens while a run is analyzed, and workers end with who started them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpcda.process import born
from tests.unit.synthetic_run import make_layout, write_run
from tests.waiting import until

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux' /proc")
LISTEN = "0A"
"""State of a TCP socket that listens, in /proc/net/tcp."""
ACCEPTS = 0x10000
"""Flag of a Unix socket that listens, in /proc/net/unix."""


def family(pid: int) -> set[int]:
    """A process and all that descend from it."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1])
    found, more = set(), {pid}
    while more:
        found |= more
        more = {child for child, parent in parents.items() if parent in found} - found
    return found


def sockets(pids: set[int]) -> set[int]:
    """Inodes of the sockets that processes hold."""
    inodes = set()
    for pid in pids:
        try:
            names = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        inodes |= {int(name[8:-1]) for name in names if name.startswith("socket:[")}
    return inodes


def listening() -> dict[int, str]:
    """Inode -> address of every socket of this machine that listens: TCP and Unix, abstract ones too."""
    found = {}
    for name in ("tcp", "tcp6"):
        table = Path(f"/proc/net/{name}")
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            fields = line.split()
            if fields[3] == LISTEN:
                found[int(fields[9])] = f"{name} {fields[1]}"
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if int(fields[3], 16) & ACCEPTS:
            found[int(fields[6])] = f"unix {fields[7] if len(fields) > 7 else ''}"
    return found


def doors(pid: int) -> set[str]:
    """Addresses at which a process, or one that descends from it, listens."""
    there = listening()
    return {there[inode] for inode in sockets(family(pid)) if inode in there}


OPENED = """
import socket, subprocess, sys
code = '''
import socket, sys
one = socket.create_server(("127.0.0.1", 0))
two = socket.socket(socket.AF_UNIX); two.bind("\\\\0hpcda-%d" % one.getsockname()[1]); two.listen()
print("open", flush=True); sys.stdin.read()
'''
subprocess.run([sys.executable, "-c", code])
"""


def test_doors_of_descendants_are_seen():
    """So that the test below can fail."""
    with subprocess.Popen(
        [sys.executable, "-c", OPENED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "open\n"
        found = doors(child.pid)
        child.stdin.close()
    assert {name.partition(" ")[0] for name in found} == {"tcp", "unix"}
    assert any(name.startswith("unix @hpcda-") for name in found)


def workers_of(pid: int) -> set[int]:
    """Worker processes that a process has spawned."""
    found = set()
    for child in family(pid) - {pid}:
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if b"multiprocessing.spawn" in words:
            found.add(child)
    return found


def test_no_door_is_open_while_a_run_is_analyzed(tmp_path):
    write_run(tmp_path / "run", make_layout())
    command = [sys.executable, "-m", "hpcda", "analyze", str(tmp_path / "run"), "--workers", "2"]
    seen, most, looks = set(), 0, 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        while child.poll() is None:
            seen |= doors(child.pid)
            most, looks = max(most, len(workers_of(child.pid))), looks + 1
            time.sleep(0.02)
        said = child.stderr.read()
    assert child.returncode == 0, said
    assert (tmp_path / "run" / "analysis" / "summary.json").is_file()
    assert most == 2 and looks > 10
    assert seen == set()


def test_a_small_run_starts_no_process(tmp_path, monkeypatch):
    from hpcda.analysis import analyze

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr("hpcda.analysis.parallel.ProcessPoolExecutor", refused)
    layout = make_layout()
    write_run(tmp_path / "run", layout)
    assert analyze(tmp_path / "run", problem=layout.problem)["starts"] == 40
    with pytest.raises(AssertionError, match="a worker was started"):
        analyze(tmp_path / "run", problem=layout.problem, processes=1)


KILLED = """
import time
from hpcda.analysis.parallel import workers
if __name__ == "__main__":
    with workers(processes=2) as mapping:
        print("ready", flush=True)
        mapping(time.sleep, [(60,), (60,)])
"""


def test_workers_end_with_who_started_them(tmp_path):
    script = tmp_path / "analysis.py"
    script.write_text(KILLED)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        until(lambda: len(workers_of(child.pid)) == 2, "two workers run")
        until(lambda: all(ready(pid) for pid in workers_of(child.pid)), "they are at work")
        pids = {pid: born(pid) for pid in workers_of(child.pid)}
        child.send_signal(signal.SIGKILL)
    until(lambda: not any(born(pid) == began for pid, began in pids.items()), "for them to end")


def ready(pid: int) -> bool:
    """Whether a worker has the thread that waits for its parent."""
    tasks = Path(f"/proc/{pid}/task")
    return tasks.is_dir() and len(list(tasks.iterdir())) > 1
