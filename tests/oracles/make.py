"""Write the oracles as job files, or find what is kept of them again.

    python -m tests.oracles.make FOLDER [NAME …]        FOLDER/NAME.toml and NAME.npz, ready for hpcda run
    python -m tests.oracles.make --list                 the references as a table
    python -m tests.oracles.make --references [NAME …]  references.json anew; patterns such as 'lorenz96-10-*'
    python -m tests.oracles.make --beginnings           beginnings.json anew; the references then as well

Run from the root of the checkout. A reference that a search found ("how" begins with "search") is kept
while it is lower than what the climbs find.
"""

from __future__ import annotations

import argparse
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from hpcda.action import Action
from hpcda.annealing.lockstep import Reached
from hpcda.job import load_job
from hpcda.search import WAYS, SearchContext
from tests.oracles import ORACLES, Oracle
from tests.oracles.climbs import SHARES, climbs, from_truth, ipopt, polished
from tests.oracles.oracle import Generated
from tests.oracles.references import SAME, Reference, checksum, references, write
from tests.oracles.truth import BEGINNINGS, beginnings, true_run

QUIET = 16
"""Climbs from quiet paths where nobody knows the truth."""
SLOW = ("nakl",)
"""Families on which IPOPT takes minutes from the truth, and is not asked."""


def find(oracle: Oracle, known: Reference | None) -> Reference:
    """The lowest of hpcda's climbs, IPOPT's end, and what is known."""
    problem, ladder = oracle.problem(), oracle.ladder
    action = Action(problem)
    theirs = float("nan")
    if oracle.truth is not None:
        ends = polished(action, ladder, from_truth(action, ladder, oracle.true_path(problem)))
        how = "annealed from the truth"
        if oracle.family not in SLOW:
            theirs, _ = ipopt(problem, float(ladder.rf[-1]), oracle.true_path(problem))
    else:
        context, way = SearchContext(problem, ladder, action), WAYS["quiet"]
        paths = [way.draw(context, np.random.default_rng([1, start])) for start in range(QUIET)]
        ends = climbs(action, ladder, paths, [context.rung(way.shares[-1])] * QUIET)
        how = f"lowest of {QUIET} quiet paths"
    levels = [(share, one.rung.parts.total) for share, one in zip(SHARES, ends, strict=False)]
    ends = [one for one in ends if one.rung.reason.converged]
    best = min(ends, key=lambda one: one.rung.parts.total)
    level = best.rung.parts.total
    same = [share for share, found in levels if found <= level * (1 + SAME)]
    if oracle.truth is not None and len(same) < len(SHARES):
        how += f", from {', '.join(f'{share:g}' for share in same)} of the ladder alone"
    found = _reference(oracle, best, how, theirs)
    if known is not None and known.how.startswith("search") and known.action < level * (1 - SAME):
        return known
    if theirs < level * (1 - SAME):
        print(f"{oracle.name}: IPOPT ends lower, {theirs!r}")
    return found


def _reference(oracle: Oracle, best: Reached, how: str, theirs: float) -> Reference:
    problem, parts = oracle.problem(), best.rung.parts
    blocks, values = problem.split(best.rung.path)
    error = float("nan")
    if oracle.truth is not None:
        seen = problem.observed.values()
        hidden = [k for k, name in enumerate(oracle.truth.names) if name not in seen]
        error = float(np.sqrt(np.mean((blocks[0] - oracle.truth.states)[:, hidden] ** 2)))
    return Reference(
        parts.total,
        parts.measurement,
        {one.name: float(value) for one, value in zip(problem.parameters, values, strict=True)},
        problem.measured,
        error,
        how,
        theirs,
        checksum(oracle.data.values()) if isinstance(oracle.data, Generated) else (),
    )


def table(names: list[str]) -> str:
    """The references as a table."""
    lines = [
        f"{'oracle':18s} {'action':>12s} {'half of n':>9s} {'reduced':>7s} {'rms error':>9s} {'IPOPT':>12s}"
    ]
    for name in names:
        one = ORACLES[name].reference
        first = list(one.parameters.items())[0]
        lines.append(
            f"{name:18s} {one.action:12.6f} {one.values / 2:9.1f} {one.reduced:7.4f} {one.error:9.4f} "
            f"{one.ipopt:12.6f}  {first[0]} = {first[1]:.5g}; {one.how}"
        )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    from hpcda.job.text import to_toml

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option in ("--list", "--references", "--beginnings"):
        parser.add_argument(option, action="store_true")
    parser.add_argument("words", nargs="*", help="FOLDER, then names or patterns of oracles")
    arguments = parser.parse_args()
    words = list(arguments.words)
    writes = not (arguments.list or arguments.references or arguments.beginnings)
    if writes and not words:
        parser.error("give a folder")
    folder = Path(words.pop(0)) if writes else None
    names = [name for name in ORACLES if not words or any(fnmatch(name, word) for word in words)]
    if not names:
        parser.error(f"{', '.join(words)}: unknown; there are {', '.join(ORACLES)}")
    if arguments.beginnings:
        BEGINNINGS.write_text(beginnings())
        true_run.cache_clear()
    if arguments.references:
        try:
            found = dict(references())
        except OSError:
            found = {}
        for name in names:
            if ORACLES[name].missing:
                print(f"{name}: {ORACLES[name].missing}")
                continue
            found[name] = find(ORACLES[name], found.get(name))
            print(f"{name}: {found[name].action:.6f}, {found[name].how}", flush=True)
            write({known: found[known] for known in ORACLES if known in found})
    if arguments.list:
        print(table(names))
    if folder is not None:
        for name in names:
            if ORACLES[name].missing:
                print(f"{name}: {ORACLES[name].missing}")
                continue
            tables = ORACLES[name].job(folder)
            load_job(tables)
            (folder / f"{name}.toml").write_text(to_toml(tables))
            print(folder / f"{name}.toml")


if __name__ == "__main__":
    main()
