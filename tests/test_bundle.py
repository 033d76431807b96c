"""Bundles: which are refused, with which message."""

import json
import re

import pytest

from app import bundle as bundles
from app.errors import BundleInvalid, BundleMismatch

GOOD_SHA = "0" * 64


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("schema_version", 2, "schema_version"),
        ("name", "Has Spaces", "name"),
        ("name", "../up", "name"),
        ("version", 0, "version"),
        ("version", ..., "version"),
        ("labels", [], "labels"),
        ("task", "detection", "task"),
        ("labels/0/name", "", "labels.0.name"),
        ("labels/1/surprise", 1, "labels.1.surprise"),
        ("input/canvas", 512, "input.canvas"),
        ("input/size", 481, "input.size"),
        ("input/size", 7, "input.size"),
        ("input/size", [32, 481], "input.size"),
        ("input/size", [32, 32, 3], "input.size"),
        ("input/size", [24, 48], "input: Value error, an input of 24 x 48 needs the fit"),
        ("input/fit", "fill", "input.fit"),
        ("input/crop", 0, "input.crop"),
        ("input/crop", 1.01, "input.crop"),
        ("input/resample", "nearest", "input.resample"),
        ("files/model.onnx/sha256", "XYZ", "files.model.onnx.sha256"),
        ("files/model.onnx/bytes", -1, "files.model.onnx.bytes"),
        ("golden/photos", [], "golden.photos"),
        ("golden/photos/0/tolerance/fp32", 1, "golden.photos.0.tolerance.fp32"),
        ("metrics/fp32/top1", 1.5, "metrics.fp32.top1"),
        ("metrics/fp16", {}, "metrics.fp16"),
        ("training", ..., "training"),
        ("unknown", {"score": "mood", "threshold": 0, "accepts": 1}, "unknown.score"),
        ("extra", 1, "extra"),
    ],
)
def test_a_schema_violation_names_its_field(make_bundle, rewrite, path, value, named):
    folder = make_bundle().folder
    rewrite(folder, {path: value})
    with pytest.raises(BundleInvalid) as caught:
        bundles.load(folder)
    message = str(caught.value)
    assert f"bundle.json is not a valid bundle: {named}" in message
    assert message.endswith(".")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("labels/1/name", "red", "label 'red' occurs twice"),
        ("thresholds", [0.5, 0.5, 0.5], "thresholds and undecided are for the task multi_label"),
        ("files/model.onnx", ..., "files must list model.onnx"),
        ("golden/photos/0/file", "golden/none.jpg", "golden file 'golden/none.jpg'"),
        ("golden/expected/fp32", "golden/none.npy", "golden file 'golden/none.npy'"),
        (
            "golden/photos/0/tolerance",
            {"int8": 0.1},
            "golden photos lack expected probabilities or a tolerance for fp32",
        ),
        (
            "golden/expected",
            {},
            "golden photos lack expected probabilities or a tolerance for fp32",
        ),
        (
            "decision",
            {"labels": {"pink": {"accept_from": 0.9, "coverage": 0.5, "photos": 9}}},
            "decision has a threshold for 'pink', which is no label",
        ),
    ],
    ids=[
        *("duplicate label", "thresholds", "no fp32 graph", "photo", "expected", "tolerance"),
        "no expectation",
        "no label",
    ],
)
def test_parts_that_contradict_each_other_are_refused(make_bundle, rewrite, path, value, words):
    folder = make_bundle().folder
    rewrite(folder, {path: value})
    with pytest.raises(BundleInvalid, match=re.escape(words)):
        bundles.load(folder)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("task", "single_label", "thresholds and undecided are for the task multi_label"),
        ("thresholds", ..., "must hold an entry for each label"),
        ("undecided", [[0.3, 0.6]], "must hold an entry for each label"),
        ("undecided/0", [0.6, 0.7], "the threshold of 'cat' must lie in its band"),
        (
            "metrics/fp32",
            {"top1": 1, "top5": 1, "ece": 0, "images": 1, "on": "photos"},
            "metrics are not those of the task multi_label",
        ),
        ("decision", {"accept_from": 0.9}, "decision is for the task single_label"),
        (
            "unknown",
            {"score": "max_probability", "threshold": 0.5, "accepts": 0.95},
            "must be of familiarity: a known photo may have no label",
        ),
    ],
)
def test_a_multi_label_bundle_that_contradicts_its_task_is_refused(
    make_bundle, rewrite, path, value, words
):
    folder = make_bundle(labels=("cat", "dog"), thresholds=(0.5, 0.5)).folder
    bundles.load(folder)
    rewrite(folder, {path: value})
    with pytest.raises(BundleInvalid, match=re.escape(words)):
        bundles.load(folder)


