"""The search for the lowest action of a network, and units taken out of one."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from hpcda.action.exact_network import ExactNetwork
from hpcda.action.factors import DataLoss
from hpcda.action.losses import LOSSES
from hpcda.action.network import Network
from hpcda.action.passes import flat
from hpcda.annealing import Task
from hpcda.annealing.exact import descend
from hpcda.errors import InputError
from hpcda.search.canonical import canonical
from hpcda.search.conclusion import Conclusion
from hpcda.search.judge import Ends
from hpcda.search.networks import (
    FEWEST,
    NetworkBudget,
    NetworkSearch,
    judged,
    levels,
    successful,
    train,
    turns,
)
from hpcda.search.pruning import pruned
from hpcda.search.streams import narrowable
from hpcda.search.training import NetworkContext, Training
from hpcda.search.trainings import TRAININGS
from hpcda.search.trainings import grown as grown_module
from tests.chance import generator, number
from tests.unit.ended_starts import ended_start

NOISE = 0.01


def taught(widths=(4, 5, 4), pairs=300, layers=(np.tanh, np.tanh), output=NOISE):
    """A network, noisy data of it, and its weights."""
    rng = generator(95)
    truth = np.concatenate(
        [rng.normal(size=after * (before + 1)) for before, after in zip(widths, widths[1:], strict=False)]
    )
    inputs = rng.normal(size=(pairs, widths[0]))
    blank = Network(widths, layers, inputs, np.zeros((pairs, widths[-1])), NOISE, None, None, (-0.1, 0.1))
    clean = ExactNetwork(blank).states(truth)[-1]
    if isinstance(output, DataLoss):
        outputs = output.loss.draw(rng, clean, np.ones_like(clean), {})
        return replace(blank, outputs=outputs, output=output, weight_std=3.0), truth
    return replace(blank, outputs=clean + NOISE * rng.normal(size=clean.shape)), truth


def test_the_search_finds_its_teacher_and_settles():
    """Two starts that know nothing of each other agree in every weight."""
    network, truth = taught()
    action = ExactNetwork(network)
    best = descend(action, truth)
    found = train(network, seconds=60.0, seed=number(1))
    assert found[0].parts.total == pytest.approx(best.parts.total, rel=1e-6)
    assert [one.parts.total for one in found] == sorted(one.parts.total for one in found)
    hits = [one for one in found if one.parts.total < best.parts.total * (1.0 + 1e-6)]
    assert len(hits) >= 2 and next(levels(found)) == (found[0].parts.total, len(hits))
    for one in hits:
        np.testing.assert_allclose(one.theta, canonical(action, best.path), atol=1e-3)


def test_a_prior_alone_does_not_make_a_network_stable():
    """Two starts come to one level, which fits; of fewer output values than weights that says nothing."""
    network, _ = taught()
    known = replace(network, weight_std=2.0)
    few = replace(known, inputs=known.inputs[:10], outputs=known.outputs[:10])
    found = []
    for one in (known, few):
        values = one.outputs.size
        starts = [
            ended_start(
                start, "small" if start < 4 else "redrawn", values / 2,
                parents=(0,) if start >= 4 else (), prior=10.0, sketch=np.zeros(3),
            )
            for start in range(8)
        ]  # fmt: skip
        found.append(judged(one, Ends.of(starts, 1))[0])
    assert found == [Conclusion.CONSISTENT_AND_STABLE, Conclusion.NOT_ENOUGH_MEASUREMENTS]


def test_it_ends_by_its_limits():
    network, _ = taught()
    assert [one.way for one in train(network, starts=1, seed=number(1))] == ["small"]
    assert train(network, seconds=0.0) == []


def test_categories():
    """Labels that a network itself draws: the level of the fit that begins at its weights, or a lower one."""
    network, truth = taught((3, 4, 3), 200, (np.tanh, lambda z: z), DataLoss(LOSSES["softmax"]))
    best = descend(ExactNetwork(network), truth)
    found = train(network, seconds=20.0, starts=6, seed=number(1))
    assert found[0].parts.total < best.parts.total * (1.0 + 1e-6)


def test_units_that_do_nothing_go_first_and_nothing_is_lost():
    network, truth = taught()
    action = ExactNetwork(network)
    best = descend(action, truth)
    layers = [(matrix.copy(), bias.copy()) for matrix, bias in action.weights(best.path)]
    rng = generator(96)
    (matrix, bias), (after, after_bias) = layers
    wide = [
        (np.vstack([matrix[:2], rng.normal(size=(2, 4)), matrix[2:]]), np.insert(bias, [2, 2], 0.3)),
        (np.insert(after, [2, 2], 1e-9, axis=1), after_bias),
    ]
    theta = np.concatenate([part for own in wide for part in (own[0].ravel(), own[1])])
    wider = ExactNetwork(replace(network, widths=(4, 7, 4)))
    calls = []
    narrow, left = pruned(wider, theta, (4, 5, 4), lambda own, theta: calls.append(own.size) or theta)
    assert narrow.network.widths == (4, 5, 4) and calls == [67 - 9, 67 - 18]
    assert narrow.value(left) == pytest.approx(best.parts.total, rel=1e-6)
    np.testing.assert_allclose(left, best.path, atol=1e-5)


def test_others_make_up_for_a_unit_that_is_one_of_two_alike():
    """Of two equal units one takes over the other's outgoing weights."""
    network, truth = taught()
    action = ExactNetwork(network)
    best = descend(action, truth)
    (matrix, bias), (after, after_bias) = action.weights(best.path)
    half = after.copy()
    half[:, 1] *= 0.5
    wide = [
        (np.vstack([matrix, matrix[1]]), np.append(bias, bias[1])),
        (np.hstack([half, half[:, 1:2]]), after_bias),
    ]
    theta = np.concatenate([part for own in wide for part in (own[0].ravel(), own[1])])
    wider = ExactNetwork(replace(network, widths=(4, 6, 4)))
    assert wider.value(theta) == pytest.approx(best.parts.total, rel=1e-9)
    narrow, left = pruned(wider, theta, (4, 5, 4), lambda own, theta: theta)
    assert narrow.value(left) == pytest.approx(best.parts.total, rel=1e-3)
    np.testing.assert_allclose(canonical(narrow, left), canonical(action, best.path), atol=1e-2)


