"""The command hpcda, where passes over data that nothing explains end soon: each draw would take seconds."""

from __future__ import annotations

import sys

from hpcda.search.ways import passes

WORK = 2e6
"""What `passes.WORK` is then."""

if __name__ == "__main__":
    from hpcda.cli import main

    passes.WORK = WORK
    sys.exit(main(sys.argv[1:]))
