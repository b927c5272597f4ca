"""Files outside the package: what they add, to whom, and what is said of those that are wrong."""

import re
import tomllib
from dataclasses import replace

import numpy as np
import pytest

import hpcda
from hpcda import cli
from hpcda.action import SCHEMES, Action, verify
from hpcda.action.losses import LOSSES
from hpcda.annealing import Ladder, Reason, ended
from hpcda.annealing.eliminations import plan
from hpcda.annealing.minimizer import Own, Snes, Tao
from hpcda.annealing.minimizers import MINIMIZERS
from hpcda.build import build_problem
from hpcda.errors import InputError
from hpcda.job import load_job
from hpcda.models.traced import trace
from hpcda.search import ESCAPES, WAYS, Auto, Budget, SearchContext, searched
from tests import extending
from tests.chance import generator, number
from tests.unit.problems import example

PLAN, ORDER = "lambda action: plan(action, profile)", 'order="rcm"'
JOB = """
extensions = [{files}]
[model]
name = "lorenz63"
[twin]
dt = 0.05
samples = 13
observed = ["x", "z"]
noise_std = 0.5
seed = {seed}
[ladder]
rf0 = 1e-1
alpha = 30.0
rungs = 4
[action]
discretization = "{scheme}"
[ensemble]
starts = 4
way = "{way}"
[solver]
minimizer = "{minimizer}"
elimination = "{elimination}"
"""


@pytest.fixture(autouse=True)
def forgotten():
    with extending.forgotten():
        yield


def written(folder, *files, scheme="auto", way="auto", minimizer="auto", elimination="auto", **texts):
    """A job file beside files of these texts, which it names in this order."""
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    named = ", ".join(f'"{file}"' for file in (files or [f"{name}.py" for name in texts]))
    path = folder / "job.toml"
    names = {"scheme": scheme, "way": way, "minimizer": minimizer, "elimination": elimination}
    path.write_text(JOB.format(files=named, seed=number(1), **names))
    return path


def mistakes(source):
    with pytest.raises(InputError) as caught:
        load_job(source)
    return caught.value.mistakes


def test_a_job_may_choose_what_its_files_define_and_another_job_may_not(tmp_path):
    texts = {"a": extending.SCHEME, "b": extending.WAY + extending.ESCAPE, "c": extending.MINIMIZER}
    job = load_job(written(tmp_path, **texts, scheme="backward", way="middle", minimizer="scipy-lbfgsb"))
    assert job.extensions == ("a.py", "b.py", "c.py")
    assert [one.names for one in job.extension_files] == [
        ("backward",),
        ("middle", "backwards"),
        ("scipy-lbfgsb",),
    ]
    assert load_job(tomllib.loads(job.resolved_toml())) == job
    other = written(tmp_path, "a.py", scheme="backward", way="middle")
    (mistake,) = mistakes(other)
    assert mistake.place == "ensemble.way" and "middle" not in mistake.remedy


