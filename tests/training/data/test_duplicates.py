"""Duplicates are found and reported, and training uses one of several copies."""

import io
import os
import zipfile

import pytest
from PIL import Image

from app.bundle import InputSpec
from training.data import duplicates, examine, layout, same_photo
from training.data.photos import read_photos

PHOTOS = os.environ.get("HUBEL_TEST_PHOTOS")
SPEC = InputSpec(size=128, crop=1.0, resample="box")


@pytest.fixture
def read(tmp_path):
    def run(**files):
        """Write files by name, with `__` for the slash, and read them."""
        for name, content in files.items():
            path = tmp_path / "data" / f"{name.replace('__', '/')}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        data = layout.scan_folder(tmp_path / "data")
        photos, unusable, (pixels,) = read_photos(data.files, [SPEC], tmp_path)
        doubles = duplicates.find(photos, pixels)
        found = examine.collect(data, photos, unusable, doubles)
        names = [photos[index].file.name for index in examine.used(photos, doubles)]
        return doubles, names, {finding.kind: finding.names for finding in found.found}

    return run


def plain(colour):
    file = io.BytesIO()
    Image.new("RGB", (90, 90), colour).save(file, "JPEG")
    return file.getvalue()


def test_a_photo_saved_again_or_smaller_is_a_near_duplicate(read, blob):
    doubles, names, found = read(
        red__a=blob("red", 1),
        red__b=blob("red", 1, quality=40),
        red__c=blob("red", 1, size=70),
        red__d=blob("red", 2),
    )
    assert doubles.alike == [[0, 1, 2]]
    assert doubles.exact == []
    assert len(names) == 4  # kept, on one side of the split
    assert found["near duplicates"] == ("red/a.jpg = red/b.jpg = red/c.jpg",)


def test_plain_pictures_of_other_colours_are_no_duplicates(read):
    doubles, _, _ = read(x__a=plain("red"), x__b=plain("blue"), x__c=plain((255, 0, 60)))
    assert doubles.alike == []


def test_one_of_several_copies_is_used(read, blob):
    _, names, found = read(red__a=blob("red", 1), red__b=blob("red", 1), red__c=blob("red", 2))
    assert names == ["red/a.jpg", "red/c.jpg"]
    assert found["copies"] == ("red/a.jpg = red/b.jpg",)


def test_a_photo_under_two_labels_is_left_out_and_a_near_duplicate_is_reported(read, blob):
    _, names, found = read(
        red__a=blob("red", 1),
        green__b=blob("red", 1),
        red__c=blob("red", 2),
        green__d=blob("red", 2, quality=40),
    )
    assert names == ["green/d.jpg", "red/c.jpg"]
    assert found["two labels"] == ("green/b.jpg = red/a.jpg",)
    assert found["near, two labels"] == ("green/d.jpg = red/c.jpg",)


def test_leaks_between_given_parts_are_named_and_left_as_they_are(read, blob):
    _, names, found = read(
        train__red__a=blob("red", 1),
        test__red__b=blob("red", 1),
        train__red__c=blob("red", 2),
        val__red__d=blob("red", 2, quality=40),
    )
    assert len(names) == 4
    assert found["leak"] == (
        "test/red/b.jpg = train/red/a.jpg",
        "train/red/c.jpg = val/red/d.jpg",
    )


def _alike(read, files):
    """Return the names of photos that look the same, by group, and the findings."""
    doubles, _, found = read(**{f"class__{name}": content for name, content in files.items()})
    names = sorted(files)
    return [[names[index] for index in group] for group in doubles.alike], found


def test_a_photo_that_was_saved_again_is_found_among_others(read, pictures, save_again):
    files = {f"p{seed:02}": pictures.jpeg(pictures.photo(seed)) for seed in range(24)}
    files["q"] = save_again(pictures.photo(5))
    groups, found = _alike(read, files)
    assert groups == [["p05", "q"]]
    assert "alike" not in found


@pytest.mark.parametrize(
    "save_again",
    [
        "at 100 pixels",
        "with another gamma",
        "cropped by 2 %",
    ],
    indirect=True,
)
def test_an_xray_that_was_saved_again_is_found_and_no_other_patient_is(read, pictures, save_again):
    files = {f"p{patient:02}": pictures.jpeg(pictures.xray(patient)) for patient in range(22)}
    files["q"] = save_again(pictures.xray(7))
    groups, found = _alike(read, files)
    assert groups == [["p07", "q"]]
    assert found["alike"]


