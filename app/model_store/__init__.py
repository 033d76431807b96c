"""Bundles in an S3 bucket, copied into a local folder that is then served."""

from app.model_store.store import ModelStore
from app.model_store.watch import StoreWatch

__all__ = ["ModelStore", "StoreWatch"]
