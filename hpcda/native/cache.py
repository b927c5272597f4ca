"""The folder of compiled code. What lies there is loaded and run, so nobody else may write into it.

Nor may anybody else put another folder in its place: every directory on the way to it, through symbolic
links too, is the user's or root's, and others may not write there; or it has the sticky bit, as /tmp has, by
which only the owner of an entry can replace it. Access control lists beside the permissions are not read.
"""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from functools import cache
from grp import getgrgid
from pathlib import Path

from hpcda.errors import CompilerError

OTHERS = stat.S_IWGRP | stat.S_IWOTH
"""Permissions by which others write into a folder."""
MOST_LINKS = 40
"""Symbolic links on the way to a folder, as Linux allows."""


@cache
def cache_folder() -> Path:
    """Where compiled code is kept: $HPCDA_CACHE, else the user's cache folder, else a temporary one.

    Raises:
        CompilerError: The folder that $HPCDA_CACHE names cannot be written, or everybody may write into it;
            or the folder, or a directory above it, belongs to another user, or others may put another folder
            in its place.
    """
    wanted = os.environ.get("HPCDA_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = Path(wanted) if wanted else (Path(base) if base else Path.home() / ".cache") / "hpcda"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_foreign(folder, folder.stat())
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:
        if wanted:
            raise CompilerError(
                f"HPCDA_CACHE={wanted} cannot be written: {error}. Set it to a folder you can write to."
            ) from error
        folder = Path(tempfile.gettempdir()) / f"hpcda-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        _refuse_foreign(folder, folder.lstat())
    mode = folder.stat().st_mode
    if not wanted and mode & OTHERS:
        folder.chmod(stat.S_IMODE(mode) & ~OTHERS)
    elif mode & stat.S_IWOTH:
        raise CompilerError(
            f"HPCDA_CACHE={wanted}: anyone can write there, and code in it is executed. Run "
            f"chmod o-w {wanted}, or set it to a folder of your own."
        )
    for directory, entry in _way_to(folder):
        _refuse_open(folder, directory, entry, bool(wanted))
    return folder


def _refuse_foreign(folder: Path, found: os.stat_result) -> None:
    """Refuse a folder of another user, or a link to one; what is root's is trusted, as Python is."""
    if found.st_uid not in (0, os.geteuid()) or stat.S_ISLNK(found.st_mode):
        raise CompilerError(
            f"{folder} belongs to another user, who could place code there for you to execute. "
            "Set HPCDA_CACHE to a folder of your own."
        ) from None


def _way_to(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Every directory that is gone through on the way to a folder, and the entry of it that is taken."""
    whole = folder if folder.is_absolute() else Path.cwd() / folder
    here, left, links = Path("/"), list(whole.parts[1:]), 0
    while left:
        name = left.pop(0)
        if name == "..":
            here = here.parent
            continue
        entry = here / name
        yield here, entry
        if not entry.is_symlink():
            here = entry
            continue
        links += 1
        if links > MOST_LINKS:
            raise CompilerError(f"{folder} leads through too many links. Set HPCDA_CACHE to another folder.")
        target = entry.readlink()
        left = [*(target.parts[1:] if target.is_absolute() else target.parts), *left]
        here = Path("/") if target.is_absolute() else here


def _refuse_open(folder: Path, directory: Path, entry: Path, named: bool) -> None:
    """Refuse a directory in which others can put another entry in place of the one that leads to the cache.

    Args:
        folder: The cache.
        directory: The directory.
        entry: What is taken of it.
        named: Whether the user named the cache, who may have meant to share it with a group.
    """
    found, trusted = directory.stat(), _trusted_owners()
    if found.st_uid not in trusted:
        raise CompilerError(
            f"{folder}: {directory}, above it, belongs to another user, who could place code there for you "
            "to execute. Set HPCDA_CACHE to a folder of your own."
        )
    if found.st_mode & stat.S_ISVTX and entry.lstat().st_uid in trusted:
        return
    who, how = "", ""
    if found.st_mode & stat.S_IWOTH:
        who, how = "anyone", "o-w"
    elif found.st_mode & stat.S_IWGRP and not named and not _private(found.st_gid):
        who, how = f"group {_group(found.st_gid)}", "g-w"
    if who:
        raise CompilerError(
            f"{folder}: {who} can write into {directory}, above it, and place code there for you to execute. "
            f"Run chmod {how} {directory}, or set HPCDA_CACHE to a folder of your own."
        )


@cache
def _trusted_owners() -> frozenset[int]:
    """The user and root; in a container to which root is not known, also the one that stands for it."""
    trusted = {0, os.geteuid()}
    try:
        known = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
        if all(int(line[1]) != 0 for line in known):
            trusted.add(int(Path("/proc/sys/kernel/overflowuid").read_text()))
    except (OSError, ValueError, IndexError):
        pass
    return frozenset(trusted)


def _private(group: int) -> bool:
    """Whether nobody but the user is in a group: it is the user's first one, and has the user's name."""
    try:
        user, found = pwd.getpwuid(os.geteuid()), getgrgid(group)
    except KeyError:
        return False
    return group == user.pw_gid and found.gr_name == user.pw_name and set(found.gr_mem) <= {user.pw_name}


def _group(number: int) -> str:
    try:
        return getgrgid(number).gr_name
    except KeyError:
        return str(number)
