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
from typing import Any

import numpy as np
import numpy.typing as npt

from hpcda.action.action import Parts
from hpcda.action.factors import DataLoss, Factors
from hpcda.action.families import Graph
from hpcda.action.structure import Sparsity
from hpcda.formatting import counted
from hpcda.native.compile import library
from hpcda.native.declared import enumeration, structures
from hpcda.problem import Array, Numbers, Variables

_DECLARED = structures("factors.c")
_Family, _Factors, _Desk = (_DECLARED[name] for name in ("Family", "Factors", "Desk"))
_SQUARES, _PLAIN, _LOSS = enumeration("factors.c", "Form").values()


@dataclass(frozen=True)
class Shares(Mapping[str, float]):
    """The action by groups of factors, such as "measurement", "model" (with Rf) and "prior"."""

    names: tuple[str, ...]
    values_of: tuple[float, ...]

    def __getitem__(self, name: str) -> float:
        return dict(zip(self.names, self.values_of, strict=True))[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def total(self) -> float:
        """A(x)."""
        return sum(self.values_of)

    @property
    def parts(self) -> Parts:
        """The same in three terms; groups that are neither "measurement" nor "model" count as priors."""
        own = dict(self)
        measurement, model = own.pop("measurement", 0.0), own.pop("model", 0.0)
        return Parts(measurement, model, sum(own.values()))


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
            "product": np.cumsum([0, *(len(own) for own in entries.products)]),
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