def test_a_unit_goes_out_of_all_residual_layers_that_carry_it_on():
    """Units that go nowhere cost nothing; what residual layers are stays so."""
    rng = generator(97)
    widths = (3, 6, 6, 6, 4, 2)
    net = Network(
        widths, (np.tanh,) * 5, rng.normal(size=(200, 3)), np.zeros((200, 2)), NOISE, None, 1.0, residual=True
    )
    small = ExactNetwork(net)
    truth = rng.normal(size=small.size)
    net = replace(net, outputs=small.states(truth)[-1])
    layers = [(matrix.copy(), bias.copy()) for matrix, bias in small.weights(truth)]
    for n in range(4):
        matrix, bias = layers[n]
        if n:
            matrix = np.insert(matrix, [2], 0.0, axis=1)
        if n < 3:
            matrix, bias = np.insert(matrix, [2], rng.normal(), axis=0), np.insert(bias, [2], 0.3)
        layers[n] = matrix, bias
    wider = ExactNetwork(replace(net, widths=(3, 7, 7, 7, 4, 2)))
    narrow, left = pruned(wider, flat(layers), widths, lambda action, theta: theta)
    assert narrow.network.widths == widths
    np.testing.assert_allclose(left, truth, rtol=1e-6, atol=1e-6)
    assert narrowable(replace(net, widths=(3, 9, 9, 9, 5, 2)), widths)
    for wide in ((3, 7, 7, 8, 4, 2), (3, 7, 7, 7, 7, 2), (3, 3, 3, 3, 2, 2)):
        assert not narrowable(replace(net, widths=wide), widths)
        assert narrowable(replace(net, widths=wide, residual=False), widths)
    with pytest.raises(InputError, match="widths: .*residual"):
        pruned(ExactNetwork(replace(net, widths=(3, 7, 7, 8, 4, 2))), np.zeros(0), widths, None)


def test_streams_are_narrowed_in_an_order_that_keeps_them_apart():
    """From 6 and 5 units to 4 and 3: the narrower one goes first."""
    rng = generator(98)
    inputs, outputs = rng.normal(size=(50, 2)), rng.normal(size=(50, 2))
    net = Network((2, 6, 6, 5, 2), (np.tanh,) * 4, inputs, outputs, NOISE, None, 1.0, residual=True)
    action, passed = ExactNetwork(net), []
    fit = lambda action, theta: passed.append(action.network.widths) or theta  # noqa: E731
    narrow, left = pruned(action, rng.normal(size=action.size), (2, 4, 4, 3, 2), fit)
    assert narrow.network.widths == (2, 4, 4, 3, 2) and left.shape == (narrow.size,)
    assert all(widths[1] == widths[2] > widths[3] for widths in passed) and len(passed) == 4


@pytest.mark.parametrize("more", [{"residual": True}, {"input_std": 0.05}])
def test_the_search_takes_residual_layers_and_noisy_inputs(more):
    network, truth = taught((3, 4, 4, 2), 60, (np.tanh,) * 3)
    network = replace(network, weight_std=2.0, **more)
    action = ExactNetwork(network)
    best = descend(action, action.first(truth))
    found = train(network, seconds=60.0, starts=15, seed=number(1))
    assert {one.way for one in found} == {
        one.name for one in TRAININGS.values() if one.fits(network) and math.isfinite(one.work(network))
    }
    for one in found:
        assert one.theta.shape == (action.size,) and np.isfinite(one.parts.total)
        assert action.value(one.theta) == pytest.approx(one.parts.total, rel=1e-9)
    assert best.reason.converged


