"""Labels and units in figures."""

from hpcda.analysis.figures.style import short, unit_label


def test_labels():
    assert unit_label("V", "mV") == "V (mV)" and unit_label("x", "1") == "x"
    assert unit_label("g", "mS/cm^2") == "g (mS/cm²)" and unit_label("r", "s^-1") == "r (s⁻¹)"
    assert short(135.41) == "135.4" and short(1.2345e9) == "1.23e+09" and short(0) == "0"
