"""Inspects a shard before a run resumes from it: every checksum is recomputed.

That is done in another process: HDF5 may crash or never return where a damaged file is read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py

import hpcda
from hpcda.errors import InputError, Mistake
from hpcda.results.layout import READABLE, RESUMABLE, SCHEMA, VERSION
from hpcda.store.checksums import DamageError, shard_check
from hpcda.store.current import CurrentPaths
from hpcda.store.ensemble import Ensemble
from hpcda.store.header import header_check
from hpcda.store.minima import Minima, Sketches
from hpcda.store.paths import Paths
from hpcda.store.shards import every_shard, in_use

SERVE = "from hpcda.store.inspection import serve; serve()"
"""What the other process does."""
PATIENCE, RATE = 60.0, 5e6
"""Seconds that one shard may take, and bytes that are read in a second more."""

Kind = Literal["ok", "damaged", "foreign", "older"]


@dataclass(frozen=True)
class Verdict:
    """What a shard is.

    Attributes:
        kind: "ok", "damaged", "foreign" (of another run, or a newer hpcda) or "older" (of an older layout).
        reason: Why it is not "ok".
    """

    kind: Kind
    reason: str = ""


def inspect(
    shard: str | os.PathLike[str], fingerprint: str | Collection[str] | None = None, deep: bool = True
) -> Verdict:
    """What a shard that is not in use is.

    Args:
        shard: The file.
        fingerprint: `Layout.fingerprint` of the run that is to go on from it, or several that are welcome;
            None where it is only read.
        deep: Compute the checksums of all that it holds, not only of what is known before the first start.

    Raises:
        InputError: The file may not be read.
    """
    path = Path(shard)
    try:
        if not path.is_file():
            return Verdict("damaged", "it is not a file")
        if not path.stat().st_size:
            return Verdict("damaged", "it is empty")
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(_unreadable(path, error)) from None
    wanted = {fingerprint} if isinstance(fingerprint, str) else fingerprint
    try:
        with h5py.File(path, "r") as file:
            readable = READABLE if wanted is None else RESUMABLE
            if (stranger := _stranger(file, readable)) is not None:
                return stranger
            _check_header(file)
            if shard_check(file.attrs) != file.attrs["shard_check"] != shard_check(file.attrs, closed=0.0):
                raise DamageError("its attributes do not match their checksum")
            if wanted is not None and str(file.attrs["fingerprint"]) not in wanted:
                return Verdict("foreign", "it belongs to another run: other data, model, ladder or seed")
            if deep:
                _check_all(file)
    except DamageError as error:
        return Verdict("damaged", str(error))
    except Exception as error:  # damaged files make HDF5 and h5py raise nearly anything
        return Verdict("damaged", f"it cannot be read: {_short(error)}")
    return Verdict("ok")


def inspect_apart(
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


def closed_shards(run_dir: Path, required: bool = True) -> list[Path]:
    """The shards of a run, in the order of their names; of each the header is checked.

    Args:
        run_dir: Directory of the run.
        required: Whether there must be one.

    Raises:
        InputError: There is none, one is in use, one is damaged, or they belong to different runs.
    """
    shards = every_shard(run_dir)
    if not shards:
        if required:
            raise InputError(Mistake(os.fspath(run_dir), "it holds no shards", "name the directory of a run"))
        return []
    used = [shard.name for shard in shards if in_use(shard)]
    if used:
        raise InputError(
            Mistake(
                os.fspath(run_dir),
                f"{len(used)} of its {len(shards)} shards are being written ({used[0]})",
                "wait until the run has ended, or follow it with `hpcda status`; if it was killed on another "
                f"host, remove {run_dir / 'shards'}/*.open",
            )
        )
    fingerprints: dict[str, Path] = {}
    for shard in shards:
        verdict = inspect(shard, deep=False)
        if verdict.kind != "ok":
            raise InputError(damage(run_dir, shard, verdict.reason))
        with h5py.File(shard, "r") as file:
            fingerprints.setdefault(str(file.attrs["fingerprint"]), shard)
    if len(fingerprints) > 1:
        first, second, *_ = fingerprints.values()
        raise InputError(
            Mistake(
                os.fspath(run_dir),
                f"{first.name} and {second.name} belong to different jobs",
                "keep one run a directory: move one of them away",
            )
        )
    return shards


def damage(run_dir: Path, shard: Path, reason: str) -> Mistake:
    """What a reader says of a shard that is not what it should be."""
    remedy = f"restore it from a copy, or `hpcda resume {run_dir}`: its starts are repeated"
    return Mistake(os.fspath(shard), reason, remedy)


def check_schema(file: h5py.File, path: Path) -> None:
    """Refuse files that this version cannot read.

    Raises:
        InputError: It is no file of a run, or of another version.
    """
    stranger = _stranger(file)
    if stranger is not None:
        remedy = "read it with the hpcda that wrote it, or run the job again"
        raise InputError(Mistake(os.fspath(path), stranger.reason, remedy))


def _unreadable(path: Path, error: OSError) -> Mistake:
    return Mistake(
        os.fspath(path), f"no permission to read it: {error.strerror}", "make it readable (chmod, chown)"
    )


def _short(error: Exception) -> str:
    text = (str(error).splitlines() or [""])[0][:120]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _stranger(file: h5py.File, readable: Collection[int] = READABLE) -> Verdict | None:
    """None for a file of one of these versions of the layout."""
    if file.attrs.get("schema") != SCHEMA:
        return Verdict("foreign", "it is not a file of an hpcda run")
    version = int(file.attrs["version"])
    if version in readable:
        return None
    kind: Kind = "older" if version < VERSION else "foreign"
    wrote = file["provenance"].attrs.get("hpcda", "") if "provenance" in file else ""
    by = f" (written by hpcda {wrote})" if isinstance(wrote, str) and wrote else ""
    does = "goes on from" if version in READABLE else "reads"
    return Verdict(
        kind, f"its layout has version {version}{by}, this hpcda {does} versions {min(readable)} to {VERSION}"
    )


def _check_header(file: h5py.File) -> None:
    _fits(file)
    if header_check(file) != file.attrs["header_check"]:
        raise DamageError("its header (job, data, axes) does not match its checksum")


def _fits(group: h5py.Group) -> None:
    """Refuse arrays that claim to be larger than the file, before anybody makes room for them."""
    size = Path(group.file.filename).stat().st_size

    def check(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind != "O" and not item.is_virtual:
            if item.size * item.dtype.itemsize > size:
                raise DamageError(f"{name} claims to be larger than the file")

    group.visititems(check)


def _check_all(file: h5py.File) -> None:
    closed = float(file.attrs["closed"]) > 0  # else its process was killed, perhaps while it wrote
    table, last = Ensemble.check(file, closed)
    Paths.check(file, table, last, closed)
    CurrentPaths.check(file, table)
    Sketches.check(file, table)
    Minima.check(file)


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