def test_trainings_take_turns_by_the_root_of_their_work():
    """What takes a hundred times as long comes a tenth as often; what needs a network is never first."""
    network, _ = taught()
    work = {"quick": 1.0, "slow": 100.0, "from": 4.0}
    made = [
        Training(name, name, lambda context, minima, rng: rng, int(name == "from"), work=lambda _, w=w: w)
        for name, w in work.items()
    ]
    order = [one.name for one in islice(turns(made, network), 1600)]
    count = {name: order.count(name) for name in work}
    assert count == {"quick": 1000, "slow": 100, "from": 500}
    assert order[0] == "quick"
    (only,) = islice(turns([made[2], made[1]], network), 1)
    assert only.name == "slow"


def test_trainings_that_succeeded_come_twice_as_often_after_all_had_their_turn():
    network, _ = taught()
    made = [Training(name, name, lambda context, minima, rng: rng, work=lambda _: 1.0) for name in "abc"]
    order = [one.name for one in islice(turns(made, network, {"a": 1, "b": 1, "c": 1}, {"b"}), 397)]
    assert [order.count(name) for name in "abc"] == [99, 199, 99]
    order = [one.name for one in islice(turns(made, network, {"a": 3, "b": 3}, {"b"}), 3)]
    assert order == ["c", "c", "c"]


def ended(start, way, action, parents=()):
    return ended_start(start, way, action, parents=parents, failed=not np.isfinite(action), seconds=1.0)


def test_a_training_succeeds_that_comes_low_by_itself():
    """Not one that comes back to where it began, nor one that ends 2 % above, nor one that failed."""
    found = [
        ended(0, "small", 102.0), ended(1, "scaled", 100.5), ended(2, "redrawn", 100.0, (1,)),
        ended(3, "widened", 100.0, (0,)), ended(4, "wide", np.inf),
    ]  # fmt: skip
    assert successful(found) == {"scaled", "widened"}
    assert successful([]) == successful(found[4:]) == set()


def test_what_a_search_does_next_follows_from_what_was_found():
    """One that takes earlier rounds for given goes on as the one that gave them."""
    network, _ = taught()
    budget = NetworkBudget(30)
    plan, found, given = NetworkSearch(network, budget), [], []
    for _ in range(4):
        tasks = plan.next(found)
        given.append(([tasks.task(k) for k in range(len(tasks))], plan.cap))
        found += [ended(one.start, one.way, 1e4 / (1 + one.start), one.parents) for one in given[-1][0]]
    later, known = NetworkSearch(network, budget), []
    for tasks, cap in given[:3]:
        later.replay(len(tasks), cap)
        known += found[len(known) : len(known) + len(tasks)]
    tasks = later.next(known)
    assert ([tasks.task(k) for k in range(len(tasks))], later.cap) == given[3]
    values = network.outputs.size
    assert given[0][1] == pytest.approx(0.5 * values + 2.0 * np.sqrt(0.5 * values))
    assert [cap for _, cap in given[1:]] == pytest.approx([1e4 / 2, 1e4 / 5, 1e4 / 9], rel=1e-3)
    for other in (NetworkBudget(FEWEST - 1), NetworkBudget(30, verdict=False)):
        plan = NetworkSearch(network, other)
        plan.next([])
        assert plan.cap == np.inf


def test_a_wider_network_that_is_hopeless_is_cut_at_once():
    """Its units go without descents between, and what is left are weights of the network."""
    network, _ = taught()
    context = NetworkContext(network)
    wider = context.wider([7])
    theta = context.first_weights(wider, generator(99))
    calls = []
    context.meanwhile = lambda: calls.append(1)
    careful = context.narrowed(wider, theta)
    context.cap = 1e-9
    rough = context.narrowed(wider, theta)
    assert len(calls) == 2 * 3 and rough.shape == careful.shape == (context.size,)
    assert context.action.value(careful) < context.action.value(rough) < np.inf


def test_a_layer_that_is_put_in_changes_next_to_nothing():
    """It works where its activation is as good as linear; what is grown has the shape of the network."""
    network, _ = taught((4, 5, 5, 5, 4), 200, (np.tanh,) * 4)
    shallow = replace(network, widths=(4, 5, 4), activations=[np.tanh] * 2)
    action = ExactNetwork(shallow)
    theta = generator(97).normal(size=action.size)
    deeper = replace(network, widths=(4, 5, 5, 4), activations=[np.tanh] * 3)
    grown = grown_module._deeper(action, theta, deeper)
    off = ExactNetwork(deeper).outputs(grown) - action.outputs(theta)
    assert np.abs(off).max() < 0.2 and np.sqrt(np.mean(off**2)) < 0.04
    context = NetworkContext(network)
    weights, _ = context.draw(Task(0, "grown"), [], generator(98))
    assert weights.shape == (context.size,) and context.action.value(weights) < context.action.value(
        0.0 * weights
    )
    assert not TRAININGS["grown"].fits(shallow)
    assert not TRAININGS["grown"].fits(replace(network, activations=[lambda z: z**2] * 4))
