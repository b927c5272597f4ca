"""Is a shard what it should be? Every check sum in it is computed again before a run goes on from it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt

from hpcda.errors import InputError, Mistake
from hpcda.store.checks import BEGIN, END, path_check, row_checks, rung_checks, shard_check
from hpcda.store.header import header_check
from hpcda.store.marker import in_use
from hpcda.store.schema import PER_RUNG, PER_START, READABLE, SCHEMA, VERSION
from hpcda.store.tables import committed_rungs, rows_in, used_rows

INDEX = "run.h5"
BYTES = 64 * 2**20
"""Bytes of a table or of paths that are read at a time."""

Kind = Literal["ok", "damaged", "foreign", "older"]


class DamageError(Exception):
    """A file does not hold what was written into it."""


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
        deep: Compute the check sums of all that it holds, not only of what is known before the first start.

    Raises:
        InputError: The file may not be read.
    """
    path = Path(shard)
    try:
        if not path.is_file():
            return Verdict("damaged", "it is no file")
        if not path.stat().st_size:
            return Verdict("damaged", "it is empty")
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(_unreadable(path, error)) from None
    wanted = {fingerprint} if isinstance(fingerprint, str) else fingerprint
    try:
        with h5py.File(path, "r") as file:
            readable = READABLE if wanted is None else (VERSION,)
            if (stranger := _stranger(file, readable)) is not None:
                return stranger
            _check_header(file)
            if shard_check(file.attrs) != file.attrs["shard_check"] != shard_check(file.attrs, closed=0.0):
                raise DamageError("its attributes do not have their check sum")
            if wanted is not None and str(file.attrs["fingerprint"]) not in wanted:
                return Verdict("foreign", "it belongs to another run: other data, model, ladder or seed")
            if deep:
                _check_all(file)
    except DamageError as error:
        return Verdict("damaged", str(error))
    except Exception as error:  # damaged files make HDF5 and h5py raise nearly anything
        return Verdict("damaged", f"it cannot be read: {_short(error)}")
    return Verdict("ok")


def closed_shards(run_dir: Path, required: bool = True) -> list[Path]:
    """The shards of a run, in the order of their names; of each the header is checked.

    Args:
        run_dir: Directory of the run.
        required: Whether there must be one.

    Raises:
        InputError: There is none, one is in use, one is damaged, or they belong to different runs.
    """
    shards = sorted((run_dir / "shards").glob("rank-*.h5"))
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
    remedy = f"bring it back from a copy, or `hpcda resume {run_dir}`: its starts are run again"
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


def check_rungs(
    start: npt.NDArray[np.int64], visited: npt.NDArray[np.bool_], table: dict[str, npt.NDArray[Any]]
) -> npt.NDArray[np.bool_]:
    """Which of the visited rungs have their check sum, shape (S, R).

    Args:
        start: Number of the start of each row, shape (S,).
        visited: Rungs to be checked, shape (S, R).
        table: The arrays of `PER_RUNG`, "parameters" and "check" by name, their first axes (S, R).
    """
    row, rung = np.nonzero(visited)
    found = rung_checks(
        start[row], rung, {name: table[name][row, rung] for name in PER_RUNG}, table["parameters"][row, rung]
    )
    good = np.zeros(visited.shape, dtype=bool)
    good[row, rung] = found == table["check"][row, rung]
    return good


