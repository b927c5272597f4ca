"""What an ensemble says, rule by rule, and on real ensembles that hit or miss the true minimum."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from hpcda.action import Action
from hpcda.annealing import Ladder
from hpcda.annealing.lockstep import Lockstep
from hpcda.search import WAYS, Conclusion, Level, SearchContext, conclude
from hpcda.search.conclusion import (
    EASY,
    EASY_PROBES,
    ENOUGH,
    MANY,
    PREDICTS,
    PROBES,
    SURE,
    TOGETHER,
    sentence_of,
)
from hpcda.search.evidence import DEVIATIONS, FEW, NAMED, RIVAL, facts, told_once
from hpcda.search.expected import Expected
from hpcda.search.obeyed import Equation, Obedience
from tests.chance import generator
from tests.oracles import ORACLES

DATA, ABSORBED = 1000, 20
HALF, SCALE = (DATA - ABSORBED) / 2, math.sqrt(DATA / 2)
DEVIATION = math.sqrt((DATA - ABSORBED) / 2)


def level(z=0.0, model=0.0, prior=0.0, **ways):
    """A level whose measurement part lies z deviations from what noise leaves."""
    measurement = HALF + z * DEVIATION
    return Level(measurement + model + prior, measurement, sum(ways.values()), ways, prior)


def judged(*levels, tried=None, settled=True, **keywords):
    if tried is None:
        tried = {}
        for one in levels:
            for way, count in one.ways.items():
                tried[way] = tried.get(way, 0) + count
    return conclude(levels, tried, keywords.pop("data", DATA), settled, **{"absorbed": ABSORBED, **keywords})


def said(*levels, **keywords):
    return judged(*levels, **keywords)[0]


LOW = level(quiet=4, noise=3)
FAR = level(z=50, noise=5, quiet=1)


def test_consistent_and_stable():
    found, evidence = judged(LOW, FAR, predicted=1.1)
    assert found is Conclusion.CONSISTENT_AND_STABLE and found.stable
    assert evidence.z == pytest.approx(0.0) and evidence.gap == pytest.approx(50 * DEVIATION / SCALE)
    assert evidence.freedom == DATA - ABSORBED and evidence.agreement is True and not evidence.few
    stable = [Conclusion.CONSISTENT_AND_STABLE, Conclusion.STABLE_NOISE_ESTIMATED]
    assert [one for one in Conclusion if one.stable] == stable


def test_where_the_noise_is_estimated_chi_squared_says_nothing():
    """A level far above what known noise would give."""
    unknown = Expected(0.0, 0.0, known=False)
    for lowest in (LOW, level(z=100, quiet=4, noise=3)):
        found, evidence = judged(lowest, predicted=1.1, expected=unknown, probed=2 * PROBES)
        assert found is Conclusion.STABLE_NOISE_ESTIMATED
        assert evidence.z is None and not evidence.tested
        assert "cannot test" in facts(evidence.record())["noise"]
    found, _ = judged(LOW, predicted=1.1, settled=False, expected=unknown)
    assert found is Conclusion.RISING_WITH_RF


def test_other_noise_has_its_own_expectation():
    """As of Student's t: the level that Gaussian noise would give is far too low for it."""
    wide = Expected(0.5 * DATA + 30 * DEVIATION, 0.5 * DATA + 1.0)
    assert judged(LOW, FAR, predicted=1.1, expected=wide)[0] is Conclusion.BELOW_NOISE


def test_what_moves_together_is_named_once():
    assert told_once(["a with c", "d", "b with c"]) == ["d", "a with c with b (2 directions)"]
    (chain,) = told_once(["a with b", "c with d", "b with c"])
    assert sorted(chain.removesuffix(" (3 directions)").split(" with ")) == ["a", "b", "c", "d"]
    assert told_once([]) == []


