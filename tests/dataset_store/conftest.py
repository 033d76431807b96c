"""A store of datasets, and photos to send."""

import io

import pytest
from PIL import Image

from app.dataset_store import DatasetLimits, DatasetStore, PhotoCheck, SentPhoto
from app.memory_budget import MemoryBudget
from app.vision.picture import Limits

CHECK = PhotoCheck(Limits(10**6, 10**6, 2000), MemoryBudget(10**9), keeps_metadata=False)


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (6, 4), (number % 256, number // 256, 7)).save(file, "PNG")
    return file.getvalue()


def sent(number: int, *labels: str) -> SentPhoto:
    return SentPhoto(f"{number}.png", png(number), labels)


@pytest.fixture
def open_store(tmp_path):
    def make(max_bytes=10**9, max_photos=10**6):
        store = DatasetStore(tmp_path, DatasetLimits(max_bytes, max_photos), CHECK)
        store.repair()
        return store

    return make


@pytest.fixture
def store(open_store):
    return open_store()
