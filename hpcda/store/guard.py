"""Inspecting shards in another process: HDF5 may crash or never return where a damaged file is read."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

import hpcda
from hpcda.errors import InputError, Mistake
from hpcda.store.integrity import Verdict, inspect

SERVE = "from hpcda.store.guard import serve; serve()"
"""What the other process does."""
PATIENCE, RATE = 60.0, 5e6
"""Seconds that one shard may take, and bytes that are read in a second more."""


def guarded(
    shards: Sequence[Path], fingerprint: Collection[str] | None = None, patience: float = PATIENCE
) -> list[Verdict]:
    """`inspect` of several shards; one that ends the process, or holds it up, is damaged.

    Args:
        shards: The files.
        fingerprint: Of the run, or several that are welcome; None for any.
        patience: Seconds that an empty file may take.

    Raises:
        InputError: A file may not be read.
    """
    verdicts: list[Verdict] = []
    while len(verdicts) < len(shards):
        verdicts += _some(shards[len(verdicts) :], fingerprint, patience)
    return verdicts


def serve() -> None:
    """The other process: answers each shard named on standard input with a line on standard output."""
    fingerprint = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        try:
            verdict = inspect(json.loads(line), fingerprint)
            answer = [verdict.kind, verdict.reason]
        except InputError as error:
            (mistake,) = error.mistakes
            answer = ["", mistake.place, mistake.problem, mistake.remedy]
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _some(shards: Sequence[Path], fingerprint: Collection[str] | None, patience: float) -> list[Verdict]:
    """Verdicts up to the first shard that ends the process."""
    source = str(Path(hpcda.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {source!r}); {SERVE}"
    verdicts: list[Verdict] = []
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        names = None if fingerprint is None else sorted(fingerprint)
        question = json.dumps(names) + "\n"
        for shard in shards:
            size = shard.stat().st_size if shard.is_file() else 0
            limit = threading.Timer(patience + size / RATE, process.kill)
            limit.start()
            try:
                process.stdin.write(question + json.dumps(str(shard)) + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            late = not limit.is_alive()
            limit.cancel()
            question = ""
            if not answer:
                process.kill()
                reason = "it cannot be read: HDF5 " + ("does not return" if late else "crashes")
                verdicts.append(Verdict("damaged", reason))
                break
            kind, *words = json.loads(answer)
            if not kind:
                process.kill()
                raise InputError(Mistake(*words))
            verdicts.append(Verdict(kind, words[0]))
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
    return verdicts
