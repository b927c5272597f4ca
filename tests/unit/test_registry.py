"""Registries: what is found in a folder is what jobs, messages, templates and lists name."""

import ast
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import hpcda
from hpcda import cli
from hpcda.action import SCHEMES
from hpcda.action.activations import ACTIVATIONS
from hpcda.action.losses import LOSSES
from hpcda.action.scheme import Scheme, scheme
from hpcda.annealing.minimizers import MINIMIZERS
from hpcda.errors import InputError
from hpcda.extensions import REGISTRIES
from hpcda.job import load_job
from hpcda.registry import Registry
from hpcda.search import ESCAPES, WAYS
from hpcda.search.trainings import TRAININGS
from hpcda.template import network_template, template
from tests.unit.job.test_job import SMALL

PACKAGE = Path(hpcda.__file__).parent
CHOSEN = [registry for registry in REGISTRIES if registry.key]
TRAPEZOID = {
    "state": [[1.0, 0.0], [0.0, 1.0]],
    "position": [[-1.0, 1.0]],
    "rate": [[0.5, 0.5]],
    "order": 2,
}


NETWORK = {
    "network": {"hidden": [3]},
    "twin": {"inputs": 2, "outputs": 2, "pairs": 20, "noise_std": 0.1},
    "ensemble": {"starts": 2},
}
OF_NETWORKS = (ACTIVATIONS, TRAININGS)


def changed(registry, value):
    key = registry.key
    table, name = key.split(".")
    small = NETWORK if registry in OF_NETWORKS else SMALL
    given = {**small, table: {**small.get(table, {}), name: value}}
    if registry is LOSSES and isinstance(value, str) and value in LOSSES and not LOSSES[value].scaled:
        given[table].pop("noise_std")
    return given


def offered(registry):
    """What a job may name: not the losses of several quantities at once."""
    return [name for name, one in registry.items() if not getattr(one, "joint", False)]


@pytest.mark.parametrize("registry", CHOSEN, ids=lambda one: one.noun)
def test_a_job_accepts_the_names_of_the_registry_and_no_others(registry):
    auto = () if registry in (LOSSES, ACTIVATIONS) else ("auto",)
    for name in (*auto, *registry):
        table, key = registry.key.split(".")
        found = getattr(load_job(changed(registry, name)), table)
        assert getattr(found[0] if isinstance(found, tuple) else found, key) == name
    for wrong in ("nothing-like-it", "", 3, True, ["quiet"]):
        with pytest.raises(InputError) as caught:
            load_job(changed(registry, wrong))
        (mistake,) = caught.value.mistakes
        assert mistake.place == registry.key and "is not accepted" in mistake.problem
        listed = re.search(r"use one of: (.*); one of your own .*extend", mistake.remedy)
        assert listed is not None and listed[1].split(", ") == [*auto, *offered(registry)]


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda one: one.noun)
def test_every_module_of_the_folder_is_one_object(registry):
    package = sys.modules[type(next(iter(registry.values()))).__module__]
    assert package is not None
    folder = Path(sys.modules[registry._package].__file__).parent
    files = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    assert {one.name.replace("-", "_") for one in registry.known(())} == files
    assert all(one.name == name and one.sentence for name, one in registry.items())


def test_the_names_are_written_in_no_other_place():
    """But for what says something about one of them: a default, how it works; or means something else."""
    homes = {Path(sys.modules[registry._package].__file__).parent for registry in REGISTRIES}
    told = {"map", "noise", "newton", "lockstep", "gaussian", "softmax", "tanh", "identity"}
    # fields of structures, PETSc's names of packages, functions of models, words of messages and of fields
    others = {"tree", "mumps", "cholmod", "tanh", "cos", "small", "scaled", "free"}
    names = {name for registry in REGISTRIES for name in registry} - told - others
    found = [
        (file.relative_to(PACKAGE), node.value)
        for file in PACKAGE.rglob("*.py")
        if file.parent not in homes
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert not found


@pytest.mark.parametrize("registry", CHOSEN, ids=lambda one: one.noun)
def test_the_job_that_init_writes_and_the_list_name_them_all(registry, capsys):
    write = network_template if registry in OF_NETWORKS else template
    text = write(Path("first/job.toml"))
    assert cli.main(["list"]) == 0
    listed = capsys.readouterr().out
    for one in registry.known(()):
        assert (f'"{one.name}"' in text) == (one.name in offered(registry))
        assert re.search(rf"^  {one.name} +{re.escape(one.sentence)}$", listed, re.MULTILINE)


def package(tmp_path, monkeypatch, name, **files):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for file, text in files.items():
        (folder / f"{file}.py").write_text("from hpcda.action.scheme import scheme\n" + text)
    monkeypatch.syspath_prepend(tmp_path)
    return Registry("discretization", "action.discretization", "SCHEME", name, Scheme)


def written(name, **more):
    more = {**TRAPEZOID, **more}
    return f"SCHEME = scheme({name!r}, 'a sentence', {', '.join(f'{k}={v!r}' for k, v in more.items())})"


def test_a_folder_is_found_in_the_order_of_places_and_names(tmp_path, monkeypatch):
    files = {
        "a": written("last", place=9),
        "b": written("beta"),
        "c": written("alpha"),
        "d": written("first", place=1),
    }
    assert list(package(tmp_path, monkeypatch, "ordered_schemes", **files)) == [
        "first",
        "last",
        "alpha",
        "beta",
    ]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a": written("same"), "b": written("same")}, ["some_schemes.b", "some_schemes.a defines already"]),
        ({"a": written("fine"), "b": "SHCEME = 3"}, ["some_schemes.b", "does not define SCHEME"]),
        ({"a": "SCHEME = 3"}, ["is an int, not a Scheme"]),
        ({"a": written("Not Allowed")}, ["'Not Allowed' cannot be the name"]),
        ({"a": written("auto")}, ["'auto' cannot be the name"]),
        ({"a": written("x" * 33)}, ["cannot be the name", "32"]),
    ],
)  # fmt: skip
def test_mistakes_in_a_folder_name_the_module(tmp_path, monkeypatch, files, words):
    for name in [name for name in sys.modules if name.startswith("some_schemes")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError) as caught:
        list(package(tmp_path, monkeypatch, "some_schemes", **files))
    assert all(word in str(caught.value) for word in words)


