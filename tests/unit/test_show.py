"""What `hpcda models` says of one model, of the catalogue or of a file of one's own."""

from __future__ import annotations

import re

import pytest

from hpcda.errors import InputError
from hpcda.models.catalogue import catalogue
from hpcda.show import describe_model

FILE = """
from hpcda import Model, Parameter, State

def rates(x, p):
    return [p.a * x.prey - x.prey * x.predator, x.prey * x.predator - x.predator]

def build(growth: float = 1.5):
    states = State("prey", range=(0.0, 9.0)), State("predator")
    return Model("hares", states, (Parameter("a", growth, range=(1.0, 2.0)),), rates)
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE)
    return tmp_path / "mine.py"


@pytest.mark.parametrize("name", catalogue())
def test_every_model_of_the_catalogue_has_its_states_and_options(name):
    text, model = describe_model(name), catalogue()[name]()
    assert text.startswith(f"{name}: {model.title}") and model.citation in text
    assert all(re.search(rf"^  {re.escape(s.name)} ", text, re.MULTILINE) for s in model.states[:20])


def test_a_model_of_ones_own_is_described_as_those_of_the_catalogue(file):
    for name in ("mine.py:build", f"{file}:build"):
        lines = [" ".join(line.split()) for line in describe_model(name).splitlines()]
        assert lines[0] == f"{name}: hares"  # a model without a title goes by its name
        assert "options growth = 1.5" in lines
        assert "prey starts in [0, 9] twin from 0" in lines
        assert "a default 1.5 first guess in [1, 2]" in lines


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lorentz63", "did you mean 'lorenz63'"),
        ("mine.py", "name a function in a file, as 'neuron.py:build'"),
        ("mine.py:bild", "did you mean 'build'"),
        ("other.py:build", "there is no file"),
    ],
)
def test_what_is_no_model_is_told_with_a_remedy(file, name, words):
    with pytest.raises(InputError, match=re.escape(words)):
        describe_model(name)
