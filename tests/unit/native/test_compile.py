"""Compiled code on disk: made once for all processes, used again, rebuilt when cut off; clear refusals."""

from __future__ import annotations

import grp
import os
import pwd
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

LOAD = """
import sys
from hpcda.errors import CompilerError
from hpcda.native.compile import library
code = sys.argv[1] if len(sys.argv) > 1 else "double twice(double x) { return 2 * x; }"
try:
    import ctypes
    twice = library(code).twice
    twice.restype, twice.argtypes = ctypes.c_double, [ctypes.c_double]
    print("answer", twice(21.0))
except CompilerError as error:
    print("refused:", error)
"""
# Writes a line to $LOG at every compilation, takes a moment over it, and fails where $FAIL is set.
COMPILER = """#!/bin/sh
case "$*" in *--version*) echo "test compiler 1.0"; exit 0;; esac
echo "$@" >> "$LOG"
if [ -n "$FAIL" ]; then echo "error: no more today" >&2; exit 1; fi
sleep "${PAUSE:-0}"
exec cc "$@"
"""


class Site:
    """A cache, a compiler that keeps a log, and processes that use them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache, self.log = folder, folder / "cache", folder / "log"
        compiler = folder / "compiler"
        compiler.write_text(COMPILER)
        compiler.chmod(0o755)
        self.script = folder / "load.py"
        self.script.write_text(LOAD)
        self.environment = {key: value for key, value in os.environ.items() if key != "HPCDA_MARCH"} | {
            "CC": str(compiler),
            "LOG": str(self.log),
            "HPCDA_CACHE": str(self.cache),
        }

    def begin(self, *arguments, **changes):
        environment = {key: value for key, value in (self.environment | changes).items() if value is not None}
        return subprocess.Popen(
            [sys.executable, str(self.script), *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def load(self, *arguments, **changes) -> str:
        process = self.begin(*arguments, **changes)
        out, error = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, error
        assert not error
        return out.strip()

    @property
    def compilations(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    def libraries(self) -> list[Path]:
        return sorted(self.cache.glob("*.so"))


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_the_second_process_does_not_compile(site):
    assert site.load() == "answer 42.0"
    assert site.load(FAIL="yes") == "answer 42.0"
    assert site.compilations == 1
    assert len(site.libraries()) == 1


def test_other_code_is_another_library(site):
    assert site.load() == "answer 42.0"
    assert site.load("double twice(double x) { return x + x + 1; }") == "answer 43.0"
    assert site.compilations == 2 and len(site.libraries()) == 2


def test_another_compiler_is_another_library(site):
    assert site.load() == "answer 42.0"
    assert site.load(CC=f"{site.folder / 'compiler'} -O1") == "answer 42.0"
    assert site.compilations == 2 and len(site.libraries()) == 2


def test_four_processes_at_once_compile_once(site):
    processes = [site.begin(PAUSE="1") for _ in range(4)]
    answers = [process.communicate(timeout=PATIENCE)[0].strip() for process in processes]
    assert answers == ["answer 42.0"] * 4
    assert site.compilations == 1


@pytest.mark.parametrize("part", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_library_that_was_cut_off_is_built_again(site, part):
    assert site.load() == "answer 42.0"
    (built,) = site.libraries()
    whole = built.read_bytes()
    built.write_bytes(whole[: int(part * len(whole))])
    assert site.load() == "answer 42.0"
    assert site.compilations == 2
    assert built.stat().st_size == len(whole)
    assert site.load(FAIL="yes") == "answer 42.0"


def test_a_compilation_that_fails_leaves_nothing_behind(site):
    refused = site.load(FAIL="yes")
    assert refused.startswith("refused:") and "no more today" in refused
    assert not site.libraries()
    assert site.load() == "answer 42.0"


def test_code_that_is_no_c_is_refused_with_the_compilers_words(site):
    refused = site.load("double twice(double x) { return y; }", CC=None)
    assert re.search(
        r"refused: \S+ failed to compile generated code\. Set CC .*:\n.*error", refused, re.DOTALL
    )


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
def test_a_cache_that_cannot_be_written_is_named(site, place):
    (site.folder / "file").write_text("")
    wanted = str(site.folder / place)
    refused = site.load(HPCDA_CACHE=wanted)
    assert f"refused: HPCDA_CACHE={wanted} cannot be written" in refused
    assert "Set it to a folder you can write to." in refused


def test_without_a_cache_of_ones_own_a_temporary_one_is_used(site):
    (site.folder / "file").write_text("")
    temporary = site.folder / "tmp"
    temporary.mkdir()
    home = {"HPCDA_CACHE": None, "XDG_CACHE_HOME": str(site.folder / "file"), "TMPDIR": str(temporary)}
    assert site.load(**home) == "answer 42.0"
    (folder,) = temporary.glob("hpcda-*")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(list(folder.glob("*.so"))) == 1


def test_the_users_cache_folder_is_the_default(site):
    assert site.load(HPCDA_CACHE=None, XDG_CACHE_HOME=str(site.folder / "mine")) == "answer 42.0"
    assert len(list((site.folder / "mine" / "hpcda").glob("*.so"))) == 1


def test_a_cache_that_is_made_is_its_owners_alone(site):
    assert site.load() == "answer 42.0"
    assert site.cache.stat().st_mode & 0o777 == 0o700


def test_a_cache_into_which_everybody_may_write_is_refused(site):
    """What lies there is run: whoever writes there could have any program run."""
    site.cache.mkdir()
    site.cache.chmod(0o777)
    refused = site.load()
    assert refused.startswith("refused:") and "anyone can write there" in refused and "chmod o-w" in refused
    assert not [*site.cache.iterdir()]
    site.cache.chmod(0o775)  # a cache that a group shares, because someone named it
    assert site.load() == "answer 42.0"


def test_the_default_cache_is_closed_to_others(site):
    folder = site.folder / "mine" / "hpcda"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert site.load(HPCDA_CACHE=None, XDG_CACHE_HOME=str(folder.parent)) == "answer 42.0"
    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
@pytest.mark.parametrize("default", [False, True])
def test_a_cache_of_another_user_is_refused(site, default):
    folder = site.folder / "theirs" / "hpcda"
    folder.mkdir(parents=True)
    os.chown(folder, 12345, 12345)
    where = (
        {"HPCDA_CACHE": None, "XDG_CACHE_HOME": str(folder.parent)}
        if default
        else {"HPCDA_CACHE": str(folder)}
    )
    refused = site.load(**where)
    assert f"refused: {folder} belongs to another user" in refused and "Set HPCDA_CACHE" in refused
    assert not [*folder.iterdir()]


def test_a_temporary_cache_that_is_a_link_is_refused(site):
    """In a folder where everybody may write, the name is known beforehand."""
    (site.folder / "file").write_text("")
    temporary, elsewhere = site.folder / "tmp", site.folder / "elsewhere"
    temporary.mkdir()
    elsewhere.mkdir()
    (temporary / f"hpcda-{os.getuid()}").symlink_to(elsewhere)
    home = {"HPCDA_CACHE": None, "XDG_CACHE_HOME": str(site.folder / "file"), "TMPDIR": str(temporary)}
    assert "belongs to another user" in site.load(**home)
    assert not [*elsewhere.iterdir()]


@pytest.mark.parametrize("default", [False, True])
def test_a_cache_that_others_can_replace_is_refused(site, default):
    """Who may write above it moves it away and puts another in its place."""
    above = site.folder / "open"
    folder = above / "mine" / "hpcda"
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    where = {"HPCDA_CACHE": None if default else str(folder), "XDG_CACHE_HOME": str(folder.parent)}
    above.chmod(0o777)
    refused = site.load(**where)
    assert f"refused: {folder}: anyone can write into {above}, above it" in refused
    assert f"chmod o-w {above}" in refused and not [*folder.iterdir()]
    above.chmod(0o1777)  # as /tmp: only its owner replaces what lies there
    assert site.load(**where) == "answer 42.0"


def test_a_group_may_share_what_is_above_a_cache_that_is_named(site):
    """The group is one that is not the user's own."""
    above = site.folder / "ours"
    (above / "hpcda").mkdir(parents=True)
    others = [one for one in os.getgroups() if one != os.getgid()]
    if os.geteuid() == 0:
        others = [12345]
    if not others:
        pytest.skip("the user is in no other group")
    os.chown(above, -1, others[0])
    above.chmod(0o775)
    refused = site.load(HPCDA_CACHE=None, XDG_CACHE_HOME=str(above))
    assert "refused:" in refused and f"can write into {above}, above it" in refused
    assert f"chmod g-w {above}" in refused
    assert site.load(HPCDA_CACHE=str(above / "hpcda")) == "answer 42.0"


