"""Are wrong answers called stable, and right ones not? Twins whose right answer SciPy's least squares knows.

    .venv/bin/python tests/benchmarks/verdicts.py units
    .venv/bin/python tests/benchmarks/verdicts.py units --only decay --out runs/units.txt

Each table is a module of `verdicts_parts`; what stands behind its name is its own (`--help`).
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

PARTS = Path(__file__).parent / "verdicts_parts"
TABLES = sorted(path.stem for path in PARTS.glob("[a-z]*.py") if path.stem != "table")


def main() -> int:
    """Run the table that the first argument names."""
    if len(sys.argv) < 2 or sys.argv[1] not in TABLES:
        print(f"{__doc__}\nTables: {', '.join(TABLES)}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"tests.benchmarks.verdicts_parts.{sys.argv.pop(1)}")
    return int(module.main())


if __name__ == "__main__":
    sys.exit(main())
