"""Edge cases of multipart/form-data: the parser returns whole files or raises a HubelError."""

import base64
import quopri

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.request.header_parameters import split_parameters
from app.api.request.multipart import Form, Part, is_multipart, split_files, split_form
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
    [
        b"",
        b"\r\n",
        b"\n--XX\r\n",
        b"\r\n--X",
        b"\r\n--XXY\r\n",
        b"\r\n--XX \t.",
        bytes(range(256)) * 300,
    ],
    ids=["empty", "line end", "another line end", "half", "longer", "padded", "binary"],
)
def test_a_file_is_returned_unchanged(content):
    assert split_files(part(content) + part(b"2") + END, TYPE, 9) == [content, b"2"]


@pytest.mark.parametrize(
    "headers",
    [
        b'Content-Disposition: form-data; name="file"; filename="a \\"b\\" c.jpg"',
        b"Content-Disposition: form-data; name=\"file\"; filename*=utf-8''r%C3%B6s%C3%A9.jpg",
        b"Content-Disposition: form-data; name*=utf-8''f%C3%AFle; filename*=utf-8''%E6%97%A5.jpg",
        b"Content-Disposition: form-data; name=x;\r\n filename*0*=utf-8''%C3;\r\n filename*1*=%BC",
        b"Content-Disposition: form-data; name=x; filename*1=jpg; filename*0=a.",
        b'Content-Disposition: form-data; name="file"; filename="cut short',
        b"Content-Disposition: form-data; name=file\r\nContent-Type: application/octet-stream",
        b'Content-Disposition: form-data; name="file"; filename="a;b=c\\\\.jpg"',
        b'content-disposition: form-data; name="file"; filename=""',
        b"Content-Disposition: form-data; filename*=UTF-8''%e2%82%ac.jpg; filename=\"e.jpg\"",
        "Content-Disposition: form-data; name=x; filename=Ä.jpg".encode(),
        b'Content-Disposition: form-data; name="file"\r\nContent-Type: image/jpeg',
        b'Content-Type: text/plain\r\nContent-Disposition: form-data; filename="x"',
    ],
    ids=[
        "quotes",
        "urllib3 1.24",
        "urllib3 1.24, name",
        "pieces with a charset",
        "pieces",
        "no closing quote",
        "bytes",
        "semicolon",
        "empty name",
        "extended",
        "not ASCII",
        "by type",
        "type first",
    ],
)
def test_a_part_is_a_file_by_its_filename_or_type(headers):
    assert split_files(part(b"data", headers) + END, TYPE, 9) == [b"data"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"UTF-8''%C3%A9.jpg", "é.jpg"),
        (b"iso-8859-1'en'%E9.jpg", "é.jpg"),
        (b"''%C3%A9.jpg", "é.jpg"),
        (b"unicode_escape''%5Cud800.jpg", "ud800.jpg"),
        (b"utf-7''%2B2AA-.jpg", "+2AA-.jpg"),
        (b"utf-16le''%00%D8", "\ufffd"),
        (b"no-such''a.jpg", "a.jpg"),
    ],
)
def test_a_file_name_is_text_in_a_charset_that_is_listed(value, name):
    _, parameters = split_parameters(f"form-data; filename*={value.decode()}")
    sent = Part(1, {"content-disposition": f"form-data; filename*={value.decode()}"}, b"x")
    assert sent.file_name == name
    assert parameters["filename"].encode()


