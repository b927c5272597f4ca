"""What a run's directory holds is data: read, never executed, unless it is code of one's own."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, replace
from html.parser import HTMLParser

import pytest

from hpcda import cli
from hpcda.analysis import analyze, open_run
from hpcda.errors import InputError
from hpcda.models.expression import Expression
from hpcda.progress import Snapshot
from tests.unit.synthetic_run import make_layout, write_run

CODE = """
from pathlib import Path
from hpcda.action.activation import Activation
Path({marker!r}).write_text("executed")
ACTIVATION = Activation(name="mine", function=lambda x: x)
def build():
    raise SystemExit
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def run(tmp_path):
    """A run whose job names an extension and a model's file, both of which leave a mark when executed."""
    folder, mark = tmp_path / "run", tmp_path / "executed"
    write_run(folder, make_layout())
    (folder / "extensions").mkdir()
    for file in (folder / "extensions" / "0-mine.py", tmp_path / "model.py"):
        file.write_text(CODE.format(marker=str(mark)))
    (folder / "job.toml").write_text(
        f"folder = {json.dumps(str(tmp_path))}\n"
        'extensions = ["mine.py"]\n[model]\nname = "model.py:build"\n[data]\nfile = "data.csv"\n'
    )
    done = Snapshot("done", 40, 960, 1, "elsewhere", 1, 0.0, 0.0)
    (folder / "progress.json").write_text(json.dumps(asdict(done)))
    return folder, mark


def test_status_executes_nothing(run):
    folder, mark = run
    assert cli.main(["status", str(folder)]) == 0
    assert not mark.exists()


@as_root
def test_a_comparison_executes_no_code_of_another_user(run, tmp_path):
    folder, mark = run
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    for directory in (folder, other):
        os.chown(directory / "job.toml", 12345, 12345)
    words = ["compare", str(folder), str(other), "--over", "reduced", "--output", str(tmp_path / "table")]
    assert cli.main(words) == 0
    assert not mark.exists()


def test_an_analysis_executes_ones_own_files(run):
    """So that the test below can fail: error bars and predictions need the model."""
    folder, mark = run
    analyze(folder)
    assert mark.exists()


@as_root
@pytest.mark.parametrize("foreign", ["job.toml", "extensions/0-mine.py", "../model.py"])
def test_code_of_another_user_is_not_executed_unless_asked_for(run, capsys, foreign):
    folder, mark = run
    os.chown(folder / foreign, 12345, 12345)
    assert cli.main(["analyze", str(folder)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert not mark.exists()
    assert "belongs to another user (number 12345)" in said
    with pytest.raises(InputError, match="--trust"):
        _ = open_run(folder).problem
    assert not mark.exists()
    cli.main(["analyze", str(folder), "--trust"])
    assert mark.exists()


@as_root
def test_a_run_of_another_user_that_names_no_code_is_analyzed_wholly(tmp_path):
    layout = make_layout()
    write_run(tmp_path / "run", layout)
    for file in tmp_path.rglob("*"):
        os.chown(file, 12345, 12345)
    assert "error_bars" in analyze(tmp_path / "run", problem=layout.problem)["candidate"]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') + x",
        "x.__class__.__base__",
        "(lambda: x)()",
        "[x for x in (1, 2)][0] + x",
        "open('/etc/passwd') + x",
        "f'{x}' + x",
    ],
)
def test_expressions_are_arithmetic_alone(text):
    """They are read from a run's files again."""
    with pytest.raises(InputError):
        Expression(text, ("x",))


HOSTILE = "</pre></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"


class Tags(HTMLParser):
    """What a browser sees: tags with their attributes, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def test_names_titles_and_texts_are_escaped_in_a_report(tmp_path):
    layout = make_layout(job_toml=f"# {HOSTILE}\n")
    model = replace(
        layout.problem.model, name=HOSTILE, title=f"title {HOSTILE}", citation=f"citation {HOSTILE}"
    )
    layout = replace(
        layout,
        problem=replace(layout.problem, model=model),
        provenance={"host": f"host {HOSTILE}", f"key {HOSTILE}": "1", "petsc_options": f"-a {HOSTILE}"},
    )
    folder = tmp_path / "<script>alert(2)</script>"
    write_run(folder, layout)
    run = open_run(folder, layout.problem)
    run.notes.append(f"note {HOSTILE}")
    analyze(folder, problem=layout.problem)
    text = (folder / "analysis" / "report.html").read_text()
    page = Tags()
    page.feed(text)
    names = [tag for tag, _ in page.tags]
    assert "script" not in names and "onerror" not in {name for _, given in page.tags for name in given}
    assert all(given["src"].startswith("data:image/png;base64,") for tag, given in page.tags if tag == "img")
    seen = "".join(page.texts)
    for word in ("title ", "citation ", "host ", "key ", "# ", "-a "):
        assert word + HOSTILE in seen
    (policy,) = [given for tag, given in page.tags if "http-equiv" in given]
    assert policy["http-equiv"] == "Content-Security-Policy" and "default-src 'none'" in policy["content"]
