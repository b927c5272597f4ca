"""Lets the tests of this folder import the problems of tests/unit."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "unit"))