def test_what_is_left_open_is_named_and_not_stable():
    found, evidence = judged(LOW, FAR, left_open=("p with q", "y(0)"))
    assert found is Conclusion.CONSISTENT_PARAMETERS_OPEN and not found.stable
    assert facts(evidence.record())["left open"] == "p with q; y(0): other values fit as well"
    many = judged(LOW, FAR, left_open=[f"q{k}" for k in range(NAMED + 3)])[1]
    assert facts(many.record())["left open"].endswith(f"q{NAMED - 1} and 3 more: other values fit as well")
    rivals = judged(LOW, replace(LOW, action=LOW.action + 1), left_open=("q",))
    assert rivals[0] is Conclusion.CONSISTENT_RIVALS_REMAIN and rivals[1].left_open == ("q",)
    assert said(level(noise=1), FAR, left_open=("q",)) is Conclusion.CONSISTENT_NOT_CONFIRMED


def test_the_band_counts_what_the_unknowns_absorb():
    few = Level(35.0, 35.0, 4, {"quiet": 2, "noise": 2})
    _, with_all = conclude([few], {"quiet": 2}, 100, True)
    _, less = conclude([few], {"quiet": 2}, 100, True, absorbed=30)
    assert with_all.z == pytest.approx(-30 / math.sqrt(200)) and less.z == 0.0


def test_priors_count():
    """Five priors are five more values; without them the same level would lie above the band."""
    told = Level(65.0, 50.0, 4, {"quiet": 4}, prior=15.0)
    _, with_priors = conclude([told], {"quiet": 4}, 100, True, priors=30)
    assert with_priors.z == 0.0 and with_priors.values == 130
    assert conclude([told], {"quiet": 4}, 60, True)[0] is Conclusion.INCONSISTENT


def test_inconsistent_also_where_it_rises():
    assert said(level(z=4, quiet=9), FAR) is Conclusion.INCONSISTENT
    assert said(level(z=4, quiet=9), FAR, settled=None) is Conclusion.INCONSISTENT
    assert said(level(z=4, quiet=9), FAR, settled=False) is Conclusion.INCONSISTENT


def test_a_large_model_error_is_inconsistent_or_rising_never_rising_on_a_plateau():
    split = level(model=4 * DEVIATION, quiet=9)
    assert said(split) is Conclusion.INCONSISTENT
    assert said(split, settled=False) is Conclusion.RISING_WITH_RF


def test_below_noise():
    assert said(level(z=-4, quiet=9)) is Conclusion.BELOW_NOISE
    assert said(level(z=-4, quiet=9), settled=False) is Conclusion.BELOW_NOISE


def test_a_level_whose_minimizer_stopped_is_not_converged_whatever_else_it_is():
    stopped = replace(LOW, converged=False)
    assert said(stopped, FAR) is Conclusion.CONSISTENT_NOT_CONVERGED
    assert said(stopped, replace(LOW, action=LOW.action + 0.1)) is Conclusion.CONSISTENT_NOT_CONVERGED
    assert said(replace(FAR, converged=False)) is Conclusion.INCONSISTENT
    assert said(LOW, replace(FAR, converged=False)) is Conclusion.CONSISTENT_AND_STABLE


def told_of(*disobeyed):
    equations = tuple(
        Equation(name, 0, 1e-9, 1e-9, 1e-3, 7.0 if name in disobeyed else 0.0, 1.0, name not in disobeyed)
        for name in ("x", "y")
    )
    return Obedience(equations, 7.0 if disobeyed else 0.1, "x")


