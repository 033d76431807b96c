"""The interval of a share is that of Clopper and Pearson."""

import pytest
from scipy.stats import beta

from app.runtime.evaluation.interval import interval, with_interval


@pytest.mark.parametrize(
    ("share", "photos", "text"),
    [
        (1.0, 2, "100.0 % (95 %: 16 to 100 %)"),
        (0.0, 3, "0.0 % (95 %: 0 to 71 %)"),
        (0.9, 10, "90.0 % (95 %: 55 to 100 %)"),
        (0.5, 10_000, "50.0 % (95 %: 49.0 to 51.0 %)"),
    ],
)
def test_a_share_carries_its_interval(share, photos, text):
    assert with_interval(share, photos) == text


@pytest.mark.parametrize("photos", [1, 2, 7, 50, 1399, 50_000, 1_000_000])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.37, 0.5, 0.985, 1.0])
def test_the_limits_are_those_of_scipy(share, photos):
    hits = round(share * photos)
    lower, upper = interval(share, photos)
    expected_lower = beta.ppf(0.025, hits, photos - hits + 1) if hits else 0
    expected_upper = beta.ppf(0.975, hits + 1, photos - hits) if hits < photos else 1
    assert lower == pytest.approx(expected_lower, abs=1e-9)
    assert upper == pytest.approx(expected_upper, abs=1e-9)
