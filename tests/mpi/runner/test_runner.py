"""A whole run: the same results whatever the number of ranks, and however many of them share a start."""

from __future__ import annotations

import copy
from functools import cache

import numpy as np
import pytest

from hpcda.errors import InputError

MPI = pytest.importorskip("mpi4py.MPI")
pytest.importorskip("petsc4py")

from hpcda import runner  # noqa: E402
from hpcda.action import Action  # noqa: E402
from hpcda.annealing import Ladder, step  # noqa: E402
from hpcda.annealing import lockstep_team as lockstep_module  # noqa: E402
from hpcda.annealing.lockstep import Lockstep  # noqa: E402
from hpcda.annealing.lockstep_team import LockstepTeam  # noqa: E402
from hpcda.build import build_problem  # noqa: E402
from hpcda.job import load_job  # noqa: E402
from hpcda.petsc import make_minimizer, make_team  # noqa: E402
from hpcda.runner.paths import solver_of  # noqa: E402
from hpcda.search import WAYS, SearchContext, begin  # noqa: E402
from hpcda.store import RunFile  # noqa: E402
from tests.chance import number  # noqa: E402

pytestmark = pytest.mark.mpi(min_size=1)
COMM = MPI.COMM_WORLD
STARTS = 9
JOB = {
    "model": {"name": "lorenz63", "parameters": {"rho": {"estimate": True, "start": [20.0, 40.0]}}},
    "twin": {
        "dt": 0.02,
        "samples": 41,
        "spin_up": 10.0,
        "observed": {"x": "x", "z": "z"},
        "noise_std": {"x": 0.5, "z": 0.5},
        "seed": number(1),
    },
    "action": {"discretization": "trapezoid"},
    "ladder": {"rf0": 1e-2, "alpha": 8.0, "rungs": 7, "first_rungs": [0, 2]},
    "ensemble": {"starts": STARTS, "seed": number(3), "way": "uniform", "merge": False},
    "solver": {"rung_tolerance": 1e-12},
    "output": {"keep_paths": "all"},
}
ARRAYS = ("action", "measurement", "model", "prior", "gradient_norm", "iterations", "reason", "parameters")


def job(**tables):
    """The job with some keys changed, as job(ensemble={"starts": 3})."""
    changed = copy.deepcopy(JOB)
    for table, values in tables.items():
        changed.setdefault(table, {}).update(values)
    return changed


def run(folder, tables=JOB, name="run", options=()):
    return RunFile(runner.run(tables, options, output=folder / name, quiet=True))


@cache
def reference(infinity=False):
    """Every start's outcomes without MPI, the last start first; computed on rank 0."""
    found = {}
    if COMM.rank == 0:
        read = load_job(JOB)
        problem = build_problem(read).problem
        ladder = Ladder(1e-2, 8.0, 7 + infinity, (0, 2), infinity)
        team = make_team(Action(problem), ladder, solver_of(read))
        for start in reversed(range(STARTS)):
            team.take(begin(SearchContext(problem, ladder), WAYS["uniform"], number(3), start))
            while team.busy:
                for one in team.work():
                    found.setdefault(start, {})[one.rung.number] = one.rung
        team.destroy()
    return COMM.bcast(found, root=0)


def compare(found: RunFile, exact: bool, infinity: bool = False):
    """A run against the reference, on rank 0."""
    wanted = reference(infinity)
    if COMM.rank:
        return
    tables, parameters = found.tables(), found.table("parameters")
    assert tables["action"].shape == (STARTS, 7 + infinity)
    for start, outcomes in wanted.items():
        for rung in range(7 + infinity):
            if rung not in outcomes:
                assert np.isnan(tables["action"][start, rung])
                continue
            outcome = outcomes[rung]
            stored = tables["action"][start, rung]
            if exact:
                assert tables["reason"][start, rung] == outcome.reason.code
                assert stored == outcome.parts.total
                assert tables["iterations"][start, rung] == outcome.iterations
                np.testing.assert_array_equal(parameters[start, rung], outcome.path[-1:])
                blocks, shared = found.path(start, rung)
                path = np.concatenate([*(block.ravel() for block in blocks), shared])
                np.testing.assert_array_equal(path, outcome.path)
            else:
                assert stored == pytest.approx(outcome.parts.total, rel=1e-9)


