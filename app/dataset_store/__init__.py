"""Datasets that people upload: labelled photos in folders that `hubel train` reads.

    files of a form | a zip -> photo_check: header, limits, metadata removed, SHA-256
                            -> written beside -> renamed into the dataset -> its labels.csv, if any

A dataset is HUBEL_DATA_DIR/datasets/NAME. Its folders and files are the only record: nothing else
has to be kept in step with them. `dataset_folder` describes what lies in it.
"""

from app.dataset_store.content import Dataset, LabelCount, StoredPhoto, Warning
from app.dataset_store.dataset_change import DatasetLimits
from app.dataset_store.incoming import Added, AddedPhoto, SentPhoto
from app.dataset_store.photo_check import PhotoCheck
from app.dataset_store.store import DatasetStore
from app.dataset_store.zip_photos import ZipPhotos

__all__ = [
    "Added",
    "AddedPhoto",
    "Dataset",
    "DatasetLimits",
    "DatasetStore",
    "LabelCount",
    "PhotoCheck",
    "SentPhoto",
    "StoredPhoto",
    "Warning",
    "ZipPhotos",
]
