"""Parquet files hold photos, or their paths; the column is found or named."""

import pyarrow as pa
import pyarrow.parquet
import pytest

from app.errors import BadParameter
from app.sources.parquet_shard import column_of

JPEG = b"\xff\xd8\xff\xe0" + bytes(700)


def write(path, columns, **options):
    pyarrow.parquet.write_table(pa.table(columns), path, **options)
    return path


def hugging_face(photos):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": photo, "path": f"{i}.jpg"} for i, photo in enumerate(photos)], kind)


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"label": [1, 2], "image": hugging_face([JPEG, JPEG])}, None),
        ({"key": ["a", "b"], "jpg": [JPEG, JPEG]}, None),
        ({"thumb": [b"x", b"y"], "jpg": pa.array([JPEG, JPEG], pa.large_binary())}, None),
        ({"one": [b"x", b"y"], "two": [JPEG, JPEG]}, "two"),
    ],
    ids=["Hugging Face", "bytes", "the usual name", "named"],
)
def test_rows_are_photos_named_by_their_number(read, tmp_path, columns, named):
    shard = write(tmp_path / "s.parquet", columns)
    assert read(shard, column=named) == [(f"{shard}/{row}", JPEG) for row in range(2)]


@pytest.mark.parametrize("named", [None, "image"])
@pytest.mark.parametrize(
    "kind",
    [
        pa.dictionary(pa.int32(), pa.binary()),
        pa.binary(len(JPEG)),
        pa.large_binary(),
        pa.binary_view(),
    ],
    ids=str,
)
def test_bytes_of_every_type_are_photos(read, tmp_path, kind, named):
    columns = {"sha256": pa.array([b"1" * 32] * 2, pa.binary(32))} if named else {}
    shard = write(tmp_path / "s.parquet", columns | {"image": pa.array([JPEG, JPEG], kind)})
    assert read(shard, column=named) == [(f"{shard}/{row}", JPEG) for row in range(2)]


@pytest.mark.parametrize(
    "kind",
    [pa.dictionary(pa.int32(), pa.string()), pa.large_string(), pa.string_view()],
    ids=str,
)
def test_paths_of_every_type_are_read(read, tmp_path, kind):
    (tmp_path / "a.jpg").write_bytes(JPEG)
    hashes = pa.array([b"1" * 32] * 2, pa.binary(32))
    columns = {"sha256": hashes, "path": pa.array(["a.jpg", None], kind)}
    shard = write(tmp_path / "s.parquet", columns)
    for named in (None, "path"):
        assert read(shard, column=named) == [
            (str(tmp_path / "a.jpg"), JPEG), (f"{shard}/1", "bad_parameter"),
        ]  # fmt: skip


def test_a_type_that_can_not_be_read_is_named():
    schema = pa.schema([("image", pa.list_(pa.binary()))])
    with pytest.raises(BadParameter, match=r"'image' of s.parquet .* its type is list<"):
        column_of("s.parquet", schema, "image")
    with pytest.raises(BadParameter, match="has no column 'png'; its columns are image"):
        column_of("s.parquet", schema, "png")


def test_paths_are_relative_to_the_file(read, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(JPEG)
    paths = ["a.jpg", str(tmp_path / "in/a.jpg"), "none.jpg", None, ""]
    shard = write(tmp_path / "in" / "s.parquet", {"path": paths, "caption": ["c"] * 5})
    assert read(shard) == [
        (str(tmp_path / "in/a.jpg"), JPEG),
        (str(tmp_path / "in/a.jpg"), JPEG),
        (str(tmp_path / "in/none.jpg"), "bad_parameter"),
        (f"{shard}/3", "bad_parameter"),
        (f"{shard}/4", "bad_parameter"),
    ]


@pytest.mark.parametrize(
    ("columns", "named"),
    [({"a": [1]}, None), ({"a": [b"x"], "b": [b"y"]}, None), ({"jpg": [b"x"]}, "png"), ({}, None)],
)
def test_a_column_that_is_not_certain_is_an_error(read, tmp_path, columns, named):
    shard = write(tmp_path / "s.parquet", columns)
    assert read(shard, column=named) == [(str(shard), "bad_parameter")]


def test_rows_that_are_too_large_or_empty_are_errors_in_their_place(read, tmp_path):
    shard = write(tmp_path / "s.parquet", {"jpg": [JPEG, bytes(3000), None, JPEG]})
    contents = [content for _, content in read(shard, max_bytes=1000)]
    assert contents == [JPEG, "too_many_bytes", "bad_parameter", JPEG]


def test_a_truncated_file_and_one_that_is_none_are_errors(read, tmp_path):
    whole = write(tmp_path / "whole.parquet", {"jpg": [JPEG] * 10}).read_bytes()
    for data in (whole[:-100], whole[:200], b"", b"no parquet"):
        (tmp_path / "s.parquet").write_bytes(data)
        assert read(tmp_path / "s.parquet") == [(str(tmp_path / "s.parquet"), "broken_shard")]


def test_damage_in_the_middle_keeps_the_rows_before_it(read, tmp_path):
    photos = [JPEG + bytes([row]) * 5000 for row in range(200)]
    shard = write(
        tmp_path / "s.parquet", {"jpg": photos}, row_group_size=50, compression="none",
        use_dictionary=False, write_page_checksum=True,
    )  # fmt: skip
    data = bytearray(shard.read_bytes())
    data[600_000:600_100] = b"\xff" * 100
    shard.write_bytes(data)
    *before, last = [content for _, content in read(shard)]
    assert last == "broken_shard"
    assert before == photos[: len(before)]
    assert len(before) >= 50