def test_the_groups_of_one_user_alone_are_no_others(site):
    """Many systems give every user a group, and let it write."""
    user = pwd.getpwuid(os.geteuid())
    if grp.getgrgid(user.pw_gid).gr_name != user.pw_name:
        pytest.skip("the user has no group of this name")
    above = site.folder / "mine"
    above.mkdir()
    os.chown(above, -1, user.pw_gid)
    above.chmod(0o775)
    assert site.load(HPCDA_CACHE=None, XDG_CACHE_HOME=str(above)) == "answer 42.0"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_cache_below_a_folder_of_another_user_is_refused(site):
    above = site.folder / "theirs"
    folder = above / "deep" / "hpcda"
    folder.mkdir(parents=True)
    os.chown(above, 12345, 12345)
    refused = site.load(HPCDA_CACHE=str(folder))
    assert f"refused: {folder}: {above}, above it, belongs to another user" in refused
    assert "Set HPCDA_CACHE" in refused and not [*folder.iterdir()]


@pytest.mark.parametrize("relative", [False, True])
def test_links_on_the_way_to_a_cache_are_followed(site, relative):
    """What a link leads through counts, not only its name."""
    above, elsewhere = site.folder / "open", site.folder / "safe"
    (above / "hpcda").mkdir(parents=True)
    elsewhere.mkdir()
    (above / "hop").symlink_to("../safe" if relative else elsewhere)
    (site.folder / "name").symlink_to("open/hop" if relative else above / "hop")
    wanted = str(site.folder / "name" / "hpcda")
    assert site.load(HPCDA_CACHE=wanted) == "answer 42.0"
    above.chmod(0o777)
    refused = site.load(HPCDA_CACHE=wanted)
    assert f"refused: {wanted}: anyone can write into {above}, above it" in refused
    assert (elsewhere / "hpcda").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives links away")
