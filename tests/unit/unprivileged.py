"""Root as any other user: a file that may not be read is refused, as it is to one who is not root."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

VERSION = 0x20080522
OVERRIDE, READ_SEARCH = 1, 2
"""Numbers of the capabilities CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, see capabilities(7)."""
SET_SECUREBITS, GET_SECUREBITS, NO_ROOT = 28, 27, 1
"""Of prctl(2): with SECBIT_NOROOT a program that root starts has no more capabilities than one of others."""


class Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("process", ctypes.c_int)]


class Sets(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


def _ask(call: str, *words: object) -> int:
    answer = int(getattr(ctypes.CDLL(None, use_errno=True), call)(*words))
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")
    return answer


@contextmanager
def unprivileged() -> Iterator[None]:
    """Within it the permissions of files hold for this thread and the processes that it starts."""
    if os.geteuid():
        yield
        return
    header, before, bits = ctypes.byref(Header(VERSION, 0)), (Sets * 2)(), _ask("prctl", GET_SECUREBITS)
    _ask("capget", header, before)
    less = (Sets * 2)(*before)
    less[0].effective &= ~(1 << OVERRIDE | 1 << READ_SEARCH)
    _ask("prctl", SET_SECUREBITS, bits | NO_ROOT)
    _ask("capset", header, less)
    try:
        yield
    finally:
        _ask("capset", header, before)
        _ask("prctl", SET_SECUREBITS, bits)
