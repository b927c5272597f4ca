"""The action of any factor graph, with exact sparse derivatives, of several paths at once.

    A(x) = Σ over factors,    ∇A = Σ Jᵀ p,    ∇²A = Σ Jᵀ B J + ∂²(p·h),    p = ∂φ/∂h, B = ∂²φ/∂h²

(native/factors.c). All factors of a kind share one compiled kernel; what each instance gathers and where its
derivatives go stands in tables, so that another graph of the same kinds needs no compiler. Today's engine of
chains (`hpcda.action.action`) is the fast special case; `hpcda.action.chain` writes a chain as a graph.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.action.factors import DataLoss, Factors
from hpcda.action.kernel import Kernel, c_array
from hpcda.action.structure import Sparsity
from hpcda.models.traced import Traced
from hpcda.native.compile import library
from hpcda.native.declared import enumeration, structures
from hpcda.native.kernels import source
from hpcda.native.unit import unit
from hpcda.problem import Array, Numbers, Variables
from hpcda.words import counted

_DECLARED = structures("factors.c")
_Family, _Factors, _Desk = (_DECLARED[name] for name in ("Family", "Factors", "Desk"))
_SQUARES, _PLAIN, _LOSS = enumeration("factors.c", "Form").values()
_FIRST = ("measurement", "model", "prior")
AT_ONCE = 4_000_000
"""Hessian entries that are looked at together in planning."""
_FUNCTIONS = ("values", "jacobian", "hessian")


@dataclass(frozen=True)
class Shares(Mapping[str, float]):
    """The action by groups of factors, such as "measurement", "model" (with Rf) and "prior"."""

    names: tuple[str, ...]
    values_of: tuple[float, ...]

    def __getitem__(self, name: str) -> float:
        return self.values_of[self.names.index(name)] if name in self.names else self._missing(name)

    def _missing(self, name: str) -> float:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def total(self) -> float:
        """A(x)."""
        return sum(self.values_of)


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
                raise ValueError(f"factors {one.name!r} name an unknown beyond the {size} of the vector")
        named = [one.group for one in self.factors]
        self.groups = tuple(dict.fromkeys([name for name in _FIRST if name in named] + named))
        self._kernels = {kernel_key(one.kernel): one.kernel for one in self.factors}
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
        return list(self._kernels).index(kernel_key(factors.kernel))

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


def _starts(counts: Sequence[int]) -> Numbers:
    return np.concatenate([[0], np.cumsum(np.array(counts, dtype=np.int64))])


class CompiledGraph:
    """Compiled code of a graph for `lanes` paths at once, its tables and its scratch.

    Args:
        graph: The graph.
        lanes: Paths that are evaluated together: 1, 2, 4 or 8.
        names: C files of `hpcda.native`.

    Raises:
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(self, graph: Graph, lanes: int, *names: str) -> None:
        self.graph, self.lanes = graph, lanes
        self.library: Any = library(graph.code(lanes, *(names or ("graph.c",))))
        self._keep: list[Any] = []
        self.desk = self._make_desk()
        families = (_Family * max(len(graph.factors), 1))()
        first = 0
        for number, one in enumerate(graph.factors):
            families[number] = self._make_family(number, first)
            first += one.instances * one.kernel.rows if one.lifted else 0
        self._keep.append(families)
        self.factors = _Factors(
            size=graph.size,
            families=len(graph.factors),
            groups=len(graph.groups),
            triangle=len(graph.rows),
            multipliers=graph.multipliers,
            family=ctypes.addressof(families),
        )

    def pointer(self, values: Any, dtype: type) -> int:
        """Address of an array that lives as long as this object."""
        array: Numbers = np.array(values, dtype=dtype, order="C")
        self._keep.append(array)
        return int(array.ctypes.data)

    def vectors(self, count: int) -> tuple[Array, int]:
        """Zeros of shape (count, lanes) that begin at a multiple of 64 bytes, and their address."""
        raw = np.zeros(max(count, 1) * self.lanes + 8)
        begin = -raw.ctypes.data % 64 // 8
        self._keep.append(raw)
        found = raw[begin : begin + max(count, 1) * self.lanes].reshape(-1, self.lanes)
        return found, int(found.ctypes.data)

    def _make_desk(self) -> Any:
        graph = self.graph
        counts = dict.fromkeys(_Desk.kinds, 0)

        def need(name: str, count: int) -> None:
            counts[name] = max(counts[name], count)

        for one, entries in zip(graph.factors, graph.entries, strict=True):
            kernel = one.kernel
            need("unknowns", kernel.unknowns)
            need("constants", kernel.constants)
            need("values", kernel.rows + kernel.room)
            need("slopes", len(kernel.jacobian) + kernel.room)
            need("seconds", len(kernel.hessian) + kernel.room)
            need("local", len(entries.pairs) + kernel.room)
            need("data", one.loss_data.shape[1])
            need("force", kernel.rows)
            need("bend", max(kernel.rows, len(entries.bends)))
            need("loss", max(kernel.rows, len(entries.bends)))
        return _Desk(**{name: self.vectors(count)[1] for name, count in counts.items()})

    def _make_family(self, number: int, multiplier: int) -> Any:
        graph = self.graph
        one, entries, targets = graph.factors[number], graph.entries[number], graph.targets[number]
        kernel = one.kernel
        products = [product for own in entries.products for product in own]
        form = _LOSS if isinstance(one.loss, DataLoss) else {"squares": _SQUARES, "plain": _PLAIN}[one.loss]
        numbers = {
            "instances": one.instances, "unknowns": kernel.unknowns, "constants": kernel.constants,
            "rows": kernel.rows, "data": one.loss_data.shape[1],
            "kernel": graph.kernel_number(one),
            "form": form, "loss": graph.loss_number(one), "group": graph.groups.index(one.group),
            "scaled": int(one.scaled), "lifted": int(one.lifted), "direct": int(bool(kernel.curvature)),
            "slopes": len(kernel.jacobian), "bends": len(entries.bends), "seconds": len(entries.second),
            "slots": len(entries.pairs), "runs": targets.shape[1], "multiplier": multiplier,
        }  # fmt: skip
        ints = {
            "index": one.index,
            "row": [row for row, _ in kernel.jacobian],
            "unknown": [unknown for _, unknown in kernel.jacobian],
            "product": _starts([len(own) for own in entries.products]),
            "left": [product[0] for product in products], "right": [product[1] for product in products],
            "slot": [product[2] for product in products], "second": entries.second,
            "run": graph.runs[number], "target": targets,
        }  # fmt: skip
        doubles = {"constant": one.constants, "weight": one.weight, "datum": one.loss_data}
        return _Family(
            **numbers,
            **{name: self.pointer(values, np.int32) for name, values in ints.items()},
            **{name: self.pointer(values, np.float64) for name, values in doubles.items()},
        )

    def action(
        self, paths: Array, rf: npt.ArrayLike, want: int, multipliers: Array | None = None
    ) -> tuple[Array, Array, Array, Array]:
        """Evaluate all lanes.

        Args:
            paths: Shape (size, lanes).
            rf: Model-error precision, one or of each lane.
            want: 0 for the value, 1 for the gradient too, 2 for the Hessian too.
            multipliers: Of the model errors, shape (multipliers, lanes), that weight their second
                derivatives; None for those that make the derivatives exact, Rf w r.

        Returns:
            The shares, shape (groups, lanes); gradients, (size, lanes); upper triangles, (nnz, lanes); and
            the multipliers (multipliers, lanes). What was not wanted is empty.
        """
        graph = self.graph
        counts = (len(graph.groups), graph.size * (want > 0), len(graph.rows) * (want > 1))
        groups, gradient, triangle = (np.zeros((count, self.lanes)) for count in counts)
        used = np.zeros((graph.multipliers * (want > 1), self.lanes)) if multipliers is None else multipliers
        used = np.array(used, dtype=np.float64, order="C")
        x = np.ascontiguousarray(paths, dtype=np.float64).reshape(graph.size, self.lanes)
        weights = np.array(np.broadcast_to(rf, (self.lanes,)), dtype=np.float64)
        self.library.graph_action(
            ctypes.byref(self.factors), ctypes.byref(self.desk), x.ctypes.data, weights.ctypes.data, want,
            int(multipliers is not None), groups.ctypes.data, gradient.ctypes.data, triangle.ctypes.data,
            used.ctypes.data if used.size else None,
        )  # fmt: skip
        return groups, gradient, triangle, used

    def linear_multipliers(self, paths: Array, to: Array, rf: npt.ArrayLike) -> Array:
        """Multipliers Rf w (r + J (to - x)) of the linear model at `paths`, shape (multipliers, lanes)."""
        size, lanes = self.graph.size, self.lanes
        x, y = (np.ascontiguousarray(p, dtype=np.float64).reshape(size, lanes) for p in (paths, to))
        weights = np.array(np.broadcast_to(rf, (lanes,)), dtype=np.float64)
        found = np.zeros((max(self.graph.multipliers, 1), lanes))
        self.library.graph_linear(
            ctypes.byref(self.factors), ctypes.byref(self.desk), x.ctypes.data, y.ctypes.data,
            weights.ctypes.data, found.ctypes.data,
        )  # fmt: skip
        return found[: self.graph.multipliers]

    def rows(self, number: int, paths: Array) -> Array:
        """Values h of all instances of a family, shape (instances, rows, lanes)."""
        one = self.graph.factors[number]
        x = np.ascontiguousarray(paths, dtype=np.float64).reshape(self.graph.size, self.lanes)
        found = np.zeros((one.instances, one.kernel.rows, self.lanes))
        self.library.graph_rows(
            ctypes.byref(self.factors), ctypes.byref(self.desk), number, x.ctypes.data, found.ctypes.data
        )
        return found