def test_a_link_of_another_user_among_the_entries_of_all_is_refused(site):
    """The sticky bit lets the owner of an entry replace it."""
    above, elsewhere = site.folder / "open", site.folder / "safe"
    above.mkdir()
    elsewhere.mkdir()
    (above / "hop").symlink_to(elsewhere)
    above.chmod(0o1777)
    wanted = str(above / "hop" / "hpcda")
    assert site.load(HPCDA_CACHE=wanted) == "answer 42.0"
    os.chown(above / "hop", 12345, 12345, follow_symlinks=False)
    assert f"anyone can write into {above}, above it" in site.load(HPCDA_CACHE=wanted)


def test_a_relative_cache_is_below_the_current_directory(site):
    assert site.load(HPCDA_CACHE=os.path.relpath(site.folder / "near" / ".." / "cache")) == "answer 42.0"
    assert len(site.libraries()) == 1


def test_no_compiler(site):
    empty = site.folder / "empty"
    empty.mkdir()
    beside = Path(sys.executable).parent
    if any((beside / name).exists() for name in ("cc", "gcc", "clang")):
        pytest.skip("there is a compiler beside Python")
    refused = site.load(CC=None, PATH=str(empty))
    assert refused.startswith("refused: no C compiler was found") and "set CC" in refused


@pytest.mark.parametrize("wanted", ["/nowhere/cc", "no-such-compiler -O2", "'unclosed"])
def test_a_cc_that_is_no_program_is_named(site, wanted):
    refused = site.load(CC=wanted)
    assert refused == f"refused: CC={wanted}: command not found. Set CC to a C compiler, or unset it."


def test_a_cc_that_is_no_compiler_is_named(site):
    refused = site.load(CC="false")
    assert (
        refused.startswith("refused: false failed to compile generated code. Set CC")
        and "exit code 1" in refused
    )


def test_cc_may_hold_options(site):
    assert site.load(CC=f"{site.folder / 'compiler'} -DUNUSED=1") == "answer 42.0"
    assert "-DUNUSED=1" in site.log.read_text()