def test_a_run_on_this_world_is_the_serial_one_bit_by_bit(shared_path):
    compare(run(shared_path), exact=True)


def test_a_run_to_infinity_is_the_serial_one_bit_by_bit(shared_path):
    found = run(shared_path, job(ladder={"end": "infinity"}))
    compare(found, exact=True, infinity=True)
    assert np.isinf(found.header.rf[-1]) and not found.table("model")[:, -1].any()


def test_several_ranks_a_start_do_not_come_to_infinity(shared_path):
    """The minimizer of one path over several ranks knows finite Rf alone."""
    if COMM.size % 2 == 0:
        with pytest.raises(InputError, match="ladder.end"):
            run(shared_path, job(ladder={"end": "infinity"}, ensemble={"ranks_per_start": 2}))


def test_a_run_whose_last_climbs_go_over_to_fewer_lanes_is_the_serial_one_bit_by_bit(
    shared_path, monkeypatch
):
    went, inner = [], LockstepTeam._go_over
    monkeypatch.setattr(
        LockstepTeam, "_go_over", lambda team, lanes: went.append(lanes) or inner(team, lanes)
    )
    monkeypatch.setattr(lockstep_module, "PATIENCE", 0.0)
    monkeypatch.setattr(lockstep_module, "LOOK_SECONDS", 1e-5)
    action = Action(build_problem(load_job(JOB)).problem)
    for lanes in (4, 2):
        Lockstep(action, Ladder(1e-2, 8.0, 7), lanes)
    compare(run(shared_path), exact=True)
    if STARTS / COMM.size > 3:  # a rank whose starts the others took had no climbs to move
        assert any(COMM.allgather(2 in went))


def test_two_runs_are_equal_bit_by_bit(shared_path):
    """Whichever rank took which start."""
    one, two = run(shared_path, name="one"), run(shared_path, name="two")
    if COMM.rank == 0:
        for name in ARRAYS:
            np.testing.assert_array_equal(one.table(name), two.table(name), err_msg=name)


def test_every_rank_writes_a_shard_and_all_starts_are_there_once(shared_path):
    found = run(shared_path, job(ladder={"rungs": 3, "first_rungs": [0]}, ensemble={"starts": 12}))
    if COMM.rank == 0:
        shards = sorted(file.name for file in (shared_path / "run" / "shards").glob("*.h5"))
        assert shards == [f"rank-{rank:04d}.h5" for rank in range(COMM.size)]
        assert found.tables()["action"].shape == (12, 3)
        assert np.isfinite(found.tables()["action"]).all()
        assert found.header.provenance["linear_solver"].startswith("Cholesky of ")


def test_fewer_starts_than_ranks(shared_path):
    found = run(shared_path, job(ensemble={"starts": 1}, ladder={"first_rungs": [0]}))
    wanted = reference()[0][6].parts.total
    if COMM.rank == 0:
        assert found.tables()["action"][0, -1] == wanted


@pytest.mark.parametrize("ranks", [pytest.param(n, marks=pytest.mark.worlds(multiple=n)) for n in (2, 4)])
@pytest.mark.parametrize("elimination", ["auto", "tree"])
def test_ranks_that_share_a_start_find_the_same_minima(shared_path, ranks, elimination):
    tables = job(ensemble={"ranks_per_start": ranks}, solver={"elimination": elimination})
    found = run(shared_path, tables)
    compare(found, exact=False)
    if COMM.rank == 0:
        shards = list((shared_path / "run" / "shards").glob("*.h5"))
        assert len(shards) == COMM.size // ranks


def test_a_world_that_is_no_multiple_is_a_mistake_on_all_ranks(shared_path):
    ranks = COMM.size + 1
    with pytest.raises(InputError) as caught:
        run(shared_path, job(ensemble={"ranks_per_start": ranks}))
    assert [mistake.place for mistake in caught.value.mistakes] == ["ensemble.ranks_per_start"]
    COMM.Barrier()
    assert not (shared_path / "run").exists()


