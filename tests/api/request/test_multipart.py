"""Edge cases of multipart/form-data: the parser returns whole files or raises a HubelError."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.request.multipart import is_multipart, split_files
from app.errors import BadParameter, HubelError, TooManyFiles

TYPE = "multipart/form-data; boundary=XX"


def part(content=b"data", headers=b'Content-Disposition: form-data; name="file"; filename="a.jpg"'):
    return b"--XX\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"


END = b"--XX--\r\n"


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (TYPE, True),
        ("Multipart/Form-Data;boundary=x", True),
        ("multipart/form-data", True),
        ("multipart/mixed; boundary=x", False),
        ("image/jpeg", False),
        ("", False),
        ("x; multipart/form-data", False),
    ],
)
def test_only_form_data_is_multipart(content_type, expected):
    assert is_multipart(content_type) is expected


@pytest.mark.parametrize(
    "content",
    [b"", b"\r\n", b"--XX", b"\r\n--X", b"\r\n--XY\r\n", b"--XX--", bytes(range(256)) * 300],
    ids=["empty", "line end", "boundary", "half", "nearly", "end", "binary"],
)
def test_a_file_is_returned_unchanged(content):
    assert split_files(part(content) + part(b"2") + END, TYPE, 9) == [content, b"2"]


@pytest.mark.parametrize(
    "headers",
    [
        b'Content-Disposition: form-data; name="file"; filename="a \\"b\\" c.jpg"',
        b'Content-Disposition: form-data; name="file"; filename="a;b=c\\\\.jpg"',
        b'content-disposition: form-data; name="file"; filename=""',
        b"Content-Disposition: form-data; filename*=UTF-8''%e2%82%ac.jpg; filename=\"e.jpg\"",
        "Content-Disposition: form-data; name=x; filename=Ä.jpg".encode(),
        b'Content-Disposition: form-data; name="file"\r\nContent-Type: image/jpeg',
        b'Content-Type: text/plain\r\nContent-Disposition: form-data; filename="x"',
    ],
    ids=["quotes", "semicolon", "no name", "extended", "not ASCII", "by type", "type first"],
)
def test_a_part_is_a_file_by_its_filename_or_type(headers):
    assert split_files(part(b"data", headers) + END, TYPE, 9) == [b"data"]


@pytest.mark.parametrize("content_type", [TYPE, 'multipart/form-data; charset=x; boundary="XX"'])
def test_the_boundary_may_be_quoted(content_type):
    assert split_files(part() + END, content_type, 9) == [b"data"]


def test_text_around_the_parts_is_ignored():
    assert split_files(b"\r\n" + part() + b"--XX--", TYPE, 9) == [b"data"]
    assert split_files(part() + END + b"epilogue", TYPE, 9) == [b"data"]


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (part() + END, "multipart/form-data", "has no boundary"),
        (part() + END, "multipart/form-data; boundary=", "has no boundary"),
        (part() + END, "multipart/form-data; boundary=YY", "can't be read|ends before"),
        (b"", TYPE, "ends before its last boundary"),
        (part() + END, f"multipart/form-data; boundary={'X' * 257}", "can't be read"),
        (part(), TYPE, "ends before its last boundary"),
        (part()[:-9], TYPE, "ends before its last boundary"),
        (b"--XX\r\nContent-Dispo", TYPE, "ends before its last boundary"),
        (END, TYPE, "can't be read|has no file|ends before"),
        (part(headers=b'Content-Disposition: form-data; name="note"') + END, TYPE, "has no file"),
        (b"--XX\r\n\r\ndata\r\n" + END, TYPE, "has no file"),
        (part(headers=b"no colon here") + END, TYPE, "can't be read"),
        (b"\xff\xd8\xff" + bytes(99), TYPE, "can't be read"),
    ],
    ids=[
        "no boundary",
        "empty boundary",
        "another boundary",
        "empty",
        "a boundary without end",
        "no end",
        "cut in the data",
        "cut in a header",
        "no part",
        "a field only",
        "no headers",
        "bad header",
        "a raw image",
    ],
)
def test_invalid_multipart_is_rejected(body, content_type, message):
    with pytest.raises(BadParameter, match=message):
        split_files(body, content_type, 9)


def test_more_files_than_allowed_are_rejected():
    assert len(split_files(part() * 3 + END, TYPE, 3)) == 3
    with pytest.raises(TooManyFiles, match="more than 3"):
        split_files(part() * 4 + END, TYPE, 3)


def test_a_field_does_not_count_as_a_file():
    field = part(b"holiday", b'Content-Disposition: form-data; name="note"')
    assert len(split_files(field + part() * 3 + END, TYPE, 3)) == 3
    with pytest.raises(TooManyFiles, match="parts"):
        split_files(field * 1000 + part() + END, TYPE, 3)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=200).filter(lambda c: b"\r\n--XX" not in c), max_size=6))
def test_files_of_any_content_are_returned_in_order(contents):
    body = b"".join(map(part, contents)) + END
    if contents:
        assert split_files(body, TYPE, 6) == contents


PIECES = st.sampled_from(
    [
        b"--XX",
        b"--XX--",
        b"\r\n",
        b"\r",
        b"\n",
        b"--",
        b":",
        b'"',
        b";",
        b"Content-Disposition",
        b" form-data; filename=",
        b"\x00",
        b"\xff",
        b"\\",
        part(),
        b"Content-Type: image/x",
        b"XX",
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    body=st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=20).map(b"".join)),
    content_type=st.one_of(
        st.just(TYPE),
        st.text(st.characters(max_codepoint=255), max_size=40).map(
            lambda s: f"multipart/form-data; boundary={s}"
        ),
    ),
)
def test_any_body_gives_files_or_a_hubel_error(body, content_type):
    try:
        files = split_files(body, content_type, 5)
    except HubelError:
        return
    assert 1 <= len(files) <= 5
