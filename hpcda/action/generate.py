"""Generates C code for the first derivatives of one interval; without it, assemble.c walks tables.

Problems with products of arrays go by tables: written out, a network of 16 units takes minutes to compile.

Every entry of the model errors' Jacobian, and every sum of products of them that is an entry of the
Gauss–Newton Hessian, becomes one statement whose operands stand at places known to the compiler.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hpcda.action.structure import Structure

PIECE = 300
"""Statements a function; compilers slow down on long ones."""


def first_derivatives(structure: Structure) -> str:
    """The functions `errors`, `entries` and `products` of assemble.c, and `along` of lockstep.c."""
    return "\n".join(
        [
            "#define GENERATED",
            *_function("errors", _ERRORS, _errors(structure)),
            *_function("entries", _ENTRIES, _entries(structure)),
            *_function("products", _PRODUCTS, _products(structure)),
            *_function("along", _ALONG, _along(structure)),
        ]
    )


_ERRORS = (
    "const vd *restrict x", "const vd *const *restrict rates", "double dt", "vd *restrict r",
)  # fmt: skip
_ENTRIES = (
    "const vd *const *restrict slopes", "double dt", "const vd *restrict weight", "const vd *restrict force",
    "vd *restrict g", "vd *restrict gw", "vd *restrict grad", "vd *restrict gradp",
)  # fmt: skip
_PRODUCTS = (
    "const vd *restrict g", "const vd *restrict gw", "vd *restrict own", "vd *restrict next",
    "vd *restrict shared",
)  # fmt: skip
_ALONG = ("const vd *restrict slopes", "const vd *restrict dz", "vd *restrict out")


def _function(name: str, arguments: tuple[str, ...], statements: Iterable[str]) -> Iterator[str]:
    lines = list(statements)
    signature = ", ".join(arguments)
    names = ", ".join(argument.split()[-1].lstrip("*").removeprefix("restrict") for argument in arguments)
    pieces = [lines[i : i + PIECE] for i in range(0, len(lines), PIECE)]
    for number, piece in enumerate(pieces):
        yield f"STAGE void {name}_{number}({signature}) {{"
        yield from piece
        yield "}"
    yield f"static inline void {name}({signature}) {{"
    yield from (f"  {name}_{number}({names});" for number in range(len(pieces)))
    yield "}"


def _errors(structure: Structure) -> Iterator[str]:
    scheme, states, block = structure.scheme, structure.states, structure.block
    for equation, (positions, weights) in enumerate(zip(scheme.position, scheme.rate, strict=True)):
        for i in range(states):
            change = [(f"v_all({float(a)!r})", f"x[{j * block + i}]") for j, a in enumerate(positions) if a]
            rate = [(f"v_all({float(w)!r} * dt)", f"rates[{q}][{i}]") for q, w in enumerate(weights) if w]
            yield f"  r[{equation * states + i}] = {_summed(change)} - ({_summed(rate)});"


def _entries(structure: Structure) -> Iterator[str]:
    number = 0
    for row, entries in enumerate(structure.rows):
        for entry in entries:
            terms = [
                (f"v_all({weight!r} * dt)", f"slopes[{stage}][{index}]")
                for stage, index, weight in entry.terms
            ]
            value = _summed(terms, f"v_all({entry.fixed!r})" if entry.fixed or not terms else "")
            column = entry.column
            place = f"grad[{column}]" if column < structure.local else f"gradp[{column - structure.local}]"
            yield (
                f"  {{ const vd e = {value}; g[{number}] = e; gw[{number}] = weight[{row}] * e; "
                f"{place} = v_fma(force[{row}], e, {place}); }}"
            )
            number += 1


def _products(structure: Structure) -> Iterator[str]:
    """Each slot is set once: those of the next interval's first point here, all others in their own."""
    slots, products = structure.slots, structure.products
    for slot, (phase, lag, _, _) in enumerate(structure.where):
        passed_on = phase == 0 and lag <= 0
        yield _sum(f"own[{slot}]", "+=" if passed_on else "=", products.get(slot, []))
        if passed_on:
            yield _sum(f"next[{slot}]", "=", products.get(slot + slots, []))
        else:
            assert slot + slots not in products
    for target in sorted(target for target in products if target < 0):
        yield _sum(f"shared[{-target - 1}]", "+=", products[target])


def _sum(place: str, sign: str, pairs: list[tuple[int, int]]) -> str:
    value = _summed([(f"gw[{left}]", f"g[{right}]") for left, right in pairs])
    return "" if sign == "+=" and not pairs else f"  {place} {sign} {value};"


def _summed(products: Sequence[tuple[str, str]], begin: str = "") -> str:
    """The sum of products, from the first on, every further one taken in by one rounding."""
    total = begin
    for a, b in products:
        total = f"v_fma({a}, {b}, {total})" if total else f"{a} * {b}"
    return total or "v_all(0)"


def _along(structure: Structure) -> Iterator[str]:
    rows: dict[int, list[tuple[str, str]]] = {row: [] for row in range(structure.states)}
    for index, (row, variable) in enumerate(structure.model.jacobian):
        rows[row].append((f"slopes[{index}]", f"dz[{variable}]"))
    for row, terms in rows.items():
        yield f"  out[{row}] = {_summed(terms)};"
