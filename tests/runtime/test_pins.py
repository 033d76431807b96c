"""The pin file: in the models folder, or in the data folder where that is read-only."""

import os

import pytest

from app.errors import PinFileInvalid
from app.runtime.pins import NO_PINS, PIN_FILE, PinFile


@pytest.fixture
def folders(tmp_path):
    """A models folder that can't be written, whoever runs the test, and a data folder."""
    models, data = tmp_path / "models", tmp_path / "data"
    models.mkdir()
    data.mkdir()
    return models, data


@pytest.fixture
def read_only(folders, monkeypatch):
    models, _ = folders
    can_access = os.access

    def access(path, mode, **options):
        return not (path == models and mode & os.W_OK) and can_access(path, mode, **options)

    monkeypatch.setattr("app.runtime.pins.os.access", access)


def test_a_folder_that_can_be_written_has_its_own_file(folders):
    models, data = folders
    file = PinFile(models, data)
    assert file.write(NO_PINS.with_default("pets")) is None
    assert [path.name for path in models.iterdir()] == [PIN_FILE]
    assert list(data.iterdir()) == []


@pytest.mark.usefixtures("read_only")
def test_choices_about_a_read_only_folder_are_kept_in_the_data_folder(folders):
    models, data = folders
    given = NO_PINS.with_model("pets", 1, [2])
    (models / PIN_FILE).write_text(given.model_dump_json())
    file = PinFile(models, data)
    assert file.read() == given
    assert not file.has_changed()
    chosen = given.with_default("pets")
    assert file.write(chosen) is None
    assert PinFile(models, data).read() == chosen
    assert PinFile(models).read() == given


@pytest.mark.usefixtures("read_only")
def test_a_broken_file_is_named(folders):
    models, data = folders
    (models / PIN_FILE).write_text("{")
    with pytest.raises(PinFileInvalid, match=str(models / PIN_FILE)):
        PinFile(models, data).read()
    (data / PIN_FILE).write_text("[]")
    with pytest.raises(PinFileInvalid, match=str(data / PIN_FILE)):
        PinFile(models, data).read()


def test_without_a_folder_the_reason_is_told(tmp_path):
    assert "HUBEL_DATA_DIR" in PinFile(None).write(NO_PINS)
    assert PinFile(None, tmp_path).write(NO_PINS) is None
    assert PinFile(None, tmp_path).read() == NO_PINS


def test_choices_in_the_data_folder_hold_when_the_models_folder_can_be_written(folders):
    models, data = folders
    (data / PIN_FILE).write_text(NO_PINS.with_default("pets").model_dump_json())
    (models / PIN_FILE).write_text(NO_PINS.model_dump_json())
    assert PinFile(models, data).read() == NO_PINS.with_default("pets")


@pytest.mark.usefixtures("read_only")
def test_a_change_of_the_file_in_the_models_folder_is_noticed_until_there_is_another(folders):
    models, data = folders
    (models / PIN_FILE).write_text(NO_PINS.model_dump_json())
    file = PinFile(models, data)
    file.read()
    assert not file.is_missing()
    (models / PIN_FILE).write_text(NO_PINS.with_default("pets").model_dump_json())
    assert file.has_changed()