def test_list_shows_them_of_the_job_alone(tmp_path, capsys):
    path = written(tmp_path, mine=extending.WAY)
    assert cli.main(["list", str(path)]) == 0
    assert re.search("^  middle +states at the middle of their range$", capsys.readouterr().out, re.MULTILINE)
    assert cli.main(["list"]) == 0
    assert "middle of their range" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["there is no file", "mine.py"]),
        ("", ["defines nothing", "WAY (way)", "SCHEME (discretization)"]),
        ("WAY = 3", ["its WAY is an int, not a Way", "Way(...)"]),
        ("import nothing_like_it", ["line 1, raises ModuleNotFoundError"]),
        ("x = 1\nraise SystemExit('over')", ["line 2, raises SystemExit: over"]),
        ("WAY = (", ["raises SyntaxError"]),
        (extending.WAY.replace('"middle"', '"quiet"'), ["the way 'quiet'", "hpcda.search.ways.quiet"]),
        (extending.WAY.replace('"middle"', '"splice"'), ["hpcda.search.escapes.splice", "as one of"]),
        (extending.WAY.replace('"middle"', '"My Way"'), ["'My Way' cannot be the name of a way"]),
        (extending.WAY.replace('"middle"', '"auto"'), ["'auto' cannot be the name of a way"]),
        (extending.WAY + extending.ESCAPE.replace('"backwards"', '"middle"'), ["'middle'", "already"]),
        (extending.SCHEME.replace("rate=[[1]]", "rate=[[2]]"), ["line 5,", "'backward'", "constant rate"]),
        (extending.WAY.replace("path, shares", '"path", shares'), ["WAY: path = 'path' is not a function"]),
        (extending.WAY.replace("leads=3", 'leads="3"'), ["WAY: leads = '3' is not a"]),
        (extending.ESCAPE.replace("weight=100.0", 'weight="a"'), ["ESCAPE: weight = 'a' is not a number"]),
        (extending.LOSS.replace("residual=residual", "residual=3"), ["LOSS: residual = 3 is not a function"]),
        (extending.MINIMIZER.replace("Lbfgsb, bounds", "3, bounds"), ["MINIMIZER: how = 3 is not"]),
        (extending.TREE.replace(PLAN, '"tree"'), ["ELIMINATION: how = 'tree' is not"]),
        (extending.TREE.replace('"a tree in a narrow profile"', "7"), ["sentence = 7 is not a string"]),
        (extending.ELIMINATION.replace(ORDER, "package=3"), ["ELIMINATION: how = Linear(package=3"]),
        (extending.ELIMINATION.replace(ORDER, "spread=True"), ["exact factors of 'petsc' live on one rank"]),
        (extending.ELIMINATION.replace(ORDER, "levels=3"), ["line 5,", "levels = 3: a tuple"]),
        (extending.ELIMINATION.replace(ORDER, f'package="mumps", {ORDER}'), ["'mumps' chooses its own"]),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_mistake_with_key_and_remedy(tmp_path, capsys, monkeypatch, text, words):
    for name in cli.RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    texts = {"mine": "pass"} if text is None else {"wrong": text}
    path = written(tmp_path, "wrong.py", way="not-known-then", **texts)
    before = [list(registry) for registry in (SCHEMES, WAYS, ESCAPES, MINIMIZERS)]
    (mistake,) = mistakes(path)
    assert mistake.place == "extensions[0]" and mistake.remedy
    assert all(word in str(mistake) for word in ["wrong.py", *words])
    assert before == [list(registry) for registry in (SCHEMES, WAYS, ESCAPES, MINIMIZERS)]
    assert cli.main(["check", str(path)]) == 2
    assert capsys.readouterr().err.count("extensions[0]") == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("lambda action: plan(action, profile)", "lambda action: 3"),
            "the plan of 'banded' in .* is an int, not a",
        ),
        (("order = order[np.argsort", "return 1 / 0 #"), "line 14, raises ZeroDivisionError"),
        (("order = order[np.argsort", "order = order[:3] #"), "names each of the .* unknowns once"),
        (("order = order[np.argsort", "order = 0 * order #"), "names each of the .* unknowns once"),
        (
            ("order = order[np.argsort", "order = np.arange(pattern.size)[::-1] #"),
            "end with the shared unknowns",
        ),
    ],
)
def test_a_plan_to_eliminate_that_is_none_is_told(tmp_path, change, words):
    text = extending.TREE.replace(*change)
    assert text != extending.TREE
    job = load_job(written(tmp_path, elimination="banded", mine=text))
    shared = {"name": "lorenz63", "parameters": {"rho": {"estimate": True, "start": [20.0, 35.0]}}}
    action = Action(build_problem(load_job({**job.model_dump(exclude_unset=True), "model": shared})).problem)
    with pytest.raises(InputError, match=f"(?s)solver.elimination: .*{words}"):
        plan(action, "banded")