def test_a_multi_label_bundle_may_have_one_label(make_bundle):
    manifest = make_bundle(labels=("cat",), thresholds=(0.5,)).manifest
    assert manifest.task == "multi_label"
    assert manifest.single_label_metrics == {}


def test_a_single_label_bundle_needs_two_labels(make_bundle, rewrite):
    folder = make_bundle(labels=("red", "green", "blue")).folder
    photo = json.loads((folder / "bundle.json").read_text())["golden"]["photos"][0]
    rewrite(folder, {"labels": [{"name": "red"}], "golden/photos": [photo]})
    with pytest.raises(BundleInvalid, match="a single-label model needs two labels at least"):
        bundles.load(folder)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../other/model.onnx", "golden/../../x", "..", ".", "", "golden\\x", "C:\\x"],
)
def test_a_path_outside_the_bundle_is_refused(make_bundle, name):
    folder = make_bundle().folder
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"][name] = {"sha256": GOOD_SHA, "bytes": 1}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleInvalid, match="must lie inside the bundle"):
        bundles.load(folder)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"schema_version": 1}']
)
def test_an_invalid_manifest_is_refused(make_bundle, content):
    folder = make_bundle().folder
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(BundleInvalid, match=r"is not a valid bundle: \S.*Write the bundle again"):
        bundles.load(folder)


def test_a_folder_without_a_manifest_is_refused_by_its_path(tmp_path):
    with pytest.raises(BundleInvalid, match=re.escape(str(tmp_path / "bundle.json"))):
        bundles.load(tmp_path)


def test_an_unchanged_bundle_passes(make_bundle):
    bundle = make_bundle()
    bundles.verify_files(bundle)
    assert bundles.load(bundle.folder) == bundle


@pytest.mark.parametrize("name", ["model.onnx", "golden/red.jpg", "golden/fp32.npy"])
def test_a_changed_byte_is_detected_and_its_file_named(make_bundle, name):
    bundle = make_bundle()
    content = bytearray((bundle.folder / name).read_bytes())
    content[-1] ^= 1
    (bundle.folder / name).write_bytes(content)
    with pytest.raises(BundleMismatch, match=re.escape(name) + r" has sha256 [0-9a-f]{12}"):
        bundles.verify_files(bundle)


def test_a_changed_size_is_detected_and_both_sizes_named(make_bundle):
    bundle = make_bundle()
    file = bundle.path("golden/red.jpg")
    before = file.stat().st_size
    file.write_bytes(file.read_bytes() + b"x")
    words = rf"golden/red.jpg has {before + 1} bytes, bundle.json says {before}"
    with pytest.raises(BundleMismatch, match=words):
        bundles.verify_files(bundle)


def test_a_missing_file_is_named(make_bundle):
    bundle = make_bundle()
    bundle.path("golden/red.jpg").unlink()
    with pytest.raises(BundleMismatch, match=r"golden/red.jpg can't be read \(No such file"):
        bundles.verify_files(bundle)


def test_a_bundle_cannot_be_changed_once_loaded(make_bundle):
    manifest = make_bundle().manifest
    with pytest.raises(ValueError, match="frozen"):
        manifest.version = 5


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("labels", [{"name": "green"}, {"name": "red"}, {"name": "blue"}]),
        ("input", {"canvas": 480, "size": 32, "crop": 0.97, "resample": "box"}),
        ("version", 7),
    ],
    ids=["labels in another order", "another crop", "another version"],
)
def test_a_manifest_changed_by_hand_is_refused(make_bundle, part, value):
    folder = make_bundle().folder
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**manifest, part: value}))
    with pytest.raises(BundleMismatch, match="changed after it was written"):
        bundles.load(folder)


def test_the_seal_does_not_depend_on_the_layout_of_the_file(make_bundle):
    folder = make_bundle().folder
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(dict(reversed(manifest.items()))))
    assert bundles.load(folder).manifest.name == "colours"


def test_a_link_that_leads_out_of_the_bundle_is_refused(make_bundle, tmp_path):
    bundle = make_bundle()
    outside = tmp_path / "outside.onnx"
    bundle.model_path("fp32").rename(outside)
    bundle.model_path("fp32").symlink_to(outside)
    with pytest.raises(BundleMismatch, match="is not a regular file inside the bundle"):
        bundles.verify_files(bundle)


def test_labels_that_differ_in_case_alone_are_refused(make_bundle):
    with pytest.raises(ValueError, match="occurs twice"):
        make_bundle(labels=("red", "Red", "blue"))