class GraphAction:
    """The action of a factor graph, compiled; the methods are those of `hpcda.action.Action`.

    Args:
        variables: The unknowns.
        factors: What the action is a sum of.

    Attributes:
        variables: The unknowns.
        graph: The graph's tables.
        size: Number of unknowns.

    Raises:
        CompilerError: No C compiler, or no place for compiled code.
    """

    def __init__(self, variables: Variables, factors: Sequence[Factors]) -> None:
        self.variables = variables
        self.size = variables.size
        self.graph = Graph(self.size, factors)
        self._compiled = CompiledGraph(self.graph, 1)

    @property
    def sparsity(self) -> Sparsity:
        """Where the Hessian's values stand."""
        return self.graph.sparsity

    def value(self, path: Array, rf: float) -> Shares:
        """The action of a flat path, shape (size,), at model-error precision `rf`; may be non-finite."""
        return self._evaluate(path, rf, 0)[0]

    def gradient(self, path: Array, rf: float) -> tuple[Shares, Array]:
        """The action and its gradient, shape (size,)."""
        shares, gradient, _ = self._evaluate(path, rf, 1)
        return shares, gradient

    def derivatives(self, path: Array, rf: float) -> tuple[Shares, Array, Array]:
        """The action, its gradient, and the values of its Hessian in the order of `sparsity`."""
        shares, gradient, triangle = self._evaluate(path, rf, 2)
        return shares, gradient, triangle[self.sparsity.gather]

    def hessian(self, path: Array, rf: float) -> tuple[Numbers, Numbers, Array]:
        """The exact Hessian, symmetric and full, in compressed rows: row starts, columns, values."""
        values = self.derivatives(path, rf)[2]
        return self.sparsity.indptr, self.sparsity.indices, values

    def sizes(self, path: Array) -> Array:
        """Size of every unknown of a path, at least a tenth of its natural size, shape (size,)."""
        return np.maximum(np.abs(path), 0.1 * self.variables.scales)

    def noise(self, path: Array) -> dict[str, tuple[float, float]]:
        """Expectation and variance of the shares of groups where the path is true and noise alone acts.

        Groups with plain factors, which are no density, are left out.
        """
        found: dict[str, tuple[float, float]] = {}
        without: set[str] = set()
        for one, rows in self._rows(path):
            own = one.noise(rows)
            if own is None:
                without.add(one.group)
                continue
            mean, variance = found.get(one.group, (0.0, 0.0))
            found[one.group] = mean + own[0], variance + own[1]
        return {name: own for name, own in found.items() if name not in without}

    def draw(self, rng: np.random.Generator, path: Array, group: str = "measurement") -> dict[str, Array]:
        """Data of a group's factors by their names, as noise draws them where the path is true."""
        return {one.name: one.draw(rng, rows) for one, rows in self._rows(path) if one.group == group}

    def _rows(self, path: Array) -> Iterator[tuple[Factors, Array]]:
        for number, one in enumerate(self.graph.factors):
            yield one, self._compiled.rows(number, self._checked(path))[:, :, 0]

    def _checked(self, path: Array) -> Array:
        path = np.ascontiguousarray(path, dtype=np.float64)
        if path.shape != (self.size,):
            raise ValueError(
                f"path has shape {path.shape}, the graph has {counted(self.size, 'unknown')}: "
                f"expected ({self.size},)"
            )
        return path

    def _evaluate(self, path: Array, rf: float, want: int) -> tuple[Shares, Array, Array]:
        groups, gradient, triangle, _ = self._compiled.action(self._checked(path), rf, want)
        shares = Shares(self.graph.groups, tuple(float(value) for value in groups[:, 0]))
        return shares, gradient[:, 0], triangle[:, 0]