CLIENTS = {
    ".NET": (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=top_k",
        b"Content-Type: image/jpeg\r\nContent-Disposition: form-data; name=file; "
        b"filename=a.jpg; filename*=utf-8''a.jpg",
    ),
    "Dart": (
        b'content-disposition: form-data; name="top_k"\r\n'
        b"content-type: text/plain; charset=utf-8\r\ncontent-transfer-encoding: binary",
        b"content-type: application/octet-stream\r\n"
        b'content-disposition: form-data; name="file"; filename="a.jpg"',
    ),
    "OkHttp": (
        b'Content-Disposition: form-data; name="top_k"\r\nContent-Length: 1',
        b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
        b"Content-Type: image/*\r\nContent-Length: 4",
    ),
    "Go": (
        b'Content-Disposition: form-data; name="top_k"',
        b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
        b"Content-Type: application/octet-stream",
    ),
    "aiohttp": (
        b'Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name="top_k"',
        b"Content-Type: image/jpeg\r\n"
        b'Content-Disposition: form-data; name="file"; filename="r%C3%B6.jpg"',
    ),
    "a browser's blob": (
        b'Content-Disposition: form-data; name="top_k"',
        b'Content-Disposition: form-data; name="file"; filename="blob"\r\nContent-Type: image/png',
    ),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_field_and_a_file_are_read_as_each_client_writes_them(client):
    field_headers, file_headers = CLIENTS[client]
    body = part(b"3", field_headers) + part(b"\xff\xd8", file_headers) + END
    for content_type in (TYPE, 'multipart/form-data; boundary="XX"'):
        assert split_form(body, content_type, 9) == Form([b"\xff\xd8"], {"top_k": "3"})


@pytest.mark.parametrize("content_type", [TYPE, 'multipart/form-data; charset=x; boundary="XX"'])
def test_the_boundary_may_be_quoted(content_type):
    assert split_files(part() + END, content_type, 9) == [b"data"]


def field(name, value, *headers):
    disposition = b'Content-Disposition: form-data; name="%s"' % name
    return part(value, b"\r\n".join((disposition, *headers)))


def test_a_part_is_a_file_if_it_is_no_text():
    """`curl -F 'file=<photo.jpg'` and `requests.post(files={"file": (None, data)})`."""
    photo = b"\xff\xd8\xff\xe0 photo"
    body = field(b"top_k", b"3") + field(b"file", photo) + part(photo, b"X-None: 1") + END
    form = split_form(body, TYPE, 9)
    assert form.files == [photo, photo]
    assert form.fields == {"top_k": "3"}


@pytest.mark.parametrize(
    ("value", "headers", "text"),
    [
        ("tübingen".encode(), [], "tübingen"),
        (
            "tübingen".encode("latin-1"),
            [b"Content-Type: text/plain; charset=ISO-8859-1"],
            "tübingen",
        ),
        ("é".encode(), [b'Content-Type: text/plain; charset="punycode"'], "é"),
        (b"ZmxvdyBlcnM=\r\n", [b"Content-Transfer-Encoding: BASE64"], "flow ers"),
        (b"a=3Db", [b"Content-Transfer-Encoding: quoted-printable"], "a=b"),
        (b'{"a": 1}', [b"Content-Type: application/json"], '{"a": 1}'),
        (b"two\r\nlines\t", [], "two\r\nlines\t"),
    ],
    ids=["utf-8", "latin-1", "unread charset", "base64", "quoted-printable", "json", "lines"],
)
def test_a_field_is_text_in_its_charset_and_encoding(value, headers, text):
    form = split_form(field(b"label", value, *headers) + part() + END, TYPE, 9)
    assert form.fields == {"label": text}


def test_a_field_of_the_same_value_may_come_twice_and_an_empty_one_is_unset():
    body = field(b"top_k", b"3") * 2 + field(b"model", b"") + part() + END
    assert split_form(body, TYPE, 9).fields == {"top_k": "3"}
    with pytest.raises(BadParameter, match="'top_k' was sent twice"):
        split_form(field(b"top_k", b"3") + field(b"top_k", b"4") + part() + END, TYPE, 9)


def test_a_long_field_is_rejected_and_not_cut():
    longest = b"x" * 65536
    assert split_form(field(b"a", longest) + part() + END, TYPE, 9).fields == {
        "a": longest.decode()
    }
    with pytest.raises(BadParameter, match="has 65537 bytes"):
        split_form(field(b"a", longest + b"x") + part() + END, TYPE, 9)


UNSELECTED = b'Content-Disposition: form-data; name="f"; filename=""'


@pytest.mark.parametrize(
    ("headers", "files"),
    [
        (UNSELECTED + b"\r\nContent-Type: application/octet-stream", [b"1", b"2"]),
        (b'Content-Disposition: form-data; name="f"; filename="a.jpg"', [b"1", b"", b"2"]),
        (b"Content-Disposition: form-data; name=f; filename*=utf-8''%C3%A9", [b"1", b"", b"2"]),
        (b"Content-Disposition: form-data; name=f\r\nContent-Type: image/png", [b"1", b"", b"2"]),
        (b"X-None: 1", [b"1", b"2"]),
    ],
    ids=["browser, none selected", "empty file", "extended name", "by type", "nothing"],
)
def test_an_empty_part_is_skipped_only_where_a_browser_selected_no_file(headers, files):
    assert split_files(part(b"1") + part(b"", headers) + part(b"2") + END, TYPE, 9) == files


def encoded(content, encoding):
    disposition = b'Content-Disposition: form-data; name="file"; filename="a.jpg"'
    return part(content, disposition + b"\r\nContent-Transfer-Encoding: " + encoding)


def test_the_transfer_encoding_of_a_part_is_undone():
    """As `curl -F 'file=@photo.jpg;encoder=base64'` and Python's email package send it."""
    photo = bytes(range(256))
    body = (
        encoded(base64.encodebytes(photo).replace(b"\n", b"\r\n"), b"base64")
        + encoded(quopri.encodestring(photo), b"Quoted-Printable")
        + encoded(photo, b"binary")
    )
    assert split_files(body + END, TYPE, 9) == [photo] * 3


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (b"/9j/4AAQ!", b"base64", r"Part 1 \('file'\) .* isn't base64"),
        (b"/9j/4", b"base64", "isn't base64"),
        (b"begin 644 a", b"x-uuencode", "'x-uuencode', which isn't read"),
        (b"x", b"8bit\r\nContent-Encoding: gzip", "Content-Encoding 'gzip'"),
    ],
    ids=["other characters", "cut", "unknown", "compressed"],
)
def test_a_transfer_encoding_that_fails_is_an_error_and_never_a_lost_file(
    content, encoding, message
):
    with pytest.raises(BadParameter, match=message):
        split_files(encoded(content, encoding) + part() + END, TYPE, 9)


