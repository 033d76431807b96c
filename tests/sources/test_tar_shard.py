"""Tar files are read once and forward, whatever they hold; nothing in them is left out silently."""

import gzip
import io
import struct
import tarfile

import pytest

from app.sources.entry import ReadOptions
from app.sources.tar_shard import photos_of

JPEG = b"\xff\xd8\xff\xe0" + bytes(700)
OTHER = b"\xff\xd8\xff\xe1" + bytes(2000)


def special(name, kind, linkname="a.jpg"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_members_are_named_by_their_shard(read, make_tar, tmp_path, mode):
    shard = make_tar(
        tmp_path / "s.tar", ("a/1.jpg", JPEG), ("2.cls", b"3"), ("3", OTHER), mode=mode
    )
    assert read(shard) == [
        (f"{shard}/a/1.jpg", JPEG),
        (f"{shard}/2.cls", "it is no photo"),
        (f"{shard}/3", OTHER),
    ]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_are_kept(read, make_tar, tmp_path, form):
    names = [
        "x" * 90 + "/" + "é" * 20 + ".jpg",
        "../../etc/passwd.jpg",
        "/root.jpg",
        "a.jpg",
        "a.jpg",
    ]
    shard = make_tar(tmp_path / "s.tar", *((name, JPEG) for name in names), format=form)
    assert [path for path, _ in read(shard)] == [f"{shard}/{name}" for name in names]


def test_links_and_devices_are_errors_where_they_are_named_like_photos(read, make_tar, tmp_path):
    shard = make_tar(
        tmp_path / "s.tar",
        special("link.jpg", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard.jpg", tarfile.LNKTYPE),
        special("null", tarfile.CHRTYPE),
        special("pipe.png", tarfile.FIFOTYPE),
        special("folder.jpg", tarfile.DIRTYPE),
        ("a.jpg", JPEG),
    )
    assert [content for _, content in read(shard)] == [
        "bad_parameter",
        "bad_parameter",
        "it is no plain file",
        "bad_parameter",
        JPEG,
    ]


def test_tar_files_inside_are_skipped(read, make_tar, tmp_path):
    inner = make_tar(tmp_path / "inner", ("a.jpg", JPEG)).read_bytes()
    shard = make_tar(tmp_path / "s.tar", ("inner.tar", inner))
    assert read(shard) == [(f"{shard}/inner.tar", "it is no photo")]


@pytest.mark.parametrize("cut", [700, 1100, 1536, 2600, 4000])
def test_a_truncated_shard_keeps_what_was_read(read, make_tar, tmp_path, cut):
    shard = make_tar(tmp_path / "s.tar", *((f"{i}.jpg", JPEG) for i in range(4)))
    shard.write_bytes(shard.read_bytes()[:cut])
    contents = [content for _, content in read(shard)]
    assert contents == [JPEG] * (cut // 1536) + ["broken_shard"]


def test_a_truncated_compressed_shard_keeps_what_was_read(read, make_tar, tmp_path):
    shard = make_tar(tmp_path / "s.tar", *((f"{i}.jpg", JPEG) for i in range(40)))
    shard.write_bytes(gzip.compress(shard.read_bytes())[:-20])
    *photos, last = [content for _, content in read(shard)]
    assert last == "broken_shard"
    assert photos
    assert set(photos) == {JPEG}


def test_a_damaged_header_is_an_error_and_not_the_end(read, make_tar, tmp_path):
    shard = make_tar(tmp_path / "s.tar", *((f"{i}.jpg", JPEG) for i in range(3)))
    data = bytearray(shard.read_bytes())
    data[1536 + 148 : 1536 + 156] = b"9999999\0"
    shard.write_bytes(data)
    assert [content for _, content in read(shard)] == [JPEG, "broken_shard"]


def test_shards_that_were_joined_are_not_cut_silently(read, make_tar, tmp_path):
    one = make_tar(tmp_path / "one", ("a.jpg", JPEG)).read_bytes()
    (tmp_path / "s.tar").write_bytes(one + one)
    assert [content for _, content in read(tmp_path / "s.tar")] == [JPEG, "broken_shard"]


@pytest.mark.parametrize("data", [b"", b"no tar at all" * 100, bytes(100)])
def test_a_file_that_is_no_tar_is_an_error(read, tmp_path, data):
    (tmp_path / "s.tar").write_bytes(data)
    assert read(tmp_path / "s.tar") == [(str(tmp_path / "s.tar"), "broken_shard")]


def huge(name, size):
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def test_a_huge_member_is_refused_by_its_size_and_the_next_is_read(read, make_tar, tmp_path):
    size = 3 << 30
    end = make_tar(tmp_path / "end", ("b.jpg", JPEG)).read_bytes()
    with (tmp_path / "s.tar").open("wb") as file:  # with a hole
        file.write(huge("a.jpg", size))
        file.seek(512 + size)
        file.write(huge("video.mp4", size))
        file.seek(2 * (512 + size))
        file.write(end)
    contents = [content for _, content in read(tmp_path / "s.tar")]
    assert contents == ["too_many_bytes", "it is no photo", JPEG]


def test_a_negative_size_reads_nothing():
    header = bytearray(huge("a.jpg", 1))
    header[124:136] = b"\xff" * 11 + b"\xf0"  # -16
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * 32)
    file = io.BytesIO(bytes(header) + bytes(5000))  # such a file reads all for a negative number
    assert [entry.path for entry in photos_of("s.tar", file, ReadOptions(10**6, None))] == ["s.tar"]


def test_a_size_beyond_the_end_reads_nothing(read, tmp_path):
    (tmp_path / "s.tar").write_bytes(huge("a.jpg", 1 << 60) + bytes(5000))
    contents = [content for _, content in read(tmp_path / "s.tar")]
    assert contents == ["too_many_bytes", "broken_shard"]


@pytest.mark.parametrize("kind", [b"L", b"x", b"g"])
def test_a_huge_name_is_not_read_into_memory(read, tmp_path, kind):
    header = bytearray(huge("name", 1 << 32))
    header[156:157] = kind
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "s.tar").write_bytes(bytes(header) + bytes(1 << 20))
    assert [content for _, content in read(tmp_path / "s.tar")] == ["broken_shard"]


def test_a_chain_of_name_headers_ends(read, tmp_path):
    file = io.BytesIO()
    for _ in range(3000):
        header = bytearray(huge("././@LongLink", 2))
        header[156:157] = b"L"
        header[148:156] = b"        "
        header[148:156] = b"%06o\0 " % sum(header)
        file.write(bytes(header) + struct.pack("512s", b"a"))
    (tmp_path / "s.tar").write_bytes(file.getvalue())
    assert [content for _, content in read(tmp_path / "s.tar")] == ["broken_shard"]
