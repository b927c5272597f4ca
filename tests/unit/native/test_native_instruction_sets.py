"""Compiled code answers alike whatever instructions it is made of; all that this processor has are tried."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.machine import instruction_sets
from tests.unit.answers import CLIMBED, LANES

SETS = instruction_sets()
FUSED = [one for one in SETS if one != "x86-64-v2"]
"""Those that have fused multiply-add: one of them has the bits of all."""


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """What code compiled to an instruction set answers, by a process of its own; each is asked once."""
    folder, known = tmp_path_factory.mktemp("answers"), {}

    def by(march):
        if march not in known:
            file = folder / f"{march}.npz"
            command = [sys.executable, str(Path(__file__).parents[1] / "answers.py"), str(file)]
            done = subprocess.run(
                command, env=os.environ | {"HPCDA_MARCH": march}, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            with np.load(file) as found:
                known[march] = dict(found)
        return known[march]

    return by


@pytest.mark.skipif(not SETS, reason="this processor is no x86-64-v2")
@pytest.mark.parametrize("march", [*SETS, "native"])
def test_the_number_of_lanes_changes_no_bit(answered, march):
    found = answered(march)
    keys = [key for key in found if key.endswith(" in 8") and "climb" in key]
    assert len(keys) == 8 * len(CLIMBED)
    for key in keys:
        for lanes in LANES:
            other = found[key.replace(" in 8", f" in {lanes}")]
            np.testing.assert_array_equal(other, found[key], err_msg=f"{key}, {lanes}")


@pytest.mark.skipif(len(FUSED) < 2, reason="only one instruction set here has fused multiply-add")
@pytest.mark.parametrize("march", [*FUSED[1:], "native"])
def test_with_fused_multiply_add_all_instruction_sets_give_the_same_bits(answered, march):
    found, wanted = answered(march), answered(FUSED[0])
    assert found.keys() == wanted.keys()
    for key, numbers in wanted.items():
        np.testing.assert_array_equal(found[key], numbers, err_msg=key)


@pytest.mark.skipif(not FUSED, reason="this processor has no fused multiply-add")
def test_without_it_the_same_minima_are_found(answered):
    found, wanted = answered("x86-64-v2"), answered(FUSED[0])
    for key in wanted:
        if key.startswith("levels"):
            assert found[key][-1] == pytest.approx(wanted[key][-1], rel=1e-9), key
        elif key.startswith("action"):
            scale = np.abs(wanted[key]).max()
            np.testing.assert_allclose(found[key], wanted[key], rtol=1e-12, atol=1e-13 * scale, err_msg=key)
