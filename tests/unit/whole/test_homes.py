"""Tests are found by the module they test: those of hpcda/PACKAGE/MODULE are tests/*/PACKAGE/test_MODULE*.py.

`whole/` of a tier holds the tests of the program as a whole, of its documents and of the tests themselves.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TIERS = ("unit", "petsc", "mpi")
WHOLE = "whole"
SOURCES = {".py", ".c", ".h"}
FILES = sorted(
    file.relative_to(ROOT / "tests") for tier in TIERS for file in (ROOT / "tests" / tier).rglob("test_*.py")
)
PACKAGES = sorted(file.parent.relative_to(ROOT) for file in (ROOT / "hpcda").rglob("__init__.py"))


def modules(package: Path) -> set[str]:
    """What a package's tests may be named after: itself, its modules in Python and C, its packages."""
    parts = (ROOT / package).iterdir()
    return {package.name} | {
        part.stem for part in parts if part.suffix in SOURCES or (part / "__init__.py").exists()
    }


def home(file: Path) -> bool:
    """Is there a module of which this test file, relative to tests/, has place and name?"""
    package = Path("hpcda", *file.parent.parts[1:])
    words = file.stem.removeprefix("test_").split("_")
    names = {"_".join(words[:count]) for count in range(1, len(words) + 1)}
    return file.parent.parts[1:] == (WHOLE,) or (package in PACKAGES and bool(names & modules(package)))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_test_file_has_place_and_name_of_what_it_tests(file):
    assert home(file), f"tests/{file}: call it tests/*/PACKAGE/test_MODULE*.py, or put it in tests/*/{WHOLE}/"


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_a_package_has_tests_at_home_or_where_it_lies(package):
    """Packages of packages, as that of the losses, may leave their tests to the package around them."""
    places = [Path(*package.parts[1:depth]) for depth in range(2, len(package.parts) + 1)] or [Path()]
    assert any(Path(*file.parts[1:-1]) == place for file in FILES for place in places), (
        f"no tests of {package}"
    )


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("unit/store/test_shard.py", True),
        ("unit/store/test_shard_lost_file.py", True),
        ("unit/store/test_store_of_old.py", True),
        ("unit/native/test_front.py", True),
        ("unit/test_stop.py", True),
        ("mpi/whole/test_anything.py", True),
        ("unit/store/test_shardless.py", False),
        ("unit/test_shard.py", False),
        ("unit/shelf/test_shard.py", False),
        ("unit/store/whole/test_shard.py", False),
    ],
)
def test_places_and_names_are_told_apart(file, found):
    assert home(Path(file)) == found
