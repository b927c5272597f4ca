"""What the READMEs say: links lead somewhere, the examples of Python run as they stand."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from hpcda.cli import main

ROOT = Path(__file__).parents[3]
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
    from hpcda.models.catalogue import load_model

    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (example,) = [block for block in blocks if "def build" in block]
    (tmp_path / "mine.py").write_text(example, encoding="utf-8")
    model, known = load_model("mine.py:build", folder=tmp_path), load_model("lorenz63")
    x = [1.0, 2.0, 3.0]
    np.testing.assert_allclose(
        np.array(model(x, model.defaults, {}), dtype=float),
        np.array(known(x, known.defaults, {}), dtype=float),
    )