def check_rows(
    table: dict[str, npt.NDArray[Any]], strict: bool | npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Which rows say of themselves what was written, shape (S,).

    Args:
        table: The arrays of `PER_START` by name, shape (S,).
        strict: Whether the shard of each was closed; else a row that counts as not begun may be half written.
    """
    finished = table["finished"] == 1
    begun = finished | (table["committed"] > 0) | strict
    right = (row_checks(BEGIN, table) == table["begin_check"]) & (
        ~finished | (row_checks(END, table) == table["end_check"])
    )
    known = (table["finished"] == 0) & ~(strict & (table["end_check"] != 0)) | finished
    good: npt.NDArray[np.bool_] = known & (right | ~begun) & (table["committed"] >= 0)
    return good


def _unreadable(path: Path, error: OSError) -> Mistake:
    return Mistake(
        os.fspath(path), f"it may not be read: {error.strerror}", "make it readable (chmod, chown)"
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
    return Verdict(kind, f"its layout has version {version}{by}, this hpcda {does} version {VERSION}")


def _check_header(file: h5py.File) -> None:
    _fits(file)
    if header_check(file) != file.attrs["header_check"]:
        raise DamageError("its header (job, data, axes) does not have its check sum")


def _fits(group: h5py.Group) -> None:
    """Refuse arrays that claim to be larger than the file, before anybody makes room for them."""
    size = Path(group.file.filename).stat().st_size

    def check(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind != "O" and not item.is_virtual:
            if item.size * item.dtype.itemsize > size:
                raise DamageError(f"{name} claims to be larger than the file")

    group.visititems(check)


def _check_all(file: h5py.File) -> None:
    ensemble, paths, current = file["ensemble"], file["paths"], file["current"]
    rungs = len(file["axes/rf"])
    if any(ensemble[name].shape[1] != rungs for name in (*PER_RUNG, "check")):
        raise DamageError("its tables do not have the rungs of its ladder")
    closed = float(file.attrs["closed"]) > 0  # else its process was killed, perhaps while it wrote
    used = rows_in(ensemble)
    begun = np.flatnonzero(ensemble["begin_check"][:])
    if closed and max(used_rows(ensemble["start"][:]), begun[-1] + 1 if len(begun) else 0) > used:
        raise DamageError("rows are missing at its end")
    table = {name: ensemble[name][:used] for name in PER_START}
    good = check_rows(table, strict=closed) & (table["start"] >= 0)
    if not good.all():
        raise DamageError(f"row {int(np.argmin(good))} does not have its check sum")
    last = np.full(used, -1)
    for part in _parts(used, 8 * rungs * (len(PER_RUNG) + ensemble["parameters"].shape[2])):
        last[part] = _check_rungs(file, ensemble, table, part, closed)
    _check_paths(paths, table, last, closed)
    _check_current(current, table)
    if "ended" in file:
        _check_sketches(file["ended"], table)
    if "minima" in file:
        _check_minima(file["minima"])


def _parts(rows: int, width: int) -> Iterator[slice]:
    step = max(1, BYTES // max(width, 1))
    for begin in range(0, rows, step):
        yield slice(begin, min(begin + step, rows))


def _check_rungs(
    file: h5py.File, ensemble: h5py.Group, table: dict[str, npt.NDArray[Any]], part: slice, closed: bool
) -> npt.NDArray[np.int64]:
    """Check some rows; the last committed rung of each, -1 where there is none."""
    values = {name: ensemble[name][part] for name in (*PER_RUNG, "parameters", "check")}
    start, committed = table["start"][part], table["committed"][part]
    complete = committed_rungs(values["reason"], committed, int(file.attrs["not_run"]))
    short = complete.sum(axis=1) != committed
    if short.any():
        raise DamageError(f"start {int(start[np.argmax(short)])} has fewer rungs than were committed")
    wrong = np.argwhere(complete & ~check_rungs(start, complete, values))
    if len(wrong):
        row, rung = wrong[0]
        raise DamageError(f"rung {int(rung)} of start {int(start[row])} does not have its check sum")
    ended = (table["finished"][part] == 1) | closed
    more = ended & ((values["check"] != 0).sum(axis=1) > committed)
    if more.any():
        raise DamageError(f"start {int(start[np.argmax(more)])} has more rungs than were committed")
    rungs = complete.shape[1]
    return np.where(complete.any(axis=1), rungs - 1 - np.argmax(complete[:, ::-1], axis=1), -1)


def _check_paths(
    paths: h5py.Group, table: dict[str, npt.NDArray[Any]], last: npt.NDArray[np.int64], closed: bool
) -> None:
    used = rows_in(paths)
    if closed and used < used_rows(paths["start"][:]):
        raise DamageError("paths are missing at its end")
    start, rung, check = (paths[name][:used] for name in ("start", "rung", "check"))
    ended = dict(zip(table["start"].tolist(), (table["finished"] == 1).tolist(), strict=True))
    reached = dict(zip(table["start"].tolist(), last.tolist(), strict=True))
    width = 8 * int(np.prod(paths["states"].shape[1:]) + paths["parameters"].shape[1])
    for part in _parts(used, width):
        states, parameters = paths["states"][part], paths["parameters"][part]
        for k, place in enumerate(range(part.start, part.stop)):
            one, at = int(start[place]), int(rung[place])
            if one == -1 or path_check(one, at, states[k], parameters[k]) == check[place]:
                continue
            # What a killed process was writing belongs to a start that had not ended.
            if closed or ended.get(one) or at < reached.get(one, -1):
                raise DamageError(f"the path of start {one} does not have its check sum")


def _check_current(current: h5py.Group, table: dict[str, npt.NDArray[Any]]) -> None:
    slots = min(len(array) for array in current.values())
    for slot, row in enumerate(current["row"][:slots]):
        if not 0 <= row < len(table["start"]):
            continue
        committed, start = int(table["committed"][row]), int(table["start"][row])
        if table["finished"][row] or not committed:
            continue
        copy = committed % 2
        if path_check(start, committed, current["path"][slot, copy]) != current["check"][slot, copy]:
            raise DamageError(f"the newest path of start {start} does not have its check sum")


def _check_sketches(ended: h5py.Group, table: dict[str, npt.NDArray[Any]]) -> None:
    finished = np.flatnonzero(table["finished"] == 1)
    if len(finished) and finished[-1] >= min(len(array) for array in ended.values()):
        raise DamageError("sketches are missing at its end")
    check = ended["check"][:]
    for part in _parts(len(table["start"]), 8 * ended["sketch"].shape[1]):
        sketches = ended["sketch"][part]
        for row in finished[(finished >= part.start) & (finished < part.stop)]:
            sketch, start = sketches[row - part.start], int(table["start"][row])
            if check[row] == 0 and np.isnan(sketch).all():
                continue
            if path_check(start, int(table["committed"][row]), sketch) != check[row]:
                raise DamageError(f"the sketch of start {start} does not have its check sum")


def _check_minima(minima: h5py.Group) -> None:
    for place in range(rows_in(minima)):
        start = int(minima["start"][place])
        if start != -1 and path_check(start, 0, minima["path"][place]) != minima["check"][place]:
            raise DamageError(f"the minimum of start {start} does not have its check sum")
