"""How far candidate and rivals are apart; which levels noise alone explains."""

from dataclasses import replace

import pytest

from hpcda.analysis.candidate import Band, separation
from hpcda.analysis.levels import Minimum


def minimum(action, reduced=1.0, start=0):
    return Minimum(action, action, 0.0, 0.0, reduced, 1, start, (start,), {}, 0.0, True, True)


def test_band():
    band = Band.of(200)
    assert (band.low, band.high, band.scale) == pytest.approx((0.7, 1.3, 10.0))
    assert Band.of(2).low == 0.0 and Band.of(0).data == 0
    less = Band.of(200, 38)
    assert (less.low, less.high) == pytest.approx(((162 - 54) / 200, (162 + 54) / 200))
    assert (less.lowest, less.highest) == pytest.approx((54, 108)) and less.scale == 10.0


def test_separation():
    band = Band.of(200)
    alone = separation((minimum(100),), band)
    assert alone.gap is None and not alone.apart and not separation((), band).apart
    assert separation((replace(minimum(100), count=2),), band).apart
    near = separation((minimum(100), minimum(104), minimum(106)), band)
    assert not near.apart and near.rivals == 1 and near.deviations == pytest.approx(0.4)
    assert separation((minimum(100), minimum(106)), band).apart
