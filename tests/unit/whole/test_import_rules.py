"""The order of imports covers every unit of the package, also one that the linter would not see."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "hpcda"


def test_every_folder_of_python_is_a_package():
    """The linter does not see folders without __init__.py."""
    folders = {file.parent for file in PACKAGE.rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_every_unit_stands_in_one_layer():
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [one for one in tables if one["type"] == "layers"]
    assert layers["exhaustive"] is True and "exhaustive_ignores" not in layers
    named = [name for layer in layers["layers"] for name in re.split(r"\s*[|:]\s*", layer)]
    units = [file.stem for file in PACKAGE.glob("*.py") if file.stem != "__init__"]
    units += [file.parent.name for file in PACKAGE.glob("*/__init__.py")]
    assert sorted(named) == sorted(units)
