"""Which photos go to the test split: a stable choice that leaves each label enough photos."""

import hashlib

from app.jobs.split import choose_test


def photos(count, label, since=0):
    names = (hashlib.sha256(b"%d %s" % (n, label.encode())).hexdigest() for n in range(count))
    return dict.fromkeys([name[:32] for name in names][since:], (label,))


def test_about_a_fifth_of_new_photos_is_for_the_test():
    labels = {**photos(400, "cat"), **photos(300, "dog")}
    test = choose_test(labels, {}, 5)
    assert 100 < len(test) < 180
    assert {labels[photo] for photo in test} == {("cat",), ("dog",)}


def test_photos_stay_in_their_part_when_others_come():
    few = {**photos(12, "cat"), **photos(12, "dog")}
    test = choose_test(few, {}, 5)
    recorded = {photo[:16]: "test" if photo in test else "train" for photo in few}
    more = {**photos(60, "cat"), **photos(60, "dog"), **photos(60, "hen")}
    later = choose_test(more, recorded, 5)
    assert {photo for photo in later if photo in few} == test
    assert any(more[photo] == ("hen",) for photo in later)


def test_every_label_keeps_enough_outside_and_has_one_inside_if_it_can():
    for count in (5, 6, 9, 30):
        test = choose_test(photos(count, "cat"), {}, 5)
        assert count - len(test) >= 5
        assert bool(test) == (count > 5)
    both = dict.fromkeys(photos(40, "cat"), ("cat", "rare"))
    assert len(choose_test({**both, **photos(10, "rare")}, {}, 45)) <= 5


def test_a_group_stays_in_one_part():
    labels = {**photos(60, "cat"), **photos(60, "dog")}
    groups = {photo: f"burst {number // 3}" for number, photo in enumerate(labels)}
    test = choose_test(labels, {}, 5, groups)
    assert 10 <= len(test) <= 40
    for name in set(groups.values()):
        burst = {photo for photo in labels if groups[photo] == name}
        assert burst <= test or not burst & test