def test_a_directory_that_holds_a_run_is_refused_on_all_ranks(shared_path):
    small = job(ensemble={"starts": 2}, ladder={"rungs": 2, "first_rungs": [0]})
    run(shared_path, small)
    COMM.Barrier()
    with pytest.raises(InputError, match="already holds a run"):
        run(shared_path, small)


def test_an_option_that_nobody_uses_is_refused_on_all_ranks(shared_path):
    with pytest.raises(InputError) as caught:
        run(shared_path, options=["-tao_gattol", "1e-9"])
    assert [mistake.place for mistake in caught.value.mistakes] == ["-tao_gattol"]
    COMM.Barrier()
    assert not (shared_path / "run").exists()


def test_options_of_job_and_line_reach_the_solver(shared_path):
    small = job(
        ensemble={"starts": 2},
        ladder={"rungs": 2, "first_rungs": [0]},
        solver={"petsc": {"tao_gatol": 1e-7, "tao_max_it": 50}},
    )
    found = run(shared_path, small, options=["-tao_max_it", "1"])
    if COMM.rank == 0:
        assert (found.tables()["iterations"] <= 1).all()


def test_a_native_minimizer_gives_the_same_bits_on_any_world(shared_path):
    small = job(ensemble={"starts": 4}, ladder={"rungs": 4, "first_rungs": [0]}, solver={"minimizer": "bnls"})
    found = run(shared_path, small)
    if COMM.rank == 0:
        problem = build_problem(load_job(small)).problem
        ladder = Ladder(1e-2, 8.0, 4)
        with make_minimizer(Action(problem), "bnls") as minimizer:
            for start in (3, 1, 0, 2):
                climb = begin(SearchContext(problem, ladder), WAYS["uniform"], number(3), start)
                while not climb.ended(ladder):
                    climb, rung = step(climb, ladder, minimizer)
                    stored = found.tables()["action"][start, rung.number]
                    assert stored == rung.parts.total


def levels(found: RunFile):
    """Final action and parameter of every start."""
    return found.table("action")[:, -1], found.table("parameters")[:, -1, 0]


def test_merged_starts_end_as_they_would_have_alone(shared_path):
    alone = run(shared_path, name="alone")
    merged = run(shared_path, job(ensemble={"merge": True}, output={"keep_paths": "final"}), name="merged")
    if COMM.rank == 0:
        (one, rho), (two, other) = levels(alone), levels(merged)
        np.testing.assert_allclose(two, one, rtol=1e-10)
        np.testing.assert_allclose(other, rho, rtol=1e-7)
        assert (merged.same_as < merged.start).any()
        assert merged.table("iterations").sum() < alone.table("iterations").sum()
        follower = int(np.argmax(merged.same_as < merged.start))
        leader = int(merged.same_as[follower])
        np.testing.assert_array_equal(merged.path(follower)[1], merged.path(leader)[1])
        np.testing.assert_array_equal(merged.visited, alone.visited)


def test_the_lowest_start_of_each_minimum_is_the_same_bit_by_bit_however_starts_merge(shared_path):
    alone = run(shared_path, name="alone")
    merged = run(shared_path, job(ensemble={"merge": True}), name="merged")
    if COMM.rank == 0:
        leaders = merged.same_as == merged.start
        np.testing.assert_array_equal(levels(merged)[0][leaders], levels(alone)[0][leaders])


def test_a_search_finds_the_same_levels_on_any_world(shared_path):
    search = job(
        ensemble={"way": "auto", "starts": 20, "budget": "starts", "merge": True}, ladder={"first_rungs": [0]}
    )
    found = run(shared_path, search)
    if COMM.rank == 0:
        assert len(found.start) == 20
        names = [found.header.ways[way] for way in found.table("way")]
        assert len(set(names)) > 1
        complete = found.visited[:, -1]
        assert complete[:8].all()
        lowest = np.nanmin(found.table("action")[:, -1])
        assert lowest == pytest.approx(min(one[6].parts.total for one in reference().values()), rel=1e-9)
