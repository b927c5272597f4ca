"""Families of factors with one kernel and one loss, and where the derivatives of each instance are added.

A family is the factors of one kernel and one loss. Entries of the Hessian are numbered in the order of its
upper triangle, row after row; an instance's own entries that stand side by side there are a run, so that the
tables hold one number a run and instance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.action.factors import DataLoss, Factors
from hpcda.action.kernel import Kernel, c_array
from hpcda.action.structure import Sparsity
from hpcda.models.traced import Traced
from hpcda.native.kernels import source
from hpcda.native.unit import unit
from hpcda.problem import Numbers

_FIRST = ("measurement", "model", "prior")
AT_ONCE = 4_000_000
"""Hessian entries that are looked at together in planning."""
_FUNCTIONS = ("values", "jacobian", "hessian")


@dataclass(frozen=True, eq=False)
class Entries:
    """Where the derivatives of one family go.

    Attributes:
        bends: (row, row) of the entries of B.
        products: For each of these (entry of J, entry of J, place among the instance's Hessian entries).
        second: Place of each entry of the kernel's own Hessian.
        pairs: (unknown, unknown) of the instance's Hessian entries, numbers within the instance.
    """

    bends: list[tuple[int, int]]
    products: list[list[tuple[int, int, int]]]
    second: list[int]
    pairs: npt.NDArray[np.int64]

    @classmethod
    def of(cls, kernel: Kernel, bends: list[tuple[int, int]], index: Numbers) -> Entries:
        """Those of a kernel whose loss has second derivatives `bends`; `index`: unknowns of one instance."""
        if kernel.curvature:
            return cls(bends, [[] for _ in bends], [], np.array(kernel.curvature, dtype=np.int64))
        rows: list[list[tuple[int, int]]] = [[] for _ in range(kernel.rows)]
        for entry, (row, unknown) in enumerate(kernel.jacobian):
            rows[row].append((entry, unknown))
        found: list[list[tuple[int, int, tuple[int, int]]]] = []
        for k, l in bends:  # noqa: E741
            own = []
            for at, (e, a) in enumerate(rows[k]):
                for f, b in rows[l] if k != l else rows[k][at:]:
                    own += [(e, f, (min(a, b), max(a, b)))] * (2 if k != l and a == b else 1)
            found.append(own)
        second = [(min(pair), max(pair)) for pair in kernel.hessian]
        needed = {pair for own in found for *_, pair in own} | set(second)
        order = sorted(needed, key=lambda pair: sorted((index[pair[0]], index[pair[1]])))
        place = {pair: number for number, pair in enumerate(order)}
        products = [[(e, f, place[pair]) for e, f, pair in own] for own in found]
        pairs = np.array(order, dtype=np.int64).reshape(-1, 2)
        return cls(bends, products, [place[pair] for pair in second], pairs)


@dataclass(frozen=True, eq=False)
class Runs:
    """Hessian entries of a family that stand side by side in the upper triangle, in every instance.

    Attributes:
        begins: First entry of each run, and the number of entries, shape (runs + 1,).
        first: Row · size + column of the first entry of each run, shape (instances, runs).
    """

    begins: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]

    @classmethod
    def of(cls, size: int, index: Numbers, pairs: npt.NDArray[np.int64]) -> Runs:
        """Those of instances with the unknowns `index`, shape (instances, unknowns), of `size` in all."""
        entries = len(pairs)

        def keys(part: slice, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
            a, b = (index[part][:, chosen[:, side]] for side in (0, 1))
            return np.asarray(np.minimum(a, b) * size + np.maximum(a, b), dtype=np.int64)

        together = np.ones(max(entries - 1, 0), dtype=bool)
        step = max(1, AT_ONCE // max(entries, 1))
        for begin in range(0, len(index), step):
            together &= (np.diff(keys(slice(begin, begin + step), pairs), axis=1) == 1).all(axis=0)
        begins = np.concatenate([[0] if entries else [], 1 + np.flatnonzero(~together)]).astype(np.int64)
        return cls(np.append(begins, entries), keys(slice(None), pairs[begins]))

    def keys(self) -> npt.NDArray[np.int64]:
        """Row · size + column of all entries of all instances, each once."""
        lengths = np.diff(self.begins)
        found = [np.empty(0, dtype=np.int64)]
        for length in np.unique(lengths):
            first = np.unique(self.first[:, lengths == length])
            found.append(np.unique(first[:, None] + np.arange(length)))
        return np.unique(np.concatenate(found))


class Graph:
    """The tables of a graph: its families of factors, and the sparsity of the Hessian.

    Args:
        size: Number of unknowns.
        factors: The factors; those without instances are left out.

    Attributes:
        size: Number of unknowns.
        factors: The factors.
        groups: Names of the groups, in the order of the shares.
        rows, columns: Of the Hessian's upper triangle, row after row, the diagonal included.
    """

    def __init__(self, size: int, factors: Sequence[Factors]) -> None:
        self.size = size
        self.factors = tuple(one for one in factors if one.instances)
        for one in self.factors:
            if one.index.size and not 0 <= int(one.index.min()) <= int(one.index.max()) < size:
                raise ValueError(f"factors {one.name!r} refer to an unknown beyond the vector's {size}")
        named = [one.group for one in self.factors]
        self.groups = tuple(dict.fromkeys([name for name in _FIRST if name in named] + named))
        different = {id(one.kernel): one.kernel for one in self.factors}
        self._key = {number: kernel_key(kernel) for number, kernel in different.items()}
        self._kernels = {self._key[number]: kernel for number, kernel in different.items()}
        self._losses: dict[tuple[Any, ...], Traced] = {}
        for one in self.factors:
            if isinstance(one.loss, DataLoss):
                key = self.loss_key(one)
                if key not in self._losses:
                    self._losses[key] = one.loss.traced(one.kernel.rows)
        self.entries = [self._entries(one) for one in self.factors]
        runs = [
            Runs.of(size, one.index, entries.pairs)
            for one, entries in zip(self.factors, self.entries, strict=True)
        ]
        diagonal = np.arange(size, dtype=np.int64) * (size + 1)
        triangle = np.unique(np.concatenate([diagonal, *(own.keys() for own in runs)]))
        self.rows, self.columns = np.divmod(triangle, max(size, 1))
        self.runs = [own.begins for own in runs]
        self.targets = [np.searchsorted(triangle, own.first) for own in runs]

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """All kernels; those of the same code are one."""
        return tuple(self._kernels.values())

    def kernel_number(self, factors: Factors) -> int:
        """Number of the kernel of factors."""
        return list(self._kernels).index(self._key[id(factors.kernel)])

    @staticmethod
    def loss_key(factors: Factors) -> tuple[Any, ...]:
        """What tells the compiled loss of factors from others."""
        assert isinstance(factors.loss, DataLoss)
        return (*factors.loss.key, factors.kernel.rows)

    @property
    def losses(self) -> tuple[Traced, ...]:
        """All traced losses."""
        return tuple(self._losses.values())

    def loss_number(self, factors: Factors) -> int:
        """Number of the traced loss of factors; 0 where they have none."""
        return list(self._losses).index(self.loss_key(factors)) if isinstance(factors.loss, DataLoss) else 0

    def _entries(self, factors: Factors) -> Entries:
        if isinstance(factors.loss, DataLoss):
            bends = [(k, l) for k, l in self._losses[self.loss_key(factors)].hessian]  # noqa: E741
        else:
            bends = [(row, row) for row in range(factors.kernel.rows)] if factors.loss == "squares" else []
        return Entries.of(factors.kernel, bends, factors.index[0])

    @cached_property
    def sparsity(self) -> Sparsity:
        """The full symmetric Hessian; values come from the upper triangle."""
        value = np.arange(len(self.rows))
        off = self.rows != self.columns
        rows = np.concatenate([self.rows, self.columns[off]])
        columns = np.concatenate([self.columns, self.rows[off]])
        values = np.concatenate([value, value[off]])
        order = np.lexsort((columns, rows))
        indptr = np.searchsorted(rows[order], np.arange(self.size + 1))
        return Sparsity(indptr.astype(np.int32), columns[order].astype(np.int32), values[order])

    @property
    def multipliers(self) -> int:
        """Number of multipliers of model errors."""
        return sum(one.instances * one.kernel.rows for one in self.factors if one.lifted)

    def code(self, lanes: int, *names: str) -> str:
        """What is compiled for `lanes` paths at once, with C files of `hpcda.native`."""
        files = dict.fromkeys(file for kernel in self.kernels for file in kernel.files)
        includes = [f'#include "{file}"' for file in ("kernel.h", *files)]
        kernels = [kernel.code(f"kernel{number}") for number, kernel in enumerate(self.kernels)]
        losses = [source(loss, f"loss{number}") for number, loss in enumerate(self.losses)]
        return unit(lanes, *names, generated=[*includes, *kernels, *losses, *self._lists()])

    def _lists(self) -> list[str]:
        """C tables of all functions."""

        def functions(kind: str, name: str, found: Sequence[str | None]) -> str:
            texts = [one or "0" for one in found] or ["0"]
            return f"static const {kind} {name}[] = {{{', '.join(texts)}}};"

        texts = []
        for what in _FUNCTIONS:
            own = [
                None if what == "hessian" and kernel.curvature else f"kernel{number}_{what}"
                for number, kernel in enumerate(self.kernels)
            ]
            texts.append(functions("Kernel", f"kernel_{what}", own))
            losses = [f"loss{number}_{what}" for number in range(len(self.losses))]
            texts.append(functions("Kernel", f"loss_{what}", losses))
        direct = [f"kernel{n}_curvature" if k.curvature else None for n, k in enumerate(self.kernels)]
        texts.append(functions("Curvature", "kernel_curvature", direct))
        slopes = [[row for _, row in loss.jacobian] for loss in self.losses]
        texts += [c_array("int", f"loss{n}_slope", own) for n, own in enumerate(slopes)]
        texts.append(functions("int *const", "loss_slope", [f"loss{n}_slope" for n in range(len(slopes))]))
        texts.append(c_array("int", "loss_slopes", [len(own) for own in slopes]))
        return texts


def kernel_key(kernel: Kernel) -> tuple[Any, ...]:
    """What kernels of the same code have in common."""
    return kernel.code("kernel"), kernel.rows, kernel.unknowns, kernel.constants
