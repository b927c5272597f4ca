"""What the READMEs say: links lead somewhere, the examples of Python run as they stand."""

import re
import tomllib
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from scipy import stats

import hpcda
from hpcda.action.losses import LOSSES
from hpcda.build import build_problem
from hpcda.cli import main
from hpcda.job import load_job
from hpcda.models.catalogue import load_model
from hpcda.models.twin import simulate
from tests import extending
from tests.chance import generator

ROOT = Path(__file__).parents[3]
GAIN, OFFSETS, NOISE = 1.3, (0.2, -0.4), 0.5
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("tests/*/README.md"))
    if not path.relative_to(ROOT).parts[0].startswith(".")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_the_example_in_python_runs_as_it_stands(tmp_path, monkeypatch):
    mpl.use("Agg")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (example,) = [block for block in blocks if "hpcda.anneal" in block]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs").symlink_to(ROOT / "jobs")
    assert main(["init", "first"]) == 0
    known: dict = {}
    exec(compile(example.replace("result = hpcda.run", "stored = hpcda.run"), "README.md", "exec"), known)
    rho = known["result"].parameters.sel(parameter="rho")
    assert known["result"].success and abs(rho.estimate - 28.0) < 4.0 * rho["std"]
    assert known["stored"].success and np.isfinite(known["stored"].fun)


def test_the_model_of_the_readme_is_that_of_the_catalogue(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (example,) = [block for block in blocks if "def build" in block]
    (tmp_path / "mine.py").write_text(example, encoding="utf-8")
    model, known = load_model("mine.py:build", folder=tmp_path), load_model("lorenz63")
    x = [1.0, 2.0, 3.0]
    np.testing.assert_allclose(
        np.array(model(x, model.defaults, {}), dtype=float),
        np.array(known(x, known.defaults, {}), dtype=float),
    )


@pytest.fixture
def sensors(tmp_path):
    """The job of the sensors in jobs/README.md and one sensor more, on two windows of data that they gave."""
    page = (ROOT / "jobs" / "README.md").read_text(encoding="utf-8")
    (block,) = [one for one in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "gain" in one]
    job = tomllib.loads(block)
    model, rng, t = load_model("lorenz96", {"dimension": 6}), generator(11), 0.025 * np.arange(121)
    windows = []
    for offset in OFFSETS:
        x = simulate(model, {"F": 8.0}, rng.uniform(-2.0, 8.0, 6), t)
        measured = GAIN * x[:, 0] + offset + NOISE * rng.standard_t(4, t.size)
        others = rng.poisson(np.exp(x[:, 1] / 4.0)), x[:, 3] + NOISE * rng.standard_normal(t.size)
        file = tmp_path / f"{len(windows)}.csv"
        columns = np.column_stack([t, measured, *others])
        np.savetxt(file, columns, delimiter=",", header="t,y0,spikes,y3", comments="")
        observed = {**job["data"]["observed"], "x3": "y3"}
        noise = {**job["data"]["noise_std"], "x3": NOISE}
        more = {"file": str(file), "time": "t", "observed": observed, "noise_std": noise}
        windows.append({**job["data"], **more})
    return {
        "model": {**job["model"], "name": "lorenz96", "options": {"dimension": 6}},
        "data": windows,
        "ladder": {"rf0": 1e-2, "alpha": 2.0, "rf_max": 1e6},
        "ensemble": {"starts": 4, "way": "quiet"},
    }


def test_the_job_of_the_sensors_converges_to_what_made_the_data(sensors, tmp_path):
    assert not [note for note in build_problem(load_job(sensors)).notes if "sensor" in note]
    result = hpcda.run(sensors, tmp_path / "run", quiet=True)
    reasons = result.dataset.reason.values
    assert (reasons > 0).mean() > 0.9
    known = {"gain": GAIN, "noise_std(gain*x0 + offset)": NOISE}
    known |= {f"offset (window {k})": offset for k, offset in enumerate(OFFSETS)}
    for name, value in known.items():
        one = result.parameters.sel(parameter=name)
        assert abs(one.estimate - value) < 4.0 * one["std"], name


def test_sensors_that_nothing_holds_are_named(sensors):
    """As the README says; a prior does as well as bounds."""
    for name in ("gain", "offset"):
        del sensors["model"]["parameters"][name]["bounds"]
    (note,) = [note for note in build_problem(load_job(sensors)).notes if "sensor" in note]
    assert note.startswith("gain, offset belong to sensors and have neither bounds nor a prior")
    sensors["model"]["parameters"]["gain"]["prior"] = {"mean": 1.0, "std": 0.5}
    (note,) = [note for note in build_problem(load_job(sensors)).notes if "sensor" in note]
    assert note.startswith("offset belongs to a sensor and has neither")


def test_the_files_of_ones_own_in_the_map_work_as_they_stand(tmp_path):
    page = (ROOT / "hpcda" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    t = 0.02 * np.arange(101)
    x = simulate(load_model("lorenz63"), {"rho": 28.0}, [-5.0, -8.0, 20.0], t)[:, 0]
    with extending.forgotten():
        for name, kind in (("follow", "WAY ="), ("sech", "LOSS =")):
            (text,) = [block for block in blocks if kind in block]
            (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
            hpcda.extend(tmp_path / f"{name}.py")
        loss, rng, truth = LOSSES["sech"], generator(12), np.full(100_000, 2.0)
        drawn = loss.draw(rng, truth, np.full(truth.shape, 0.3), {})
        residual = loss.residual(truth, drawn, 0.3, {})
        share, (mean, variance) = loss.share(truth, drawn, 0.3, {}), loss.noise(truth, truth, {})
        assert abs(residual.mean()) < 0.02 and residual.std() == pytest.approx(1.0, abs=0.02)
        assert share.mean() == pytest.approx(mean[0], abs=5.0 * np.sqrt(variance[0] / truth.size))
        np.testing.assert_allclose(np.exp(-share) / (0.3 * np.pi), stats.hypsecant(2.0, 0.3).pdf(drawn))
        measured = loss.draw(rng, x, np.full(x.shape, 0.3), {})
        problem = hpcda.Problem(
            "lorenz63", t, {"x": measured}, noise_std=0.3, loss="sech", estimate={"rho": (20, 40)}
        )
        result = hpcda.anneal(problem, starts=16, seed=1, way="follow")
        rho = result.parameters.sel(parameter="rho")
    assert result.fun < 2.0 * 101 * mean[0] and abs(rho.estimate - 28.0) < 5.0 * rho["std"]


def test_the_boundary_value_problem_of_the_jobs_has_two_solutions():
    page = (ROOT / "jobs" / "README.md").read_text(encoding="utf-8")
    (example,) = [
        block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "boundary" in block
    ]
    known: dict = {}
    exec(compile(example, "jobs/README.md", "exec"), known)
    assert known["tops"] == pytest.approx([0.1405, 4.0915], abs=1e-4)
