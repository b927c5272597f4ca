"""One judge: what a search says while it runs is what the analysis says of the same starts afterwards."""

from dataclasses import replace

import numpy as np
import pytest

import hpcda
from hpcda.models.catalogue import load_model
from hpcda.models.twin import simulate
from hpcda.search.auto import Auto
from hpcda.search.judge import Ends, Facts, first_of, judge, minima_of
from tests.chance import generator, number
from tests.unit.ended_starts import ended_start


def ensemble(rng, count):
    """Starts that came to a few levels, with escapes, failures and starts that fell behind."""
    places = rng.normal(size=(4, 24))
    heights = 100.0 + np.cumsum(rng.exponential(3.0, size=4))
    found = []
    for start in range(count):
        level = int(rng.integers(4))
        parents = (int(rng.integers(start)),) if start and rng.random() < 0.4 else ()
        action = heights[level] * (1.0 + 1e-9 * rng.normal())
        found.append(
            ended_start(
                start, str(rng.choice(["opening"] if parents else ["quiet", "passes"])), action,
                parents=parents, last=int(rng.choice([5, 5, 5, 3])), measurement=0.9 * action,
                levels=np.linspace(0.5, 1.0, 6) * action, model=np.geomspace(9.0, 0.05, 6),
                sketch=places[level] + 1e-6 * rng.normal(size=24),
                failed=bool(rng.random() < 0.1), opening=3, iterations=9, seconds=0.1,
            )
        )  # fmt: skip
    return found


@pytest.mark.parametrize("case", range(12))
def test_the_order_in_which_starts_are_told_does_not_matter(case):
    rng = generator(200 + case)
    found = ensemble(rng, int(rng.integers(1, 40)))
    facts = Facts(230, 10, rf=np.geomspace(1e-2, 1e3, 6))
    one = judge(Ends.of(found, 6), facts)
    shuffled = [found[k] for k in rng.permutation(len(found))]
    two = judge(Ends.of(shuffled, 6), facts)
    assert one[0] is two[0] and one[1].record() == two[1].record()


def test_minima_are_those_of_one_action_and_one_path():
    rng = generator(230)
    found = [one for one in ensemble(rng, 60) if not one.failed and one.last == 5]
    ends = Ends.of(found, 6)
    minima = minima_of(ends)
    assert [ends.action[rows[0]] for rows in minima] == sorted(ends.action[rows[0]] for rows in minima)
    assert sorted(np.concatenate(minima)) == list(range(len(found)))
    for rows in minima:
        assert np.ptp(ends.action[rows]) < 1e-4 and np.ptp(ends.sketch[rows], axis=0).max() < 1e-4
        assert first_of(ends, rows) == rows.min()
    moved = replace(found[0], sketch=found[0].sketch + 1.0, task=replace(found[0].task, start=99))
    assert len(minima_of(Ends.of([*found, moved], 6))) == len(minima) + 1


@pytest.mark.parametrize(("observed", "noise", "starts"), [("x", 0.5, 24), ("z", 1.0, 40), ("x", 2.0, 12)])
def test_search_and_analysis_agree(monkeypatch, observed, noise, starts):
    """Of all that was found, whatever the search did with it."""
    t = 0.02 * np.arange(61)
    states = simulate(load_model("lorenz63"), None, [-5.0, -8.0, 20.0], t)
    column = {"x": 0, "z": 2}[observed]
    data = states[:, column] + noise * generator(240).standard_normal(len(t))
    problem = hpcda.Problem("lorenz63", t, {observed: data}, noise_std=noise, estimate={"rho": (20.0, 40.0)})
    said, inner = [], Auto.next

    def following(plan, found):
        said.append((plan, list(found)))
        return inner(plan, found)

    monkeypatch.setattr(Auto, "next", following)
    ladder = hpcda.Ladder(rungs=10, alpha=5.0)
    result = hpcda.anneal(problem, starts=starts, seed=number(4), ladder=ladder, until="starts")
    plan, found = said[-1]
    assert len(found) == starts
    conclusion, evidence = plan.conclusion(found)
    solved = result.problem
    facts = Facts(solved.measured, solved.trajectory_unknowns, solved.prior_terms, result.file.header.rf)
    again, seen = judge(result.ends, facts)
    assert again is conclusion and seen.record() == evidence.record()