@pytest.mark.parametrize(
    ("value", "place"),
    [(3, "extensions"), ("a.py", "extensions"), ([1], "extensions[0]"), ([""], "extensions[0]")],
)
def test_what_is_no_list_of_files(tmp_path, value, place):
    tables = {**tomllib.loads(written(tmp_path).read_text()), "extensions": value}
    assert [mistake.place for mistake in mistakes(tables)] == [place]


def test_other_mistakes_of_the_job_are_told_beside_that_of_a_file(tmp_path):
    path = written(tmp_path, "gone.py")
    path.write_text(path.read_text().replace("alpha = 30.0", "alpha = 0.5"))
    assert [mistake.place for mistake in mistakes(path)] == ["extensions[0]", "ladder.alpha"]


def test_a_name_stands_for_one_file_in_a_process_until_that_changes(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    job = load_job(written(first, mine=extending.WAY, way="middle"))
    was = WAYS["middle"]
    load_job(written(second, mine=extending.WAY, way="middle"))  # the same text is the same way
    assert WAYS["middle"] is was
    other = extending.WAY.replace("at the middle", "in the middle")
    (mistake,) = mistakes(written(second, mine=other, way="middle"))
    assert str(first / "mine.py") in mistake.problem and str(second / "mine.py") in mistake.problem
    (second / "mine.py").unlink()
    with extending.forgotten():
        pass
    assert WAYS["middle"] is was and len(job.extension_files) == 1


def test_a_file_that_has_changed_takes_the_place_of_what_it_was(tmp_path):
    path = written(tmp_path, mine=extending.WAY, way="middle")
    old = load_job(path).extension_files[0].sha256
    (tmp_path / "mine.py").write_text(extending.WAY.replace("at the middle", "in the middle"))
    new = load_job(path).extension_files[0].sha256
    assert old != new and WAYS["middle"].sentence == "states in the middle of their range"
    (tmp_path / "mine.py").write_text(extending.ESCAPE)
    assert [mistake.place for mistake in mistakes(path)] == ["ensemble.way"]
    assert "middle" not in WAYS and "backwards" in ESCAPES
    (tmp_path / "mine.py").write_text(extending.WAY.replace('"middle"', '"quiet"'))
    assert [mistake.place for mistake in mistakes(path)] == ["extensions[0]"]
    assert "backwards" in ESCAPES, "a file that cannot be loaded leaves what it was"


def test_a_job_from_python_names_the_files_of_extend_that_it_uses(tmp_path):
    (tmp_path / "mine.py").write_text(extending.WAY)
    (tmp_path / "scheme.py").write_text(extending.SCHEME)
    assert hpcda.extend(tmp_path / "mine.py") == ("middle",)
    assert hpcda.extend(str(tmp_path / "scheme.py")) == ("backward",)
    tables = tomllib.loads(written(tmp_path, way="middle").read_text().replace("extensions = []", ""))
    assert load_job(tables).extensions == (str(tmp_path / "mine.py"),)
    tables["ensemble"]["way"] = "auto"
    assert load_job(tables).extensions == (str(tmp_path / "mine.py"),), "a search draws it"
    tables["ensemble"]["way"] = "quiet"
    assert load_job(tables).extensions == ()
    tables["action"]["discretization"] = "backward"
    assert load_job(tables).extensions == (str(tmp_path / "scheme.py"),)
    (tmp_path / "loss.py").write_text(extending.LOSS)
    hpcda.extend(tmp_path / "loss.py")
    for loss in ("squares", {"name": "squares"}, {"x": "squares", "z": "gaussian"}):
        tables["twin"]["loss"] = loss
        assert load_job(tables).extensions == tuple(str(tmp_path / f"{n}.py") for n in ("scheme", "loss"))
    del tables["twin"]["loss"]
    tables["extensions"] = [str(tmp_path / "scheme.py")]
    assert load_job(tables).extensions == (str(tmp_path / "scheme.py"),)
    with pytest.raises(InputError, match="there is no file"):
        hpcda.extend(tmp_path / "none.py")


def test_a_search_draws_those_of_its_own_files(tmp_path):
    job = load_job(written(tmp_path, mine=extending.WAY + extending.ESCAPE))
    files = [one.sha256 for one in job.extension_files]
    context = SearchContext(build_problem(job).problem, Ladder(0.1, 30.0, 4))
    assert "middle" in [way.name for way in searched(context, files)]
    assert "middle" not in [way.name for way in searched(context)]
    ways = [
        {tasks.task(k).way for k in range(len(tasks))}
        for tasks in (Auto(context, 1, Budget(8), files=one).next([]) for one in (files, ()))
    ]
    assert ways == [{"middle"}, {"passes"}], "it leads"


def test_implicit_euler_from_a_file_is_implicit_euler(tmp_path):
    (tmp_path / "scheme.py").write_text(extending.SCHEME)
    hpcda.extend(tmp_path / "scheme.py")
    problem, path = example("lorenz63", "backward", "states alone")
    action, rf = Action(problem), 3.0
    assert verify(action, path, rf).ok
    blocks, _ = problem.split(path)
    total = 0.0
    for block, window in zip(blocks, problem.windows, strict=True):
        x = block[:, :3]
        p = {one.name: problem.fixed.get(one.name, one.default) for one in problem.model.parameters}
        p |= dict(zip([one.name for one in problem.parameters], problem.split(path)[1], strict=True))
        rates = np.array(
            [problem.model(point, p, {}, t) for point, t in zip(x, window.t, strict=True)], dtype=float
        )
        errors = x[1:] - x[:-1] - window.dt * rates[1:]
        total += 0.5 * rf * float(np.sum(problem.model_error_weight * errors**2))
    assert action.value(path, rf).model == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(("index", "words"), [("[:-1]", "shape"), (".astype(complex)", "complex")])
def test_a_way_that_gives_no_path_is_told(tmp_path, index, words):
    text = extending.WAY.replace("in problem.constants]))", f"in problem.constants])){index}")
    job = load_job(written(tmp_path, mine=text, way="middle"))
    context = SearchContext(build_problem(job).problem, Ladder(0.1, 30.0, 4))
    with pytest.raises(InputError, match=f"way 'middle': its path .*{words}"):
        WAYS["middle"].draw(context, generator(1))


POINTWISE = """
from hpcda.search.way import Way, pointwise

def states(problem, window, rng):
    return rng.standard_normal((window.times, problem.dimension)){change}

WAY = Way("white", "white noise", pointwise(states))
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [("", ""), ("[0]", r"float64 of shape \(3,\)"), (" + 1j", "complex128"), (".T", r"shape \(3, 13\)")],
)
def test_states_of_a_way_that_have_not_the_shape_of_the_window_are_told(tmp_path, change, words):
    job = load_job(written(tmp_path, mine=POINTWISE.format(change=change), way="white"))
    context = SearchContext(build_problem(job).problem, Ladder(0.1, 30.0, 4))
    if not words:
        assert np.isfinite(WAYS["white"].draw(context, generator(1))).all()
        return
    with pytest.raises(InputError, match=f"its states are an array of .*{words}"):
        WAYS["white"].draw(context, generator(1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("0.5 * residual(h, y, s, options) ** 2", "math.log(residual(h, y, s, options))"),
            "share of the loss 'squares': a conversion to a plain number",
        ),
        (("alike(h, (0.5, 0.5))", "1 / 0"), "noise of the loss 'squares'.*line 15, raises ZeroDivisionError"),
        (("draw=lambda rng, h", "draw=lambda h"), "draw of the loss 'squares'.*raises TypeError"),
    ],
)
def test_a_function_of_a_loss_that_fails_is_told(tmp_path, change, words):
    text = extending.LOSS.replace("import numpy as np", "import math\nimport numpy as np").replace(*change)
    (tmp_path / "mine.py").write_text(text)
    hpcda.extend(tmp_path / "mine.py")
    loss = LOSSES["squares"]
    with pytest.raises(InputError, match=words):
        trace(lambda given: [loss.share(given("v", 0), 1.0, 0.5, {})])
        loss.noise(np.ones(3), np.ones(3), {})
        loss.draw(generator(1), np.ones(3), np.ones(3), {})


@pytest.mark.parametrize(("first", "wrong"), [("4", True), ("-1", True), ("3", False)])
def test_an_escape_to_a_rung_that_is_none_is_told(tmp_path, first, wrong):
    job = load_job(written(tmp_path, mine=extending.ESCAPE.replace("context.rung(0.3)", first)))
    context = SearchContext(build_problem(job).problem, Ladder(0.1, 30.0, 4))
    minimum = WAYS["quiet"].draw(context, generator(1))
    if wrong:
        with pytest.raises(InputError, match=f"escape 'backwards': its first rung is {first}"):
            ESCAPES["backwards"].draw(context, [minimum], generator(2))
    else:
        assert ESCAPES["backwards"].draw(context, [minimum], generator(2))[1] == 3


@pytest.mark.parametrize("bounded", [False, True])
def test_an_end_is_judged_on_the_action(bounded):
    from scipy.optimize import Bounds, minimize

    def lowest(problem, path):
        action = Action(problem)

        def function(x):
            parts, gradient = action.gradient(x, rf)
            return parts.total, gradient

        options = {"maxiter": 10**5, "maxfun": 10**6, "ftol": 0.0, "gtol": 1e-8, "maxcor": 30}
        begin = np.clip(path, *problem.bounds)
        return minimize(
            function, begin, jac=True, method="L-BFGS-B", bounds=Bounds(*problem.bounds), options=options
        )

    problem, path = example("lorenz63", "trapezoid", "states alone")
    rf = 10.0
    if bounded:
        reach = 0.5 * np.abs(lowest(problem, path).x).max()  # some states would go beyond
        problem = replace(problem, state_bounds=np.tile([-reach, reach], (3, 1)))
    action, (lower, upper) = Action(problem), problem.bounds
    path = np.clip(path, lower, upper)
    far = ended(action, path, rf, 0, otherwise=Reason.STOPPED_ITERATIONS)
    assert far.reason is Reason.STOPPED_ITERATIONS and far.gradient_norm > 1.0
    found = lowest(problem, path)
    there = ended(action, found.x, rf, found.nit)
    assert there.reason.converged and there.parts.total == pytest.approx(found.fun, rel=1e-14)
    assert bool(np.any((found.x == lower) | (found.x == upper))) is bounded
    off = ended(action, np.clip(found.x + 1e-2, lower, upper), rf, 0)
    assert off.reason is Reason.FAILED_OTHER
    lost = ended(action, np.full(len(path), np.nan), rf, 0)
    assert lost.reason is Reason.FAILED_NON_FINITE


def test_minimizers_say_whether_they_need_petsc(tmp_path):
    (tmp_path / "mine.py").write_text(extending.MINIMIZER)
    hpcda.extend(tmp_path / "mine.py")
    plain = [name for name, one in MINIMIZERS.items() if not isinstance(one.how, Tao | Snes | Own)]
    assert plain == ["scipy-lbfgsb"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("return problem.join", "1 / 0; return problem.join"), "line 10, raises ZeroDivisionError"),
        (("context, rng):", "context):"), "mine.py raises TypeError: path() takes 1 positional argument"),
    ],
)
def test_a_way_that_raises_is_told(tmp_path, capsys, monkeypatch, change, words):
    for name in cli.RANK_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    path = written(tmp_path, mine=extending.WAY.replace(*change), way="middle")
    assert cli.main(["check", str(path)]) == 2
    told = capsys.readouterr().err
    assert "way 'middle'" in told and words in told
