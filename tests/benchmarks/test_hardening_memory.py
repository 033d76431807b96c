"""A service in a real memory cgroup survives images and bodies that are large in memory."""

import pytest

from benchmarks.hardening.cgroup import NoCgroup, memory_cgroup
from benchmarks.hardening.images import bmp, pillow, png
from benchmarks.hardening.memory import run

LIMIT_BYTES = 512 << 20


@pytest.fixture
def needs_cgroup():
    try:
        with memory_cgroup(LIMIT_BYTES):
            pass
    except NoCgroup as err:
        pytest.skip(str(err))


@pytest.mark.slow
@pytest.mark.usefixtures("needs_cgroup")
def test_hostile_images_beside_unfinished_bodies_kill_nothing():
    side = (5000, 5000)
    files = {
        "png 1 x N": png((1, 40_000_000), "grey", 8),
        "png": png(side, "rgba", 16, interlaced=True),
        "webp": pillow("WEBP", "RGB", side, method=0),
        "bmp": bmp((4000, 1000), 24),
        "jpeg": pillow("JPEG", "RGB", side, progressive=True, subsampling=0),
    }
    photo = pillow("JPEG", "RGB", (480, 480))
    outcome = run(files, photo, LIMIT_BYTES, clients=8, seconds=6)
    assert outcome.kills == 0
    assert 0 < outcome.process_peak_bytes < LIMIT_BYTES
    assert outcome.statuses["png 1 x N"].keys() <= {"413", "429"}
    assert outcome.statuses["webp"].keys() <= {"413", "429"}
    seen = {status for statuses in outcome.statuses.values() for status in statuses}
    assert seen <= {"200", "413", "429", "504"}
    assert outcome.photo_statuses.get("200", 0) > 0
    assert outcome.photo_statuses.keys() <= {"200", "429"}