def test_where_an_equation_is_not_obeyed_nothing_is_stable():
    assert said(LOW, FAR, obedience=told_of()).stable and said(LOW, FAR, obedience=None).stable
    assert said(LOW, FAR, obedience=told_of("y")) is Conclusion.EQUATION_NOT_OBEYED
    near = level(model=0.5 * RIVAL, noise=1)
    for others in ((near,), (near, near, near)):
        assert said(LOW, *others, obedience=told_of("y")) is Conclusion.EQUATION_NOT_OBEYED
    assert said(LOW, FAR, obedience=told_of("y"), settled=None) is Conclusion.EQUATION_NOT_OBEYED
    assert said(LOW, FAR, obedience=told_of("y"), predicted=9.0) is Conclusion.EQUATION_NOT_OBEYED
    assert said(level(z=-4, quiet=9), obedience=told_of("y")) is Conclusion.EQUATION_NOT_OBEYED
    assert said(level(z=-4, quiet=9), obedience=told_of("y"), settled=False) is Conclusion.EQUATION_NOT_OBEYED
    assert said(level(z=4, quiet=9), obedience=told_of("y")) is Conclusion.INCONSISTENT
    assert said(LOW, FAR, obedience=told_of("y"), settled=False) is Conclusion.RISING_WITH_RF
    fits = Level(0.1, 0.1, 7, {"quiet": 4, "noise": 3})
    assert said(fits, data=ABSORBED, obedience=told_of("y")) is Conclusion.NOT_ENOUGH_MEASUREMENTS


def test_what_is_said_of_the_equations_and_of_the_limit():
    one = level(model=0.25, quiet=4, noise=3)
    found = facts(judged(one, FAR, obedience=told_of())[1].record())
    assert found["equations"].startswith("obeyed: ")
    assert found["depends on Rf"] == "no longer: 490.25 now, 490.5 without model error"
    found = facts(judged(one, FAR, obedience=told_of("y"))[1].record())
    assert found["equations"].startswith("not obeyed: y, ") and found["depends on Rf"] == "no longer"
    assert "equations" not in facts(judged(one, FAR)[1].record())


def test_rising_with_rf_and_not_settled():
    assert said(LOW, FAR, settled=False) is Conclusion.RISING_WITH_RF
    assert said(LOW, FAR, settled=None) is Conclusion.CONSISTENT_NOT_SETTLED


def test_rivals_remain_and_many_of_them_are_too_few_measurements():
    near = [level(model=RIVAL * (k + 0.9) / MANY, noise=1) for k in range(MANY)]
    found, evidence = judged(LOW, *near[: MANY - 1], FAR)
    assert found is Conclusion.CONSISTENT_RIVALS_REMAIN and evidence.rivals == MANY - 1
    assert said(LOW, *near, FAR) is Conclusion.NOT_ENOUGH_MEASUREMENTS


def test_levels_that_say_the_same_are_one():
    twin = replace(level(model=0.5 * RIVAL, uniform=2), distance=0.05)
    found, evidence = judged(level(quiet=2), twin, FAR)
    assert found.stable and evidence.rivals == 0 and evidence.levels == 2 and evidence.count == 4
    assert evidence.gap == pytest.approx(50 * DEVIATION / SCALE) and evidence.agreement is True
    other = replace(twin, distance=0.5)
    assert said(level(quiet=1), other, FAR) is Conclusion.CONSISTENT_RIVALS_REMAIN
    assert judged(LOW, replace(FAR, distance=0.0))[1].levels == 2


def test_more_unknowns_than_data_is_no_test():
    """No degrees of freedom are left: what fits is not tested, what does not fit contradicts the data."""
    found, evidence = judged(Level(0.1, 0.1, 7, {"quiet": 7}), data=ABSORBED)
    assert found is Conclusion.NOT_ENOUGH_MEASUREMENTS and evidence.z is None
    assert "no degrees of freedom" in facts(evidence.record())["noise"]
    told = sentence_of(found, evidence)
    assert "no more data values than unknowns" in told and "so do many others" not in told
    most = ABSORBED / 2 + DEVIATIONS * np.sqrt(ABSORBED / 2)  # of χ²/2 with so many degrees of freedom
    for action, expected in ((most - 0.1, "not_enough_measurements"), (most + 0.1, "inconsistent")):
        one = Level(action, action, 7, {"quiet": 7})
        assert said(one, data=ABSORBED).code == expected
        rising = Level(action + 50.0, action, 7, {"quiet": 7})
        assert said(rising, data=ABSORBED, settled=False).code == expected
        assert said(rising, data=ABSORBED) is Conclusion.INCONSISTENT


