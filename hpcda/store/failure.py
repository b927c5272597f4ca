"""What the operating system and HDF5 raise where a file cannot be written, as one `StorageError`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpcda.errors import ROOM, StorageError

_ERRNO = re.compile(r"errno = (\d+)")


@contextmanager
def writing(path: Path, remedy: str = "") -> Iterator[None]:
    """Raise what goes wrong with a file as a StorageError.

    Args:
        path: The file.
        remedy: What to do then; by default to mend the cause and to resume.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        found = _ERRNO.search(str(error))
        code = int(found[1]) if found else getattr(error, "errno", None)
        if isinstance(error, ValueError) and not found:
            raise  # a mistake of the caller, not of the disk
        text = os.strerror(code) if code else " ".join(str(error).split())[:200]
        run = next((one.parent for one in path.parents if one.name == "shards"), path.parent)
        again = f"`hpcda resume {run}`: what was committed is whole"
        first = ROOM.get(code or 0, "see to it that it can be written")
        raise StorageError(
            os.fspath(path), f"it cannot be written: {text}", remedy or f"{first}, then {again}"
        ) from error
