"""Error bars of the parameters at one minimum, as plain values and as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hpcda.analysis.at_bound import SHARE
from hpcda.analysis.laplace import Bar, Gaussian
from hpcda.problem import Problem

KINDS = {Bar.GAUSSIAN: "gaussian", Bar.AT_BOUND: "at bound", Bar.OPEN: "open"}
"""Bar -> word for programs."""


def parameter_bars(problem: Problem, gaussian: Gaussian) -> dict[str, dict[str, Any]]:
    """Error bars of the shared parameters.

    Returns:
        For each name: kind ("gaussian", "at bound" or "open"), std (if Gaussian), low and high. These are two
        standard deviations to each side, cut off at the bounds; at a bound the interval of 95 % probability;
        for an open parameter its bounds.
    """
    first, std = problem.layout.tail.start, gaussian.std
    return {
        constant.label: {
            "kind": KINDS[Bar(int(gaussian.kinds[k]))],
            "std": float(std[k]) if math.isfinite(std[k]) else None,
            "low": float(gaussian.low[k]),
            "high": float(gaussian.high[k]),
        }
        for k, constant in enumerate(problem.layout.constants, first)
    }


def bar_words(estimate: float, bar: Mapping[str, Any]) -> str:
    """An error bar beside its estimate: "± 0.0085", "open", "at its lower bound, below 0.03 (95 %)"."""
    if bar["kind"] == "open":
        return "open"
    if bar["kind"] == "gaussian":
        return f"± {bar['std']:.2g}"
    lower = abs(estimate - bar["low"]) <= abs(estimate - bar["high"])
    side, end = ("lower bound, below", bar["high"]) if lower else ("upper bound, above", bar["low"])
    return f"at its {side} {end:.4g} ({SHARE:.0%})"
