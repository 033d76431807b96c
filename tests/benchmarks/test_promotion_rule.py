"""benchmarks/promotion_rule.py: of versions that are truly as good more pass than of worse ones."""

from benchmarks.promotion_rule import shares


def test_worse_versions_pass_less_often():
    good, worse = shares(60, 0.02, 0.0, 200), shares(60, 0.02, -0.1, 200)
    assert good[0] > 10 * worse[0]
    assert worse[0] < 0.05
    assert good[1] <= good[0] <= good[2]
