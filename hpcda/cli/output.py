"""Console output under a launcher: every rank runs the command, only rank 0 prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hpcda.process import rank


class Silence:
    """Sends the standard output of all ranks but 0 nowhere (``--help`` writes there)."""

    def __enter__(self) -> None:
        self._stream = sys.stdout
        if rank():
            sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115

    def __exit__(self, *_: object) -> None:
        if sys.stdout is not self._stream:
            sys.stdout.close()
            sys.stdout = self._stream


def say(text: str) -> None:
    """Write to standard output, on rank 0."""
    if rank() == 0:
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()
