"""Reading a finished run: tables in the order of the starts, windows, and paths one at a time.

Nothing stays open: every read opens run.h5 and closes it, so that a RunFile can be sent to another process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcda.errors import InputError, Mistake, StorageError
from hpcda.store.checks import path_check
from hpcda.store.guard import guarded
from hpcda.store.index import build_index, listed, state
from hpcda.store.integrity import BYTES, INDEX, check_rows, check_rungs, damage, inspect
from hpcda.store.marker import in_use
from hpcda.store.schema import PER_RUNG, PER_START, Array, best_of
from hpcda.store.tables import committed_rungs, current_rows
from hpcda.store.undo import mend


@dataclass(frozen=True)
class StoredWindow:
    """One window of data as it was assimilated, and what is known beside it.

    Attributes:
        t: Times, shape (N,).
        data: Measured values, shape (N, L), NaN where there is none.
        noise_std: Standard deviation of their noise, shape (N, L).
        series: Known time series, shape (N, U).
        beyond_t: Times after the window, shape (M,), the first one its last; M = 0 where nothing is known.
        beyond_data: Data kept back, shape (M, L).
        beyond_series: Known time series there, shape (M, U).
        truth_t: Times of the true states, shape (T,); T = 0 where they are unknown.
        truth: True states, shape (T, D).
    """

    t: Array
    data: Array
    noise_std: Array
    series: Array
    beyond_t: Array
    beyond_data: Array
    beyond_series: Array
    truth_t: Array
    truth: Array


@dataclass(frozen=True)
class Header:
    """What a run is about, as its files say it; units beside the names."""

    model: str
    model_title: str
    model_citation: str
    model_kind: str
    time_unit: str
    discretization: str
    alpha: float
    seed: int
    starts: int
    keep_paths: str
    measured: int
    prior_terms: int
    trajectory_unknowns: int
    state: tuple[str, ...]
    state_unit: tuple[str, ...]
    unknown: tuple[str, ...]
    unknown_unit: tuple[str, ...]
    parameter: tuple[str, ...]
    parameter_unit: tuple[str, ...]
    parameter_bounds: Array
    parameter_start: Array
    observed: tuple[str, ...]
    expression: tuple[str, ...]
    series: tuple[str, ...]
    ways: tuple[str, ...]
    rf: Array
    beta: npt.NDArray[np.int64]
    reasons: dict[int, tuple[str, str]]
    not_run: int
    provenance: dict[str, str]
    job_toml: str
    fingerprint: str
    true_parameters: dict[str, float]
    clock: Array
    ranks: int
    lengths: tuple[int, ...]


class RunFile:
    """A run that has ended, or was stopped.

    Attributes:
        run_dir: Its directory.
        header: What it is about.
        start: Numbers of the starts that left something, rising, shape (S,). All tables are in this order.
        committed: Number of committed rungs of each, shape (S,).
        finished: Whether it has ended (else it was interrupted), shape (S,).
        same_as: Number of the start whose path each has become, else its own, shape (S,).
        visited: Which rungs are complete, by the start itself or by the one it is the same as, shape (S, R).
        path_start: Start of every kept path, shape (K,), ordered by start, then rung.
        path_rung: Rung of every kept path, shape (K,).

    Args:
        run_dir: Directory of the run.

    Raises:
        InputError: There is no such run, it is being written, or a shard is missing.
    """

    def __init__(self, run_dir: str | os.PathLike[str]) -> None:
        self.run_dir = Path(run_dir)
        self.file = self.run_dir / INDEX
        if not self.run_dir.is_dir():
            raise InputError(
                Mistake(os.fspath(run_dir), "there is no such directory", "name the directory of a run")
            )
        self._fit_index()
        with self._reading():
            self._read()

    def _fit_index(self) -> None:
        """Make the index anew unless it is whole and the shards are those it was made of.

        Raises:
            InputError: A shard that it names is missing; one has been changed and is damaged; one is in use.
        """
        try:
            known = listed(self.file)
        except FileNotFoundError:
            known = None
        shards = sorted((self.run_dir / "shards").glob("rank-*.h5"))
        there = {f"shards/{shard.name}": shard for shard in shards if not in_use(shard)}
        missing = sorted(set(known or ()) - {f"shards/{shard.name}" for shard in shards})
        if missing:
            raise InputError(
                Mistake(
                    os.fspath(self.run_dir),
                    f"{len(missing)} shards that its index names are not there ({missing[0]})",
                    f"bring them back beside {INDEX}; a run is moved or copied as a whole directory",
                )
            )
        for shard in there.values():
            with suppress(OSError):  # where nothing may be written it is read as it is, and found damaged
                mend(shard)
        changed = [shard for name, shard in there.items() if known is None or known.get(name) != state(shard)]
        for shard, verdict in zip(changed, guarded(changed), strict=True):
            if verdict.kind != "ok":
                raise InputError(damage(self.run_dir, shard, verdict.reason))
        whole = known is not None and len(known) == len(there) == len(shards)
        if whole and not changed:
            return
        try:
            build_index(self.run_dir)
        except StorageError as error:
            if not whole:  # else it is a copy of the run, found in order, in a directory that is only read
                raise InputError(
                    Mistake(
                        os.fspath(self.file),
                        f"it does not fit the shards and cannot be made anew: {error}",
                        "make the directory writable, or copy the run to one that is",
                    )
                ) from None

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what damaged files make HDF5 raise into one mistake, which names a shard that is bad."""
        try:
            yield
        except (InputError, BrokenPipeError):
            raise
        except Exception as error:
            for shard in sorted((self.run_dir / "shards").glob("rank-*.h5")):
                verdict = inspect(shard)
                if verdict.kind != "ok":
                    raise InputError(damage(self.run_dir, shard, verdict.reason)) from error
            raise InputError(
                Mistake(
                    os.fspath(self.file),
                    f"it cannot be read: {type(error).__name__}: {error}",
                    "remove it: it is made again from the shards",
                )
            ) from error

    def _damaged(self, group: str, row: int, reason: str) -> InputError:
        """The mistake that a row of a group, as the index counts them, does not have its check sum."""
        with h5py.File(self.file, "r") as file:
            ends = np.cumsum(file["shards"]["rows" if group == "ensemble" else "paths"][:])
            name = file["shards/file"].asstr()[int(np.searchsorted(ends, row, side="right"))]
        return InputError(damage(self.run_dir, self.run_dir / name, reason))

    def _read(self) -> None:
        with h5py.File(self.file, "r") as file:
            self.header = _header(file)
            ensemble = file["ensemble"]
            table = {name: ensemble[name][:] for name in PER_START}
            start, finished = table["start"], table["finished"]
            rows, closed = file["shards/rows"][:], file["shards/closed"][:] == 1
            good = check_rows(table, strict=np.repeat(closed, rows))
            if not good.all():
                wrong = int(np.argmin(good))
                raise self._damaged("ensemble", wrong, f"start {start[wrong]} does not have its check sum")
            committed = self._committed(file, start, finished, table["committed"])
            self._rows = current_rows(start, finished, committed)
            self.start: npt.NDArray[np.int64] = start[self._rows]
            self.finished: npt.NDArray[np.bool_] = finished[self._rows] == 1
            self.committed: npt.NDArray[np.int32] = committed[self._rows]
            self._trusted = np.zeros(len(self.start), dtype=bool)
            reason = ensemble["reason"][:][self._rows]
            self._own = committed_rungs(reason, self.committed, self.header.not_run)
            self._next = _next(self.start, table["same_as"][self._rows])
            self.same_as: npt.NDArray[np.int64] = self.start[_leaders(self._next)]
            self.visited = self._own.copy()
            for members, others, rungs in self._hops(np.arange(len(self.start))):
                self.visited[members] |= rungs & self._own[others]
            self._place, self.path_start, self.path_rung = self._paths(file)

    def _committed(
        self,
        file: h5py.File,
        start: npt.NDArray[np.int64],
        finished: npt.NDArray[np.int8],
        committed: npt.NDArray[np.int32],
    ) -> npt.NDArray[np.int32]:
        """Number of complete rungs of every row, shape (rows,).

        The mark of a start that was interrupted may come a commit after its rungs: those that have their
        check sum are complete.
        """
        at_work = np.flatnonzero((finished != 1) & (start >= 0))
        if not len(at_work):
            return committed
        ensemble = file["ensemble"]
        table = {name: _rows_of(ensemble[name], at_work) for name in (*PER_RUNG, "parameters", "check")}
        visited = table["reason"] != self.header.not_run
        complete = check_rungs(start[at_work], visited, table)
        complete &= np.cumsum(visited & ~complete, axis=1) == 0
        found = complete.sum(axis=1)
        if np.any(found < committed[at_work]):
            wrong = int(at_work[np.argmax(found < committed[at_work])])
            raise self._damaged(
                "ensemble", wrong, f"a rung of start {start[wrong]} does not have its check sum"
            )
        committed = committed.copy()
        committed[at_work] = found
        return committed

    @property
    def taken_over(self) -> npt.NDArray[np.bool_]:
        """Rungs that a start did not climb because it had become the same as another, shape (S, R)."""
        return self.visited & ~self._own

    def _hops(
        self, positions: npt.NDArray[np.int64]
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
        """Who went on for these starts, and who for those, and so on.

        Yields:
            Which of `positions` had become the same as another, shape (m,); the positions of those others;
            and the rungs above the last own ones of all before them, shape (m, R).
        """
        members, current = np.arange(len(positions)), positions
        later = np.ones((len(positions), self._own.shape[1]), dtype=bool)
        while len(members):
            later &= np.cumsum(self._own[current][:, ::-1], axis=1)[:, ::-1] == 0
            gone = self._next[current] != current
            members, later, current = members[gone], later[gone], self._next[current[gone]]
            if len(members):
                yield members, current, later

    def _paths(
        self, file: h5py.File
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Places of the kept paths that belong to committed rungs, each (start, rung) once."""
        starts, rungs = file["paths/start"][:], file["paths/rung"][:].astype(np.int64)
        order = np.lexsort((np.arange(len(starts)), rungs, starts))
        place = order[starts[order] >= 0]
        position = np.searchsorted(self.start, starts[place])
        position = np.minimum(position, max(len(self.start) - 1, 0))
        if len(self.start) and len(place):
            known = (self.start[position] == starts[place]) & self._own[position, rungs[place]]
            place = place[known]
        else:
            place = place[:0]
        keep = np.ones(len(place), dtype=bool)
        keep[1:] = (np.diff(starts[place]) != 0) | (np.diff(rungs[place]) != 0)
        if self.header.keep_paths != "all":
            keep[:-1] &= np.diff(starts[place]) != 0
        place = place[keep]
        best = best_of(self.header.keep_paths)
        if best is not None and len(place) > best:
            rows = self._rows[np.searchsorted(self.start, starts[place])]
            actions = file["ensemble/action"][:]
            lowest = np.lexsort((actions[rows, rungs[place]], -rungs[place]))[:best]
            place = place[np.sort(lowest)]
        # Of a start that was interrupted the newest path may be half written.
        position = np.searchsorted(self.start, starts[place])
        for k in np.flatnonzero(~self.finished[position] & (rungs[place] == self._last_own(position))):
            if not self._right_paths(file, place[k : k + 1])[0]:
                place[k] = -1
        place = place[place >= 0]
        return place, starts[place], rungs[place].astype(np.int32)

    def _last_own(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        own = self._own[positions]
        return np.where(own.any(axis=1), own.shape[1] - 1 - np.argmax(own[:, ::-1], axis=1), -1)

    @staticmethod
    def _right_paths(file: h5py.File, places: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which stored paths have their check sum; places rising, shape (n,)."""
        names = ("start", "rung", "check", "states", "parameters")
        start, rung, check, states, parameters = (_rows_of(file["paths"][name], places) for name in names)
        found = [
            path_check(int(start[k]), int(rung[k]), states[k], parameters[k]) for k in range(len(places))
        ]
        return np.asarray(np.array(found, dtype=np.uint32) == check, dtype=bool)

    def table(self, name: str, positions: npt.NDArray[np.int64] | None = None) -> npt.NDArray[Any]:
        """One array of /ensemble in the order of the starts; incomplete rungs are NaN, 0 or NOT_RUN.

        Args:
            name: "action", "measurement", …, "parameters" (shape (S, R, P)); "way", "began", … (shape (S,)).
            positions: Positions in `start` of the starts that are wanted; all of them by default.
        """
        wanted = np.arange(len(self.start)) if positions is None else positions
        if name not in PER_START:
            self._check(wanted)
        values = self._stored(name, wanted)
        if name in PER_START:
            return values
        own = self._own[wanted]
        empty = {"reason": self.header.not_run, "iterations": 0, "factorizations": 0}
        values[~own] = empty.get(name, np.nan)
        if name not in ("iterations", "factorizations", "seconds"):
            for members, others, rungs in self._hops(wanted):
                filled = rungs & self._own[others]
                self._check(others)
                part = values[members]
                part[filled] = self._stored(name, others)[filled]
                values[members] = part
        return values

    def _check(self, positions: npt.NDArray[np.int64]) -> None:
        """Compute the check sums of the rungs of some starts, unless that was done before.

        Raises:
            InputError: One is wrong.
        """
        todo = np.unique(positions[~self._trusted[positions]])
        todo = todo[np.argsort(self._rows[todo], kind="stable")]
        width = 8 * self._own.shape[1] * (len(PER_RUNG) + len(self.header.parameter))
        for part in np.array_split(todo, max(1, len(todo) * width // BYTES)):
            if not len(part):
                continue
            names = (*PER_RUNG, "parameters", "check")
            wrong = self._own[part] & ~check_rungs(
                self.start[part], self._own[part], {name: self._stored(name, part) for name in names}
            )
            if wrong.any():
                position, rung = part[np.argwhere(wrong)[0, 0]], int(np.argwhere(wrong)[0, 1])
                start, row = int(self.start[position]), int(self._rows[position])
                reason = f"rung {rung} of start {start} does not have its check sum"
                raise self._damaged("ensemble", row, reason)
            self._trusted[part] = True

    def _stored(self, name: str, positions: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Rows of one array of /ensemble as they are stored."""
        rows = self._rows[positions]
        with self._reading(), h5py.File(self.file, "r") as file:
            dataset = file["ensemble"][name]
            first, end = (int(rows.min()), int(rows.max()) + 1) if rows.size else (0, 0)
            values: npt.NDArray[Any] = dataset[first:end][rows - first]
        return values

    def parts(self, count: int) -> list[npt.NDArray[np.int64]]:
        """Positions of all starts, cut into `count` parts whose rows lie together in the shards."""
        by_row = np.argsort(self._rows, kind="stable")
        return [np.sort(part) for part in np.array_split(by_row, max(1, count)) if len(part)]

    def tables(self) -> dict[str, npt.NDArray[Any]]:
        """All per-rung arrays of shape (S, R) by name."""
        return {name: self.table(name) for name in PER_RUNG}

    @property
    def last(self) -> npt.NDArray[np.int64]:
        """Last complete rung of every start, -1 where there is none, shape (S,)."""
        rungs = self.visited.shape[1]
        return np.where(self.visited.any(axis=1), rungs - 1 - np.argmax(self.visited[:, ::-1], axis=1), -1)

    def windows(self) -> tuple[StoredWindow, ...]:
        """All windows with their data, the data kept back, and the truth."""
        with self._reading(), h5py.File(self.file, "r") as file:
            count = len(self.header.lengths)
            groups: dict[str, list[dict[str, Array]]] = {}
            for group, names in (
                ("windows", ("t", "data", "noise_std", "series")),
                ("beyond", ("t", "data", "series")),
                ("truth", ("t", "states")),
            ):
                if group not in file:
                    empty = {"t": np.zeros(0), "states": np.zeros((0, len(self.header.state)))}
                    empty["data"] = np.zeros((0, len(self.header.observed)))
                    empty["series"] = np.zeros((0, len(self.header.series)))
                    groups[group] = [{name: empty[name] for name in names}] * count
                    continue
                which = file[group]["window"][:]
                arrays = {name: file[group][name][:] for name in names}
                cuts = np.searchsorted(which, np.arange(count + 1))
                groups[group] = [
                    {n: a[b:e] for n, a in arrays.items()} for b, e in zip(cuts, cuts[1:], strict=False)
                ]
        return tuple(
            StoredWindow(
                w["t"],
                w["data"],
                w["noise_std"],
                w["series"],
                b["t"],
                b["data"],
                b["series"],
                t["t"],
                t["states"],
            )
            for w, b, t in zip(groups["windows"], groups["beyond"], groups["truth"], strict=True)
        )

    def split(self, states: Array) -> list[Array]:
        """Cut an array of shape (…, Σ N, D + V) into one a window, each of shape (…, N, D + V)."""
        return np.split(states, np.cumsum(self.header.lengths)[:-1], axis=-2)

    def has_path(self, start: int) -> bool:
        """Whether a path of this start, or of the one it has become the same as, was kept."""
        return any(one in self.path_start for one in self._who(start))

    def _who(self, start: int, rung: int | None = None) -> tuple[int, ...]:
        """The starts that a path of this one may be kept with; the one it became at last comes first.

        Args:
            start: The start.
            rung: Rung of the path; None for the last.
        """
        position = int(np.searchsorted(self.start, start))
        if position >= len(self.start) or self.start[position] != start:
            return (start,)
        wanted = np.array([position])
        chain = [start, *(int(self.start[others[0]]) for _, others, _ in self._hops(wanted))]
        if rung is None:
            return tuple(reversed(chain))
        gone = [bool(rungs[0, rung]) for _, _, rungs in self._hops(wanted)]
        return (chain[sum(gone)],)

    def path_places(self, start: int, rung: int | None = None) -> int:
        """Position among the kept paths of the one of a start at a rung, by default its last.

        Raises:
            KeyError: It was not kept.
        """
        for one in self._who(start, rung):
            begin, end = np.searchsorted(self.path_start, [one, one + 1])
            found = np.arange(begin, end)
            if rung is not None:
                found = found[self.path_rung[begin:end] == rung]
            if len(found):
                return int(found[-1])
        where = "" if rung is None else f" at rung {rung}"
        raise KeyError(f"no path of start {start}{where} was kept (keep_paths = {self.header.keep_paths!r})")

    def paths(self, places: npt.ArrayLike) -> tuple[Array, Array]:
        """Kept paths by their positions: states, shape (n, Σ N, D + V), and parameters, shape (n, P)."""
        wanted = self._place[np.asarray(places, dtype=np.int64)]
        order = np.argsort(wanted, kind="stable")
        unique, inverse = np.unique(wanted[order], return_inverse=True)
        with self._reading(), h5py.File(self.file, "r") as file:
            group = file["paths"]
            start, rung, check, states, parameters = (
                _rows_of(group[name], unique) for name in ("start", "rung", "check", "states", "parameters")
            )
        for k, place in enumerate(unique):
            if path_check(int(start[k]), int(rung[k]), states[k], parameters[k]) != check[k]:
                reason = f"the path of start {start[k]} does not have its check sum"
                raise self._damaged("paths", int(place), reason)
        back = np.empty(len(wanted), dtype=np.int64)
        back[order] = inverse
        return states[back], parameters[back]

    def path(self, start: int, rung: int | None = None) -> tuple[list[Array], Array]:
        """A kept path: one array of shape (N, D + V) a window, and the parameters, shape (P,).

        Args:
            start: Number of the start.
            rung: Rung; by default the last that was kept.

        Raises:
            KeyError: It was not kept.
        """
        states, parameters = self.paths([self.path_places(start, rung)])
        return self.split(states[0]), parameters[0]


def _next(start: npt.NDArray[np.int64], same_as: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Position of the start that went on for each, its own where that one left nothing, or none did."""
    place = np.minimum(np.searchsorted(start, same_as), max(len(start) - 1, 0))
    known = (same_as >= 0) & (start[place] == same_as) if len(start) else same_as >= 0
    return np.asarray(np.where(known, place, np.arange(len(start))), dtype=np.int64)


def _leaders(leader: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Position of the start whose path each has become at last."""
    while not np.array_equal(leader[leader], leader):
        leader = leader[leader]
    return leader


def _header(file: h5py.File) -> Header:
    attributes, axes = file.attrs, file["axes"]

    def names(dataset: Any) -> tuple[str, ...]:
        return tuple(str(name) for name in dataset.asstr()[:])

    def units(dataset: Any) -> tuple[str, ...]:
        return tuple(str(unit) for unit in dataset.attrs.get("unit", []))

    def pairs(key: str) -> Array:
        return np.asarray(axes["parameter"].attrs.get(key, np.zeros((0, 2))), dtype=np.float64)

    reasons = file["reasons"]
    codes = (int(code) for code in reasons["code"][:])
    table = dict(
        zip(codes, zip(names(reasons["name"]), names(reasons["sentence"]), strict=True), strict=True)
    )
    true = {}
    if "truth" in file:
        true = dict(zip(names(file["truth/parameter"]), map(float, file["truth/value"][:]), strict=True))
    return Header(
        model=str(attributes["model"]),
        model_title=str(attributes["model_title"]),
        model_citation=str(attributes["model_citation"]),
        model_kind=str(attributes["model_kind"]),
        time_unit=str(attributes["time_unit"]),
        discretization=str(attributes["discretization"]),
        alpha=float(attributes["alpha"]),
        seed=int(attributes["seed"]),
        starts=int(attributes["starts"]),
        keep_paths=str(attributes["keep_paths"]),
        measured=int(attributes["measured"]),
        prior_terms=int(attributes["prior_terms"]),
        trajectory_unknowns=int(attributes["trajectory_unknowns"]),
        state=names(axes["state"]),
        state_unit=units(axes["state"]),
        unknown=names(axes["unknown"]),
        unknown_unit=units(axes["unknown"]),
        parameter=names(axes["parameter"]),
        parameter_unit=units(axes["parameter"]),
        parameter_bounds=pairs("bounds"),
        parameter_start=pairs("start"),
        observed=names(axes["observed"]),
        expression=names(axes["expression"]),
        series=names(axes["series"]),
        ways=names(file["ways"]),
        rf=axes["rf"][:],
        beta=axes["beta"][:],
        reasons=table,
        not_run=int(attributes["not_run"]),
        provenance={key: str(value) for key, value in file["provenance"].attrs.items()},
        job_toml=str(file["job"].asstr()[()]),
        fingerprint=str(attributes["fingerprint"]),
        true_parameters=true,
        clock=file["shards/clock"][:],
        ranks=len(np.unique(file["shards/rank"][:])),
        lengths=tuple(
            int(n) for n in np.bincount(file["windows/window"][:], minlength=int(attributes["windows"]))
        ),
    )


def _rows_of(dataset: h5py.Dataset, rows: npt.NDArray[np.int64]) -> Array:
    """Rows by rising number, read stretch by stretch: HDF5 is slow with scattered selections."""
    stretches = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    parts = [dataset[int(part[0]) : int(part[-1]) + 1] for part in stretches if len(part)]
    return np.concatenate(parts) if parts else np.zeros((0, *dataset.shape[1:]))
