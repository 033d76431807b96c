"""Fixtures of the tests of sources: a plan's shards, and what they hold."""

import io
import tarfile

import pytest

from app.errors import HubelError
from app.sources.entry import Photo, ReadOptions
from app.sources.plan import Planner, read_shards
from app.sources.shard import entries_of


@pytest.fixture
def read():
    """Return path and bytes, error code or reason of everything that sources hold."""

    def of(*sources, max_bytes=1_000_000, column=None, **planner):
        lines, seen = io.StringIO(), []
        planned = Planner(lines, lambda each: seen.append((each.path, each.reason)), **planner)
        planned.plan([str(source) for source in sources])
        for shard in read_shards(lines):
            entries = entries_of(shard, ReadOptions(max_bytes, column))
            seen += [(entry.path, _content(entry)) for entry in entries]
        return seen

    return of


def _content(entry):
    if not isinstance(entry, Photo):
        return entry.reason
    try:
        return entry.read()
    except HubelError as err:
        return err.code


@pytest.fixture
def make_tar():
    """Write a tar file of (name, bytes) or TarInfo, and return its path."""

    def make(path, *members, mode="w", **options):
        with tarfile.open(path, mode, **options) as archive:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    archive.addfile(member)
                else:
                    name, data = member
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
        return path

    return make