def nested(content, boundary=b"YY"):
    headers = (
        b'Content-Disposition: form-data; name="file"\r\nContent-Type: multipart/mixed; boundary='
    )
    return part(content, headers + boundary)


def test_several_files_in_one_field_are_taken_in_order():
    """RFC 2388 sent the files of one field as multipart/mixed."""
    inner = b"".join(
        b"--YY\r\nContent-Disposition: attachment; filename=%s\r\n\r\n%s\r\n" % (name, name)
        for name in (b"b", b"c")
    )
    body = part(b"a") + nested(inner + b"--YY--") + part(b"d") + END
    assert split_files(body, TYPE, 9) == [b"a", b"b", b"c", b"d"]
    with pytest.raises(TooManyFiles):
        split_files(part(b"a") + nested(inner * 9 + b"--YY--") + END, TYPE, 9)


@pytest.mark.parametrize(
    ("content", "boundary", "message"),
    [
        (b"no parts", b"YY", r"Part 1 \('file'\) .* doesn't contain the boundary"),
        (b"--YY\r\n\r\nx", b"YY", "ends before its last boundary"),
        (b"x", b"", "has no boundary"),
        (b"--YY\r\nContent-Type: multipart/mixed; boundary=Z\r\n\r\nx\r\n--YY--", b"YY", "twice"),
    ],
    ids=["no part", "no end", "no boundary", "twice"],
)
def test_a_nested_body_that_cannot_be_read_is_an_error(content, boundary, message):
    with pytest.raises(BadParameter, match=message):
        split_files(nested(content, boundary) + END, TYPE, 9)


def test_text_around_the_parts_is_ignored():
    assert split_files(b"Preamble\r\n--XXX\r\n--X\r\n" + part() + END, TYPE, 9) == [b"data"]
    assert split_files(part() + END + b"\r\n" + part(b"2"), TYPE, 9) == [b"data"]
    padded = part().replace(b"--XX\r", b"--XX \t\r")
    assert split_files(padded * 2 + END, TYPE, 9) == [b"data"] * 2
    assert split_files(b"\r\n" + part() + b"--XX--", TYPE, 9) == [b"data"]
    assert split_files(part() + END + b"epilogue", TYPE, 9) == [b"data"]


def test_lines_may_all_end_with_a_line_feed():
    """Python's email package and programs that print the body by hand write it so."""
    photo = b"\xff\xd8\r\n--XX\r\n \r\n"
    body = part(b"\xff").replace(b"\r\n", b"\n").replace(b"\xff", photo) * 2 + b"--XX--\n"
    assert split_files(body, TYPE, 9) == [photo, photo]


def test_a_part_without_content_does_not_swallow_the_next():
    bare = b'--XX\r\nContent-Disposition: form-data; name="a"\r\n'
    for body in (bare + part(), bare + b"\r\n" + part(), b"--XX\r\n" * 2 + part()):
        assert split_form(body + END, TYPE, 9) == Form([b"data"], {})


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (part() + END, "multipart/form-data", "has no boundary"),
        (part() + END, "multipart/form-data; boundary=", "has no boundary"),
        (part() + END, "multipart/form-data; boundary=YY", "can't be read|ends before"),
        (b"", TYPE, "doesn't contain the boundary 'XX'"),
        (part() + END, f"multipart/form-data; boundary={'X' * 257}", "longer than 256 bytes"),
        (part(), TYPE, "ends before its last boundary"),
        (part()[:-9], TYPE, "ends before its last boundary"),
        (b"--XX\r\nContent-Dispo", TYPE, "ends before its last boundary"),
        (END, TYPE, "can't be read|has no file|ends before"),
        (part(headers=b'Content-Disposition: form-data; name="note"') + END, TYPE, "has no file"),
        (b"--XX\r\n\r\ndata\r\n" + END, TYPE, "Part 1 .* neither a name nor a file name"),
        (part(headers=b"no colon here") + END, TYPE, "header of part 1 has no colon"),
        (part() + part(headers=b"x: " + b"y" * 9000) + END, TYPE, "headers of part 2"),
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
        "long headers",
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
    note = field(b"note", b"holiday")
    assert len(split_files(note + part() * 3 + END, TYPE, 3)) == 3
    with pytest.raises(TooManyFiles, match="parts"):
        split_files(note * 1000 + part() + END, TYPE, 3)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.binary(max_size=200).filter(lambda c: b"\r\n--XX" not in c and c[:4] != b"--XX"),
        max_size=6,
    )
)
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
        b"Content-Type: multipart/mixed; boundary=XX",
        b"Content-Transfer-Encoding: base64",
        b"; name*1*=utf-8''%; name*0=a; filename*=x'y'z",
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
