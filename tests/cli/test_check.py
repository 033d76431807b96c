"""`hubel check`: a valid bundle passes, a changed one fails."""

import pytest


def test_check_passes_a_valid_bundle_and_prints_each_photo(hubel, make_bundle):
    result = hubel("check", make_bundle(int8_sharpness=8.0).folder)
    assert result.exit_code == 0
    assert result.stdout.count("golden/") == 6
    assert result.stdout.splitlines()[-1] == "passed"


@pytest.mark.parametrize("name", ["model.onnx", "golden/red.jpg"])
def test_check_fails_a_changed_byte(hubel, models, name, assert_error):
    file = models / "colours" / name
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    result = hubel("check", models / "colours")
    assert_error(result, 1, f"{file} has sha256")
    assert "passed" not in result.stdout


def test_check_fails_int8_that_misses_a_golden_photo(hubel, make_bundle, assert_error):
    result = hubel("check", make_bundle(int8_sharpness=1.0).folder)
    assert_error(result, 1, "int8 misses its golden photo")


def test_check_fails_a_folder_that_is_not_a_bundle(hubel, tmp_path, assert_error):
    (tmp_path / "nothing").mkdir()
    assert_error(hubel("check", tmp_path / "nothing"), 1, "bundle.json can't be read")


def test_check_passes_the_built_in_bundle(hubel, imagenet):
    assert hubel("check", imagenet).exit_code == 0
