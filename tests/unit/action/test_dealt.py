"""Pairs of a network dealt over ranks: the same bits on any number of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcda.action import dealt, khatri_rao
from hpcda.action.dealt import ALONE, LARGE, MOST, Blocks, Deal, blocks_of, refuse_ranks
from hpcda.action.exact_network import ExactNetwork
from hpcda.annealing.exact import descend
from hpcda.annealing.layered import ELIMINATIONS, sentence
from hpcda.annealing.layered.states import States
from hpcda.errors import InputError
from hpcda.search.canonical import canonical
from hpcda.search.training import NetworkContext
from hpcda.search.trainings import TRAININGS
from tests.chance import generator
from tests.unit.action.test_exact_network import example
from tests.unit.sharing import on_ranks

SIZES = (2, 3, 4)


def same(found, wanted):
    """Bit by bit, of nested sequences."""
    if isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    elif wanted is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, wanted)


def test_the_number_of_blocks_follows_from_that_of_pairs():
    for pairs in (*range(1, 2000), 10**5, 10**7):
        blocks = blocks_of(pairs)
        assert blocks & (blocks - 1) == 0 and blocks <= MOST
        assert blocks == 1 or 4 * blocks**2 <= pairs
        assert blocks == MOST or 16 * blocks**2 > pairs
    assert [blocks_of(pairs) for pairs in (15, 16, 64, 200, 1000, 1257, 10**6)] == [1, 2, 4, 4, 8, 16, 64]


@pytest.mark.parametrize("pairs", [1, 16, 77, 300, 1257])
def test_every_pair_has_one_rank_and_blocks_are_alike(pairs):
    for size in range(1, blocks_of(pairs) + 1):
        deals = on_ranks(size, lambda ranks: Deal(pairs, ranks))
        rows = np.concatenate([np.arange(pairs)[deal.own] for deal in deals])
        np.testing.assert_array_equal(rows, np.arange(pairs))
        sizes = [one for deal in deals for one in deal.blocks.sizes]
        assert sizes == [some.stop - some.start for some in Deal(pairs).slices]
        assert max(sizes) - min(sizes) <= 1
        counts = [len(deal.blocks.sizes) for deal in deals]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("width", [1, 5, LARGE + 3])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8])
def test_sums_are_added_two_by_two_on_any_number_of_ranks(size, width):
    leaves = generator(301).normal(size=(8, width)) * 10.0 ** generator(302).integers(-8, 8, (8, 1))
    wanted = leaves
    while len(wanted) > 1:
        wanted = wanted[::2] + wanted[1::2]

    def work(ranks):
        deal = Deal(300, ranks)
        return deal.total(leaves[number].copy() for number in deal.shares[ranks.rank])

    for found in on_ranks(size, work):
        np.testing.assert_array_equal(found, wanted[0])
    np.testing.assert_allclose(wanted[0], leaves.sum(axis=0), rtol=1e-12, atol=1e-12 * np.abs(leaves).max())


def test_products_and_sums_of_blocks_are_those_of_the_whole(monkeypatch):
    rng = generator(303)
    rows, right, matrix = rng.normal(size=(77, 3, 5)), rng.normal(size=(77, 3, 4)), rng.normal(size=(5, 6))
    for numbers in (dealt.NUMBERS, 1):
        monkeypatch.setattr(dealt, "NUMBERS", numbers)
        for sizes in ((77,), (20, 19, 19, 19), (26, 26, 25)):
            blocks = Blocks(sizes)
            np.testing.assert_allclose(blocks.product(rows, matrix), rows @ matrix, rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose(
                blocks.product(rows, matrix[:, :5].T), rows @ matrix[:, :5].T, rtol=1e-12, atol=1e-13
            )
            found = list(blocks.sums([(rows, right), (rows, None)]))
            for own, some in zip(found, blocks.slices, strict=True):
                wanted = np.einsum("pei,pej->ij", rows[some], right[some]).ravel()
                np.testing.assert_allclose(own[:20], wanted, rtol=1e-12, atol=1e-12)
                np.testing.assert_allclose(own[20:], rows[some].sum(axis=(0, 1)), rtol=1e-12, atol=1e-12)


def test_rooms_are_taken_again():
    deal = Deal(300)
    first = [deal.room(7) for _ in range(8)]
    total = deal.total((room for room in _filled(first)), rooms=True)
    again = [deal.room(7) for _ in range(8)]
    assert sum(any(one is other for other in first) for one in again) == 7
    assert all(one is not total for one in again)
    assert len(deal.room(9)) == 9


def _filled(rooms):
    for room in rooms:
        room[:] = 1.0
        yield room


KINDS = {
    "plain": {},
    "residual": {"widths": (3, 3, 4, 4, 2), "residual": True},
    "noisy": {"input_std": 0.4},
    "noisy residual": {"widths": (3, 3, 4, 4, 2), "residual": True, "input_std": 0.4},
    "missing": {"missing": 0.3},
    "many outputs": {"widths": (3, 4, 40)},
}
CASES = [
    (kind, output)
    for kind in KINDS
    for output in (0.3, "softmax", "student-t")
    if (kind, output) != ("missing", "softmax")
]


@pytest.mark.parametrize(("kind", "output"), CASES)
def test_everything_of_a_network_has_the_same_bits_on_any_number_of_ranks(kind, output):
    """77 pairs are blocks of two sizes."""
    network = example("tanh", output, pairs=77, weight_std=5.0, **KINDS[kind])
    weights = generator(304).normal(size=network.weights)

    def work(ranks):
        action = ExactNetwork(network, ranks)
        theta = action.first(weights)
        found = [action.value(theta), action.gradient(theta), action.states(theta), action.means(theta)]
        found += [action.outputs(theta), action.multipliers(theta), action.path(theta)]
        found += [canonical(action, theta)]
        for exact in (False, True):
            value, gradient, blocks = action.blocks(theta, exact)
            found += [value, gradient, blocks.dense(), blocks.largest, blocks.schur(-1.0), blocks.schur(1.0)]
        for build in ELIMINATIONS.values():
            for model in (build(action).gauss_newton(theta), build(action).exact(theta)):
                found += [model.value, model.gradient, model.scale, model.solve(model.scale)]
                found += [model.negative()]
        return found

    (alone,) = on_ranks(1, work)
    for size in SIZES:
        for found in on_ranks(size, work):
            same(found, alone)


def test_where_one_rank_finds_the_matrix_indefinite_all_do():
    """Inputs of the last pairs alone lie where the Hessian by them is negative."""
    network = example("tanh", 0.3, (2, 3, 1), 20, input_std=100.0)
    weights = np.full(network.weights, 0.4)
    network = replace(network, inputs=np.full((20, 2), 1.0))
    exact = ExactNetwork(network)
    outputs = exact.outputs(exact.first(weights))
    outputs[-3:] = -50.0
    network = replace(network, outputs=outputs)

    def work(ranks):
        action = ExactNetwork(network, ranks)
        blocks = action.blocks(action.first(weights), exact=True)[2]
        return blocks.factor(0.0), blocks.lowest(), float(np.linalg.eigvalsh(blocks.corner).min())

    (alone,) = on_ranks(1, work)
    assert alone[0] is None and alone[1][0] < 0.0
    pair = int(np.flatnonzero(alone[1][1])[0]) // 2
    assert pair >= 17
    first, last = on_ranks(2, work)
    assert first[2] > 0.0 > last[2]
    same([first[:2], last[:2]], [alone[:2], alone[:2]])


@pytest.mark.parametrize("way", ["small", "scaled", "wide", "widened"])
@pytest.mark.parametrize("input_std", [None, 0.1])
def test_trainings_and_descents_have_the_same_bits(way, input_std):
    network = example("tanh", 0.1, (3, 4, 2), 40, weight_std=2.0, input_std=input_std, start=(-0.5, 0.5))

    def work(ranks):
        context = NetworkContext(network, ranks=ranks)
        parent = context.first_weights(context.action, generator(305))
        minima = [parent] * TRAININGS[way].parents
        first = TRAININGS[way].weights(context, minima, generator(306))
        found = descend(context.action, first)
        return first, found.path, found.parts.total, found.iterations, context.sketch(found.path)

    (alone,) = on_ranks(1, work)
    for found in on_ranks(2, work):
        same(found, alone)


def test_more_ranks_than_blocks_are_refused():
    with pytest.raises(
        InputError, match=r"ensemble\.ranks_per_start: 9 ranks share 300 pairs.*8 blocks\n.*most 8"
    ):
        refuse_ranks(300, 9)
    with pytest.raises(InputError, match=r"2 ranks share 10 pairs.*1 block\n.*ranks_per_start = 1"):
        refuse_ranks(10, 2)
    refuse_ranks(300, 8)
    with pytest.raises(InputError, match="9 ranks share"):
        on_ranks(9, lambda ranks: ExactNetwork(example(pairs=300), ranks))


def test_costs_of_several_ranks():
    """The one that has most blocks counts; what every rank does by itself stays."""
    action = ExactNetwork(example("tanh", 0.3, (10, 10, 10), 1000, input_std=0.1))
    way = States(action)
    alone, three = way.cost, way.cost.on(1000, 3)
    assert way.cost.on(1000, 1) == alone
    assert three.products == pytest.approx(alone.products * 3 / 8)
    assert three.passes == pytest.approx(alone.passes * 3 / 8)
    assert (three.alone, three.memory) == (alone.alone, alone.memory)
    assert three.bytes == pytest.approx(alone.memory + 3 / 8 * 8.0 * action.inputs * action.network.weights)
    assert "s a step on each of 3 ranks, " in sentence(way, 1000, 3)
    assert "ranks" not in sentence(way, 1000)


def test_parts_of_a_block_do_not_depend_on_the_ranks(monkeypatch):
    """Blocks that are worked on piece by piece."""
    monkeypatch.setattr(khatri_rao, "NUMBERS", 1)
    network = example("tanh", 0.3, pairs=80, input_std=0.4)

    def work(ranks):
        action = ExactNetwork(network, ranks)
        theta = action.first(np.linspace(-1.0, 1.0, network.weights))
        return [action.blocks(theta, exact)[2].dense() for exact in (False, True)]

    (alone,) = on_ranks(1, work)
    for found in on_ranks(3, work):
        same(found, alone)
    assert ALONE.size == 1