@pytest.mark.parametrize("predicted", [PREDICTS + 0.1, math.inf, math.nan])
def test_a_bad_prediction_is_told(predicted):
    assert said(LOW, FAR, predicted=predicted) is Conclusion.CONSISTENT_PREDICTS_BADLY
    assert said(level(z=9, quiet=2), predicted=predicted) is Conclusion.INCONSISTENT


def test_two_starts_are_enough_where_a_way_comes_there_often():
    assert said(level(noise=2), level(z=80, uniform=4), tried={"noise": int(2 / EASY)}).stable
    for low, tried in (
        (level(noise=2), 1 + int(2 / EASY)),
        (level(noise=1), 1),
        (level(noise=1, quiet=1), 1),
    ):
        ways = dict.fromkeys(low.ways, tried)
        assert said(low, level(z=80, uniform=4), tried=ways) is Conclusion.CONSISTENT_NOT_CONFIRMED


@pytest.mark.parametrize(
    "low, near, absorbed", [(SURE + 0.1, 50, ABSORBED), (0, 2.9, ABSORBED), (0, 50, DATA / FEW)]
)
def test_where_wrong_minima_may_fit_many_starts_have_to_agree(low, near, absorbed):
    """High in the band, with a wrong level near, with few data."""
    other = level(z=low + near, noise=4)

    def judge(probed=PROBES, blind=4, **ways):
        tried = {"uniform": blind}
        return said(level(z=low, **ways), other, tried=tried, absorbed=int(absorbed), probed=probed)

    assert judge(noise=ENOUGH).stable and judge(noise=TOGETHER - 2, quiet=2).stable
    assert judge(opening=2 * ENOUGH, probed=2 * PROBES).stable
    assert judge(noise=ENOUGH, quiet=2, blind=0, probed=EASY_PROBES).stable
    for ways in (
        {"noise": ENOUGH - 1},
        {"noise": TOGETHER - 3, "quiet": 2},
        {"noise": ENOUGH - 2, "quiet": 1},
        {"noise": 3 * ENOUGH, "quiet": ENOUGH, "probed": PROBES - 1},
        {"noise": ENOUGH, "quiet": 2, "blind": 0, "probed": EASY_PROBES - 1},
        {"noise": ENOUGH, "blind": 0, "probed": PROBES - 1},
        {"opening": 2 * ENOUGH, "splice": 2 * ENOUGH},
        {"opening": 2 * ENOUGH - 1, "probed": 2 * PROBES},
    ):
        assert judge(**ways) is Conclusion.CONSISTENT_NOT_CONFIRMED
    assert judged(level(z=low, noise=2), other)[1].near == (near < 3)


def test_escapes_alone_do_not_confirm_what_starts_would():
    found = {"splice" if way == "noise" else "langevin": count for way, count in LOW.ways.items()}
    assert said(LOW, FAR).stable
    assert said(replace(LOW, ways=found), FAR) is Conclusion.CONSISTENT_NOT_CONFIRMED


def test_agreement_leaves_out_each_way():
    assert judged(level(noise=3))[1].agreement is None
    assert judged(level(noise=3), level(z=50, quiet=3))[1].agreement is False
    assert judged(level(noise=3), tried={"noise": 3, "quiet": 2})[1].agreement is False
    assert judged(level(noise=3, quiet=1))[1].agreement is False
    assert judged(level(noise=3, quiet=1, uniform=1))[1].agreement is True
    assert judged(LOW, FAR)[1].agreement is True


def test_what_is_missed_is_told_for_each_way():
    """A way sees the levels it comes to: quiet, always at one, says 0 and is blind to the others."""
    levels = [level(quiet=5, noise=2), level(z=40, noise=1), level(z=50, noise=1), level(z=60, uniform=1)]
    _, evidence = judged(*levels, tried={"quiet": 5, "noise": 4, "uniform": 2, "smoother": 3})
    hits = evidence.hits
    assert [hits[way].missed for way in ("quiet", "noise", "uniform")] == [0.0, 0.5, 1.0]
    assert hits["smoother"].missed is None and hits["smoother"].tried == 3
    assert [one.hits for one in hits.values()] == [5, 2, 0, 0]
    assert hits["uniform"].tried == 2 and hits["noise"].levels == 3