def test_ways_and_escapes_share_no_name():
    with pytest.raises(InputError, match="defines the way 'splice', which .* as one of the escapes"):
        WAYS.refuse_clash("splice", "here.py")
    assert not set(WAYS) & set(ESCAPES)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"kind": "flux"}, ["kind is 'flux'"]),
        ({"rate": [[0.5, 0.5, 0.0]]}, ["rate has the shape (1, 3)", "(1, 2)"]),
        ({"position": [[-1.0, 0.0, 1.0]]}, ["position has the shape (1, 3)"]),
        ({"known": [[1.0, 0.0]]}, ["known has the shape (1, 2)", "(2, 2)"]),
        ({"inner": [[0.0]]}, ["inner has the shape (1, 1)"]),
        ({"state": [[1.0], [1.0, 0.0]]}, ["state", "not a table"]),
        ({"state": "all"}, ["state", "not a table"]),
        ({"state": [[1.0], [1.0]], "position": [[0.0]]}, ["1 points", "two points"]),
        ({"state": [[1.0, 0.0]] * 9, "rate": [[1 / 9] * 9]}, ["9 stages", "room for 8"]),
        ({"inner": [[0.0, 0.5], [0.0, 0.0]]}, ["inner", "diagonal"]),
        ({"inner": [[0.5, 0.0], [0.0, 0.0]]}, ["inner", "diagonal"]),
        ({"inner": [[0.0, 0.0], [0.5, 0.0]]}, ["inner", "next point"]),
        (
            {
                "state": [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]],
                "inner": [[0.0, 0.0], [0.5, 0.0]],
                "position": [[-1.0, 0.0, 1.0]],
                "rate": [[1.0, 1.0]],
            },
            ["inner", "over 2 steps"],
        ),
        ({"rate": [[0.5, float("nan")]]}, ["not finite"]),
        ({"order": 0}, ["order = 0"]),
        ({"state": [[1.0, 0.0], [0.0, 0.9]]}, ["row 1 of state", "0.9"]),
        ({"position": [[-1.0, 1.1]]}, ["at rest"]),
        ({"rate": [[0.5, 0.6]]}, ["constant rate"]),
        ({"kind": "map", "position": [[0.0, 1.0]], "rate": [[0.5, 0.0]]}, ["fixed point"]),
    ],
)  # fmt: skip
def test_a_discretization_that_is_none_is_refused(more, words):
    with pytest.raises(InputError) as caught:
        scheme("mine", "a sentence", **{**TRAPEZOID, **more})
    (mistake,) = caught.value.mistakes
    assert mistake.place == "discretization 'mine'" and mistake.remedy
    assert all(word in str(mistake) for word in words)


def test_eight_stages_are_not_too_many():
    one = scheme("mine", "a sentence", **{**TRAPEZOID, "state": [[1.0, 0.0]] * 8, "rate": [[1 / 8] * 8]})
    assert one.stages == 8 and not one.staged
    assert np.array_equal(one.known, one.state)


def test_special_parts_are_played_once():
    assert [way.name for way in WAYS.values() if way.at_once] == ["quiet"]
    assert [escape.name for escape in ESCAPES.values() if escape.probes] == ["opening"]
    assert [escape.name for escape in ESCAPES.values() if escape.settles] == ["again"]
    leads = [way.leads for way in WAYS.values() if way.leads]
    assert len(set(leads)) == len(leads) > 0
    assert {scheme.kind for scheme in SCHEMES.values()} == {"flow", "map"}
    assert {"newton", "lockstep"} <= set(MINIMIZERS)
