"""The servers and clients of tests/e2e, for tests that damage what a server runs on."""

from tests.e2e.conftest import cat_photo, load, start

__all__ = ["cat_photo", "load", "start"]
