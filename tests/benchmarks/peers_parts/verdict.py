"""From the starts of all cells of a problem: who found the lowest minimum, how often, how fast, how exactly.

A start counts as a hit where its final action, as the solver left it, is at most 1e-3 above the lowest that
any solver found (polished). 1e-3 of the action is 1/40 of the standard deviation that noise alone gives it
(√(2/n) for n ≈ 1,000 data values), so a solver that stops there has the answer; distinct minima are usually
further apart. Where they are not, the polished actions of the hits spread by more than 1e-6, and the table
marks the row with *. What a solver would hit if somebody polished its ends for nothing conflicts with it.

TTS99 is the time until the lowest minimum is found with 99 % probability by starts one after another: t ln
0.01 / ln(1 - p), with t the median time of a start and p the share of hits; t itself from p = 0.99.
"""

from __future__ import annotations

from typing import Any

import numpy as np

HIT, SAME, NEAR = 1e-3, 1e-6, 1e-3
"""Relative: a hit; the same minimum by polished action. Of the starting ranges: the same by polished path."""


def tts99(seconds: float, share: float) -> float:
    """Time to solution with 99 % probability."""
    if share >= 0.99:
        return seconds
    return seconds * np.log(0.01) / np.log1p(-share) if share > 0.0 else float("inf")


def wilson(hits: int, starts: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share (E. B. Wilson, J. Am. Stat. Assoc. 22, 209 (1927))."""
    if not starts:
        return 0.0, 1.0
    share, weight = hits / starts, z**2 / starts
    middle = (share + weight / 2) / (1 + weight)
    half = np.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def lowest(cells: list[dict[str, Any]]) -> float:
    """The lowest final action of a problem, polished or not."""
    found = [value for cell in cells for value in (*cell["actions"], *cell["polished"])]
    known = [value for value in found if value is not None and np.isfinite(value)]
    return min(known, default=float("inf"))


def consistent(action: float, measured: int) -> bool:
    """Whether noise alone explains an action: half the χ² of the data and three standard deviations."""
    return bool(action <= 0.5 * measured + 3 * np.sqrt(0.5 * measured))


def row(cell: dict[str, Any], best: float) -> dict[str, Any]:
    """What the table says of one cell."""
    actions = np.array(cell["actions"], dtype=float)
    polished = np.array(cell["polished"], dtype=float)
    seconds = np.array(cell["seconds"], dtype=float)
    hit = actions <= best * (1 + HIT)
    hits, starts = int(hit.sum()), len(actions)
    share = hits / starts if starts else 0.0
    after = int((polished <= best * (1 + HIT)).sum())
    quartiles = np.percentile(seconds, [25, 50, 75]).tolist() if starts else [float("nan")] * 3
    low, high = wilson(hits, starts)
    good = hit & np.isfinite(polished)
    kept = polished[good]
    above = float(np.max(actions[good] / kept - 1.0)) if len(kept) else None
    return {
        "problem": cell["problem"], "solver": cell["solver"], "rungs": cell["rungs"], "alpha": cell["alpha"],
        "starts": starts, "wanted": cell["wanted"], "ended": cell["ended"], "message": cell["message"],
        "seconds": quartiles[1], "quartiles": quartiles,
        "mean_seconds": float(seconds.mean()) if starts else None,
        "factorizations": float(np.median(cell["factorizations"])) if starts else float("nan"),
        "hits": hits, "share": share, "share_95": [low, high], "hits_if_polished": after,
        "tts99": tts99(quartiles[1], share) if starts else float("inf"),
        "tts99_95": [tts99(quartiles[1], high), tts99(quartiles[1], low)],
        "tts99_if_polished": tts99(quartiles[1], after / starts) if starts else float("inf"),
        "lowest": float(np.nanmin(actions)) if starts else None,
        "unpolished": above,
        "mixed": bool(len(kept) and kept.max() > kept.min() * (1 + SAME)),
        "setup_seconds": cell["setup_seconds"], "memory": cell["memory"], "core_share": cell["core_share"],
        "notes": cell["notes"],
    }  # fmt: skip


def excess(ours: dict[str, Any], theirs: dict[str, Any], paths: Any) -> tuple[float | None, int]:
    """The largest (ours - theirs)/theirs over starts that ended in the same minimum, and how many did.

    Args:
        ours: Our cell.
        theirs: A peer's cell on the same ladder.
        paths: (cell, start) -> polished action and path in units of the starting ranges, or None.
    """
    found = []
    for k in range(min(len(ours["actions"]), len(theirs["actions"]))):
        a, b = paths(ours, k), paths(theirs, k)
        if a is None or b is None or not np.isfinite(a[0]) or abs(a[0] / b[0] - 1.0) > SAME:
            continue
        if np.abs(a[1:] - b[1:]).max() <= NEAR:
            found.append(ours["actions"][k] / theirs["actions"][k] - 1.0)
    return (max(found) if found else None), len(found)