@pytest.mark.parametrize("make", ["xray", "faint", "form", "partly", "scene"])
def test_different_pictures_that_are_alike_by_nature_are_no_duplicates(read, pictures, make):
    makers = {
        "xray": pictures.xray,
        "faint": lambda patient: pictures.xray(patient, texture=0.012),
        "form": pictures.form,
        "partly": lambda applicant: pictures.form(applicant, rows=range(10)),
        "scene": lambda number: pictures.scene(number, place=number),
    }
    files = {f"p{number:02}": pictures.jpeg(makers[make](number)) for number in range(24)}
    doubles, _, found = read(**{f"class__{name}": content for name, content in files.items()})
    assert doubles.alike == doubles.exact  # two applicants may fill in the same words
    assert found["alike"]
    assert "near duplicates" not in found


def test_where_detail_says_nothing_copies_alone_are_named(read, pictures):
    files = {
        f"p{number:02}": pictures.jpeg(pictures.form(number, rows=(9,)), quality=95)
        for number in range(30)
    }
    files["q"] = files["p04"]
    doubles, _, found = read(**{f"class__{name}": content for name, content in files.items()})
    assert doubles.alike == doubles.exact
    assert doubles.bound == 0
    assert "near duplicates" not in found
    assert "class/p04.jpg = class/q.jpg" in found["copies"]


def test_a_chain_of_photos_each_like_the_next_is_no_group(read, pictures):
    first, last = pictures.photo(100), pictures.photo(101)
    steps = 9
    files = {f"p{seed:02}": pictures.jpeg(pictures.photo(seed)) for seed in range(24)}
    for step in range(steps):
        files[f"q{step}"] = pictures.jpeg(Image.blend(first, last, step / (steps - 1)), 95)
    groups, _ = _alike(read, files)
    joined = [group for group in groups if len(group) > 1]
    assert joined
    assert all(group[0].startswith("q") and len(group) <= steps // 2 for group in joined)


def test_many_copies_of_one_photo_are_one_group(read, pictures):
    files = {f"p{seed:02}": pictures.jpeg(pictures.photo(seed)) for seed in range(24)}
    copies = {f"q{quality}": pictures.jpeg(pictures.photo(3), quality) for quality in range(50, 57)}
    groups, _ = _alike(read, files | copies)
    assert groups == [["p03", *copies]]


def test_photos_in_other_colours_are_no_duplicates(read, pictures):
    red, green, blue = pictures.photo(1).split()
    swapped = Image.merge("RGB", (blue, red, green))
    tinted = Image.merge("RGB", (red.point(lambda v: v // 3), green, blue))
    files = {"p": pictures.jpeg(pictures.photo(1)), "q": pictures.jpeg(swapped)}
    groups, _ = _alike(read, files | {"r": pictures.jpeg(tinted)})
    assert groups == []


def test_very_many_similar_photos_are_compared_within_a_budget(read, pictures, monkeypatch):
    monkeypatch.setattr(duplicates, "_CANDIDATE", -1.0)
    monkeypatch.setattr(duplicates, "_SPARE_CANDIDATES", 0)
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    compared = []
    distance = same_photo.distance

    def counted(one, other):
        compared.append(1)
        return distance(one, other)

    files = {f"p{seed:02}": pictures.jpeg(pictures.photo(seed)) for seed in range(18)}
    files["q"] = pictures.jpeg(pictures.photo(3), 60)
    monkeypatch.setattr(same_photo, "distance", counted)
    groups, _ = _alike(read, files)
    assert groups == [["p03", "q"]]
    assert len(files) <= len(compared) <= len(files) + 3  # and once to join the group


@pytest.mark.skipif(PHOTOS is None, reason="HUBEL_TEST_PHOTOS names no folder of photos")
@pytest.mark.parametrize("size", [32, 240])
def test_cars_of_cifar_that_were_saved_again_are_found_and_no_others(tmp_path, size):
    with zipfile.ZipFile(f"{PHOTOS}/cifar10.zip") as archive:
        names = [f"cifar10/train/automobile/{number:04}.jpg" for number in range(2, 240, 4)]
        content = {name: archive.read(name) for name in names}
    (tmp_path / "data" / "car").mkdir(parents=True)
    for number, name in enumerate(names):
        (tmp_path / "data" / "car" / f"p{number:02}.jpg").write_bytes(content[name])
    for number in range(0, len(names), 10):
        with Image.open(io.BytesIO(content[names[number]])) as image:
            image.convert("RGB").save(tmp_path / "data/car" / f"p{number:02}q.jpg", quality=75)
    spec = SPEC.model_copy(update={"size": size})
    files = layout.scan_folder(tmp_path / "data").files
    photos, _, (pixels,) = read_photos(files, [spec], tmp_path)
    groups = [
        [photos[index].file.path.stem for index in group]
        for group in duplicates.find(photos, pixels).alike
    ]
    assert groups == [[f"p{number:02}", f"p{number:02}q"] for number in range(0, len(names), 10)]
