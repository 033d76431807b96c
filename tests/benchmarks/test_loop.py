"""The parts of benchmarks/loop that need no browser: photos, and clients that count responses."""

import io
import time
import zipfile

from PIL import Image

from benchmarks.loop.__main__ import one_line
from benchmarks.loop.photos import birds, cifar, film, sample
from benchmarks.loop.traffic import Load, right


def test_the_film_shows_each_photo_for_some_frames(tmp_path, photo):
    for colour in ("red", "green"):
        (tmp_path / f"{colour}.jpg").write_bytes(photo(colour))
    shown = film(sample(tmp_path, 2))
    assert shown.count(b"\xff\xd8\xff") == 12
    assert Image.open(io.BytesIO(shown)).size == (640, 480)


def test_the_third_animal_is_sent_and_held_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "cifar10.zip", "w") as written:
        for part in ("train", "test"):
            for number in range(4):
                written.writestr(f"cifar10/{part}/frog/{number}.jpg", f"{part}{number}")
    third = cifar(tmp_path / "cifar10.zip", "frog", 2, 3)
    assert third.sent == [b"train0", b"train1"]
    assert third.held_out == [b"test0", b"test1", b"test2"]
    for folder in ("n01514859", "n02085782", "n02051845"):
        (tmp_path / "imagenet" / folder).mkdir(parents=True)
        (tmp_path / "imagenet" / folder / "a.JPEG").write_bytes(folder.encode())
    found = birds(tmp_path / "imagenet", 1)
    assert sorted([*found.sent, *found.held_out]) == [b"n01514859", b"n02051845"]


def test_clients_count_their_responses(client, photo):
    url = str(client.base_url)
    load = Load(url, [photo("red"), b"no photo"], 2)
    while load.statuses.total() < 4:
        time.sleep(0.01)
    load.stop()
    assert load.failed == load.statuses["400"] > 0
    assert load.versions["colours/1"] == load.statuses["200"] > 0
    assert right(url, [photo("red"), photo("green")], "red") == 0.5


def test_what_the_page_says_becomes_a_line():
    assert one_line("95 %\n right\n\n") == "95 % | right"
