"""``hpcda models``: the catalogue, and one model's names, units, values, options and source."""

from __future__ import annotations

import inspect

from hpcda.errors import InputError, Mistake
from hpcda.formatting import counted
from hpcda.models.catalogue import builder, catalogue, load_model
from hpcda.names import nearest


def list_models() -> str:
    """One line a model."""
    rows = []
    for name, build in catalogue().items():
        model = build()
        inputs = f", stimulus {', '.join(model.stimulus_names)}" if model.stimuli else ""
        size = f"{counted(model.dimension, 'state')}, {counted(len(model.parameters), 'parameter')}{inputs}"
        rows.append((name, model.title or model.name, f"{model.kind}, {size}"))
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(f"{name:{width}}  {title}\n{'':{width}}  {size}" for name, title, size in rows)


def describe_model(name: str) -> str:
    """Names, units, defaults, options and citation of one model.

    Args:
        name: A catalogue name (``"lorenz96"``), or a file and a function in it (``"neuron.py:build"``).

    Raises:
        InputError: There is no such model, or its file cannot be executed.
    """
    models = catalogue()
    if ":" not in name and name not in models:
        remedy = f"{nearest(name, models)}; or name a function in a file, as 'neuron.py:build'"
        raise InputError(Mistake("models", f"there is no model {name!r} in the catalogue", remedy))
    build = builder(name)
    model = load_model(name)
    options = inspect.signature(build).parameters
    lines = [
        f"{name}: {model.title or model.name}",
        "",
        f"kind        {model.kind}, time in {_unit(model.time_unit) or 'units of its own'}",
    ]
    if options:
        lines.append(
            f"options     {', '.join(f'{key} = {_toml(one.default)}' for key, one in options.items())}"
        )
    lines += _table(
        "states",
        [
            (s.name, _unit(s.unit), f"starts in [{s.range[0]:g}, {s.range[1]:g}]", f"twin from {s.initial:g}")
            for s in model.states
        ],
    )
    lines += _table(
        "parameters",
        [
            (
                p.name,
                _unit(p.unit),
                f"default {p.default:g}",
                f"first guess in [{p.start[0]:g}, {p.start[1]:g}]",
            )
            for p in model.parameters
        ],
    )
    lines += _table("stimuli", [(u.name, _unit(u.unit)) for u in model.stimuli])
    return "\n".join([*lines, "", model.citation]).rstrip()


def _table(title: str, rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    shown = rows if len(rows) <= 40 else rows[:20]
    lines = [
        "  " + "  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in shown
    ]
    rest = [f"  … {len(rows)} in all"] if len(shown) < len(rows) else []
    return ["", title, *lines, *rest]


def _unit(unit: str) -> str:
    return "" if unit == "1" else unit


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return (
        f'"{value}"'
        if isinstance(value, str)
        else "(needed)"
        if value is inspect.Parameter.empty
        else str(value)
    )
