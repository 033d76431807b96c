"""Zips of photos: which labels they give, what is skipped and named, and which are refused."""

import io
import struct
import zipfile

import pytest

from app.dataset_store import ZipPhotos
from app.errors import BadArchive, BadParameter, TooManyBytes
from app.zip_directory import ZipLimits
from tests.dataset_store.conftest import png

LIMITS = ZipLimits(entries=50, bytes=10**7, ratio=20)


def zipped(files, **options):
    """Return a zip of files by name; a value may be a pair of ZipInfo and content."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in files.items():
            if isinstance(content, tuple):
                archive.writestr(*content)
            else:
                archive.writestr(name, content)
    return data.getvalue()


@pytest.fixture
def read(tmp_path):
    """Return what reads a zip: labels by name, and the skipped files with their reasons."""

    def run(data, limits=LIMITS, max_bytes=10**6):
        path = tmp_path / "body.zip"
        path.write_bytes(data)
        with ZipPhotos(path, limits, max_bytes) as photos:
            labels = {photo.file: photo.labels for photo in photos}
        assert list(tmp_path.iterdir()) == [path]
        return labels, dict(photos.skipped)

    return run


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["cat/1.png", "dog/2.png"], ["cat", "dog"]),
        (["pets/cat/1.png", "pets/dog/x/2.png"], ["cat", "dog"]),
        (["./cat/1.png", "dog\\2.png"], ["cat", "dog"]),
        (["train/cat/1.png", "test/dog/2.png"], ["cat", "dog"]),
        (["x/train/cat/1.png", "x/val/dog/2.png"], ["cat", "dog"]),
        (["cat/1.png"], ["cat"]),
        (["Kätzchen/1.png", "犬/2"], ["Kätzchen", "犬"]),
    ],
)
def test_labels_are_the_folders(read, names, labels):
    found, skipped = read(zipped({name: png(0) for name in names}))
    assert ([*found.values()], skipped) == ([(label,) for label in labels], {})


def test_labels_of_a_table(read):
    table = "file,labels\n1.png,cat; dog\nx/2.png,\n3.png,cat\n"
    files = {"a/labels.csv": table, "a/1.png": png(1), "a/x/2.png": png(2), "a/4.png": png(4)}
    found, skipped = read(zipped(files))
    assert found == {"a/1.png": ("cat", "dog"), "a/x/2.png": ()}
    assert set(skipped) == {"a/4.png", "3.png"}
    with pytest.raises(BadParameter, match=r"^The header of labels.csv"):
        read(zipped({"labels.csv": "a,b\n1,2\n", "1.png": png(1)}))


def test_a_table_that_is_long_for_its_files_is_refused(read):
    rows = "".join(f"{number:0>60}.png,cat\n" for number in range(16_000))
    files = {"labels.csv": f"file,labels\n1.png,cat\n{rows}", "1.png": png(1)}
    limits = ZipLimits(entries=2000, bytes=10**7, ratio=1000)
    with pytest.raises(TooManyBytes, match=r"^The zip's labels.csv has 1,"):
        read(zipped(files), limits)
    files |= {f"other/{number}.txt": b"" for number in range(1500)}
    assert list(read(zipped(files), limits)[0]) == ["1.png"]


def test_what_is_not_used_is_named(read):
    link = zipfile.ZipInfo("cat/link.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    files = {
        "cat/1.png": png(1),
        "/etc/2.png": png(2),
        "C:/x/2.png": png(2),
        "cat/../../3.png": png(3),
        "cat/a\nb.png": png(4),
        "link": (link, b"/etc/passwd"),
        "cat/.hidden.png": png(5),
        "__MACOSX/cat/1.png": b"x",
        "cat/more.zip": zipped({"cat/9.png": png(9)}),
        "readme.txt": b"hello",
        "cat/notes.txt": b"hello",
        "5.png": png(5),
        "a;b/6.png": png(6),
    }
    found, skipped = read(zipped(files))
    assert found == {"cat/1.png": ("cat",)}
    assert {name: reason.split(" ", 2)[-1] for name, reason in skipped.items()} == {
        "/etc/2.png": "is absolute",
        "C:/x/2.png": "is absolute",
        "cat/../../3.png": "has ..",
        "cat/a\nb.png": "is odd",
        "cat/link.png": "a link, or no file",
        "cat/.hidden.png": "hidden",
        "__MACOSX/cat/1.png": "hidden",
        "cat/more.zip": "the zip aren't unpacked",
        "readme.txt": "in no folder of a label",
        "cat/notes.txt": "no photo",
        "5.png": "in no folder of a label",
        "a;b/6.png": "can't be a label",
    }


def test_encrypted_and_unusual_files_are_named(read):
    data = bytearray(zipped({"cat/1.png": png(1), "cat/2.png": png(2), "cat/3.png": png(3)}))
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 4)
    data[first + 8] |= 1
    struct.pack_into("<H", data, second + 10, zipfile.ZIP_LZMA)
    found, skipped = read(bytes(data))
    assert list(found) == ["cat/3.png"]
    assert set(skipped) == {"cat/1.png", "cat/2.png"}


def test_a_broken_file_fails_alone(tmp_path):
    data = bytearray(zipped({"cat/1.png": png(1), "cat/2.png": png(2)}))
    data[60] ^= 0xFF
    (tmp_path / "x.zip").write_bytes(data)
    with ZipPhotos(tmp_path / "x.zip", LIMITS, 10**6) as photos:
        first, second = photos
    assert isinstance(first.data, BadArchive)
    assert second.data == png(2)


def bomb_of_shared_data():
    """Return a zip whose entries all have the data of the first."""
    data = bytearray(zipped({"cat/1.png": bytes(5000), "cat/2.png": png(2)}, compresslevel=0))
    first = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    size = 46 + len("cat/1.png")
    entry = bytes(data[first : first + size])
    entries = entry * 10
    data[first:end] = entries
    end = data.index(b"PK\5\6")
    struct.pack_into("<HHI", data, end + 8, 10, 10, len(entries))
    return bytes(data)


def lying_directory():
    """Return a zip whose end record announces a directory of 4 GB."""
    data = bytearray(zipped({"cat/1.png": png(1)}))
    struct.pack_into("<I", data, data.index(b"PK\5\6") + 12, 0xFFFFFFF0)
    return bytes(data)


def with_zip64(data, place=None):
    """Return a zip with an end record of zip64, whose locator names `place`; None: the record's."""
    at = data.index(b"PK\5\6")
    count, length, begin = struct.unpack_from("<HII", data, at + 10)
    fields = (b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, begin)
    record = struct.pack("<4sQ2H2L4Q", *fields)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at if place is None else place, 1)
    return data[:at] + record + locator + data[at:]


