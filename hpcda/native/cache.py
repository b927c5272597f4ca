"""The folder of compiled code. What lies there is loaded and run, so nobody else may write into it."""

from __future__ import annotations

import os
import stat
import tempfile
from functools import cache
from pathlib import Path

from hpcda.errors import CompilerError

OTHERS = stat.S_IWGRP | stat.S_IWOTH
"""Permissions by which others write into a folder."""


@cache
def cache_folder() -> Path:
    """Where compiled code is kept: $HPCDA_CACHE, else the user's cache folder, else a temporary one.

    Raises:
        CompilerError: The folder that $HPCDA_CACHE names cannot be written, or everybody may write into it;
            or the folder belongs to another user.
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
    return folder


def _refuse_foreign(folder: Path, found: os.stat_result) -> None:
    """Refuse a folder of another user, or a link to one; what is root's is trusted, as Python is."""
    if found.st_uid not in (0, os.geteuid()) or stat.S_ISLNK(found.st_mode):
        raise CompilerError(
            f"{folder} belongs to another user, who could place code there for you to execute. "
            "Set HPCDA_CACHE to a folder of your own."
        ) from None
