"""The indexes of a service: loaded, tried again, and counted as memory."""

import logging
import shutil

import numpy as np
import pytest

from app.runtime.loaded_model import load_model
from app.runtime.registry import Registry
from app.runtime.served_indexes import ServedIndexes
from app.vector_index import IndexedModel, Staging, write_index

MODEL = IndexedModel(name="colours", version=1, sha256="0" * 64, precision="fp32")


def write(output, count):
    with Staging(output, 8, {}) as staging:
        for number, row in enumerate(np.eye(count, 8, dtype=np.float32)):
            staging.append(f"{number}.jpg", f"{number:064x}", 1, row, None)
        write_index(output, staging, MODEL, (), 0, add=False)
    return next(output.glob("vectors*")).stat().st_size


@pytest.fixture
def served(tmp_path):
    """Return the indexes of a folder with one index of three photos, which isn't loaded yet."""
    write(tmp_path / "indexes/holidays", 3)
    return ServedIndexes(tmp_path / "indexes", Registry([], load_model))


@pytest.fixture(autouse=True)
def folder(tmp_path):
    (tmp_path / "indexes").mkdir()
    return tmp_path / "indexes"


def test_an_index_is_loaded_once_its_last_file_was_copied(served, folder, tmp_path, caplog):
    write(tmp_path / "made", 5)
    caplog.set_level(logging.ERROR)
    for file in sorted((tmp_path / "made").iterdir()):  # index.json comes first
        served.poll()
        assert [each.name for each in served.served] == ["holidays"]
        (folder / "copied").mkdir(exist_ok=True)
        target = shutil.copy(file, folder / "copied")
        if file.name.startswith("vectors"):
            whole = file.read_bytes()
            with open(target, "wb") as opened:
                opened.write(whole[:-50])
            served.poll()
            served.poll()
            with open(target, "ab") as opened:
                opened.write(whole[-50:])
    served.poll()
    assert [each.index.manifest.count for each in served.served] == [5, 3]
    assert len(caplog.records) == len({each.getMessage() for each in caplog.records}) == 2


def test_an_index_that_failed_is_not_read_again_while_its_files_stay(served, folder, monkeypatch):
    tries = []
    file = next((folder / "holidays").glob("vectors*"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    load = served._load
    monkeypatch.setattr(served, "_load", lambda *of: (tries.append(of), load(*of)))
    for _ in range(3):
        served.poll()
    assert len(tries) == 1
    assert served.served == ()


def test_the_index_before_and_the_one_that_is_loaded_both_count(served, folder):
    counted = []
    served.poll()
    old = served.memory_bytes
    assert old == next((folder / "holidays").glob("vectors*")).stat().st_size
    served.on_change = lambda: counted.append(served.memory_bytes)
    new = write(folder / "holidays", 8)
    served.poll()
    assert counted == [old + new, new]


@pytest.mark.parametrize("is_alone", [False, True], ids=["one of several", "the only one"])
@pytest.mark.parametrize("gone", ["folder", "index.json"])
def test_an_index_whose_folder_is_gone_serves_on_and_says_so(folder, is_alone, gone, caplog):
    write(folder / "holidays", 3)
    write(folder / "other", 4)
    place = folder / "holidays"
    served = ServedIndexes(place if is_alone else folder, Registry([], load_model))
    served.poll()
    assert served.fault_of("holidays") is None
    kept = shutil.copytree(place, folder.parent / "kept")
    caplog.set_level(logging.WARNING)
    caplog.clear()
    if gone == "folder":
        shutil.rmtree(place)
    else:
        (place / "index.json").unlink()
    served.poll()
    served.poll()
    assert len(caplog.records) == 1
    assert "holidays" in [each.name for each in served.served]
    assert "It serves on" in served.fault_of("holidays")
    (index,) = [each.index for each in served.served if each.name == "holidays"]
    assert index.search(np.eye(3, 8, dtype=np.float32)[1], 1)[0][0].path == "1.jpg"
    shutil.copytree(kept, place, dirs_exist_ok=True)
    served.poll()
    assert served.fault_of("holidays") is None


def test_why_a_replaced_index_is_not_used_is_known(served, folder):
    served.poll()
    (folder / "holidays/index.json").write_text("{")
    served.poll()
    assert "is not JSON" in served.fault_of("holidays")
    assert served.fault_of("holidays").endswith("The index before serves on.")
    write(folder / "made", 5)
    shutil.copytree(folder / "made", folder / "holidays", dirs_exist_ok=True)
    served.poll()
    assert served.fault_of("holidays") is None