def decoy_of_zip64():
    """Return a zip whose locator names a record of a small directory, and zipfile reads another."""
    decoy = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 50, 0)
    many = zipped({f"cat/{n}.png": b"" for n in range(51)})
    return decoy + with_zip64(many, 0)


def hidden_by_a_comment():
    """Return a zip of too many entries, with a long comment."""
    data = bytearray(zipped({f"cat/{n}.png": b"" for n in range(51)}))
    struct.pack_into("<H", data, len(data) - 2, 65_000)
    return bytes(data) + bytes(65_000)


def header_beyond_the_end():
    """Return a zip with an entry whose data begin beyond its end."""
    data = bytearray(zipped({"cat/1.png": png(1)}))
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 42, len(data))
    return bytes(data)


def test_zips_of_zip64_and_with_comments_are_read(read):
    data = bytearray(with_zip64(zipped({"cat/1.png": png(1)})))
    assert list(read(bytes(data))[0]) == ["cat/1.png"]
    for length in (1000, 65_535):
        struct.pack_into("<H", data, data.index(b"PK\5\6") + 20, length)
        assert list(read(bytes(data) + bytes(length))[0]) == ["cat/1.png"]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: b"", BadArchive),
        (lambda: png(1), BadArchive),
        (lambda: zipped({"cat/1.png": png(1)})[:-30], BadArchive),
        (lambda: zipped({}), BadArchive),
        (lambda: zipped({"1.png": png(1)}), BadArchive),
        (bomb_of_shared_data, BadArchive),
        (lying_directory, TooManyBytes),
        (decoy_of_zip64, BadArchive),
        (hidden_by_a_comment, TooManyBytes),
        (header_beyond_the_end, BadArchive),
        (lambda: zipped({f"cat/{n}.png": b"" for n in range(51)}), TooManyBytes),
        (lambda: zipped({f"cat/{n}.bmp": bytes(10**6) for n in range(9)}), TooManyBytes),
        (lambda: zipped({f"cat/{n}.bmp": bytes(10**6) for n in range(11)}), TooManyBytes),
    ],
)
def test_bombs_and_broken_zips_are_refused(read, make, error):
    with pytest.raises(error) as raised:
        read(make())
    assert str(raised.value).endswith(".")


def test_no_more_is_unpacked_than_a_photo_may_have(read, tmp_path):
    data = bytearray(zipped({"cat/1.png": bytes(10**6), "cat/2.png": png(2)}))
    found, _ = read(bytes(data), max_bytes=10**5)
    assert list(found) == ["cat/1.png", "cat/2.png"]
    first = data.index(b"PK\1\2")
    struct.pack_into("<I", data, first + 24, 1000)  # it announces less than it unpacks to
    path = tmp_path / "body.zip"
    path.write_bytes(data)
    with ZipPhotos(path, LIMITS, 10**5) as photos:
        first, second = photos
    assert isinstance(first.data, BadArchive)
    assert second.data == png(2)