def test_incomplete_is_never_stable():
    for levels in ((LOW, FAR), (level(z=9, noise=3),), ()):
        found, evidence = judged(*levels, tried={}, complete=0.9)
        assert found is Conclusion.INCOMPLETE and not found.stable
    _, evidence = judged(LOW, FAR, complete=0.9)
    assert evidence.so_far == "consistent_and_stable"
    assert facts(evidence.record())["complete"] == (
        "90% of the requested starts; so far: consistent and stable"
    )


def test_failed():
    found, evidence = judged(tried={"noise": 3})
    assert found is Conclusion.FAILED and evidence.z is None and facts(evidence.record()) == {}
    assert said(tried={"noise": 3}, complete=0.5) is Conclusion.FAILED


def test_codes_and_sentences():
    for one in Conclusion:
        assert one.code == one.name.lower() and one.sentence.endswith(".")


def ensemble(action, paths):
    """Climb a ladder from paths, (way, path): the conclusion, the evidence, the lowest action."""
    climb = Lockstep(action, Ladder(1e-2, 1.5, 40), 8)
    waiting, ended = list(enumerate(path for _, path in paths)), {}
    while waiting or climb.active:
        for lane in climb.empty[: len(waiting)]:
            start, path = waiting.pop(0)
            climb.put(int(lane), start, path, 0, True)
        climb.advance(1000)
        ended |= {one.start: one.rung for one in climb.reached() if one.ended}
    levels = []
    for start, one in sorted(ended.items(), key=lambda item: item[1].parts.total):
        way = paths[start][0]
        if levels and one.parts.total - levels[-1][0].total < 1e-5:
            levels[-1][1][way] += 1
        else:
            levels.append((one.parts, Counter([way])))
    problem = action.problem
    found = [Level(p.total, p.measurement, sum(ways.values()), ways, p.prior) for p, ways in levels]
    tried = Counter(way for way, _ in paths)
    told = conclude(found, tried, problem.measured, True, absorbed=problem.trajectory_unknowns)
    return *told, levels[0][0].total


def drawn(problem, way, count):
    context = SearchContext(problem, Ladder(1e-2, 1.5, 40))
    return [(way, WAYS[way].draw(context, generator(1, k))) for k in range(count)]


@pytest.mark.parametrize("measured", [8, 5])
def test_real_ensembles(measured):
    """With 8 measured states most starts find the truth's minimum; with 5 quiet ones all miss it."""
    oracle = ORACLES[f"lorenz96-20-L{measured}-1"]
    problem = oracle.problem()
    action = Action(problem)
    known, evidence, lowest = ensemble(action, [("truth", oracle.true_path(problem))])
    assert abs(evidence.z) < 3 and known is Conclusion.CONSISTENT_NOT_CONFIRMED
    assert evidence.few is (measured == 5)
    ways = [*drawn(problem, "quiet", 4), *drawn(problem, "noise", 4 if measured == 8 else 0)]
    found, evidence, reached = ensemble(action, ways)
    if measured == 8:
        assert reached == pytest.approx(lowest) and found.stable and evidence.agreement
    else:
        assert reached > 1.5 * lowest and found is Conclusion.INCONSISTENT and evidence.whole > 10


def test_evidence_can_be_written_and_read_back():
    record = judged(LOW, FAR, predicted=1.2, complete=0.5, obedience=told_of("y"))[1].record()
    assert facts(json.loads(json.dumps(record))) == facts(record)
    assert set(facts(record)) == {
        "noise", "depends on Rf", "equations", "next level", "reached by", "unseen levels", "strategies",
        "first prediction", "complete",
    }  # fmt: skip
    assert facts(record)["reached by"] == "4 of 5 quiet, 3 of 8 noise"
