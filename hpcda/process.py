"""Is a process of this host the one that it was?"""

from __future__ import annotations

import os
from pathlib import Path


def born(pid: int) -> int:
    """When a process of this host began, in clock ticks since the host started; 0 where it cannot be told."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def alive(pid: int, began: int) -> bool:
    """Whether the process of this host that had this number and began then still runs."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    now = born(pid)
    return not began or not now or began == now
