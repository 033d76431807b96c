"""Text in place of an image is told apart, and the error says how to send the image."""

import base64
import io
import json
import re
import textwrap

import numpy as np
import pytest
from PIL import Image

from app.errors import InputError, NotAnImage, UnsupportedFormat
from app.vision.sniff import sniff


def image(format="JPEG"):
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, format)
    return file.getvalue()


JPEG = image()
PNG = image("PNG")
BASE64 = base64.b64encode(JPEG).decode()
LFS = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
XXD = "00000000: ffd8 ffe0 0010 4a46 4946 0001 0100 0001  ......JFIF......\n"
HEXDUMP = "00000000  ff d8 ff e0 00 10 4a 46  49 46 00 01 01 00 00 01  |......JFIF......|\n"

TEXTS = {
    "data URI": [
        f"data:image/jpeg;base64,{BASE64}",
        f'"data:image/png;charset=utf-8;base64,{BASE64}"',
        "DATA:,hello",
        "data:image/svg+xml,%3Csvg%20xmlns=%22http://www.w3.org/2000/svg%22/%3E",
    ],
    "base64": [
        BASE64,
        base64.urlsafe_b64encode(PNG).decode(),
        base64.encodebytes(PNG).decode(),
        textwrap.fill(BASE64, 76).replace("\n", "\r\n"),
        f'"{BASE64}"',
        BASE64[:40],
        base64.b64encode(bytes(range(256)) * 4).decode(),
    ],
    "JSON": [
        json.dumps({"inputs": BASE64}),
        '  {\n  "url": "https://example.org/a.jpg"}',
        json.dumps([[[0, 1, 2]]]),
        "{'image': b'abc'}",
        "[]",
    ],
    "URL": [
        "https://example.org/a.jpg?size=3#x",
        "http://localhost/a.jpg\nhttp://localhost/b.jpg\n",
        "s3://bucket/photo.jpg",
        '"gs://bucket/photo.jpg"',
        "file:///home/me/photo.jpg",
        "blob:https://example.org/4d7a2146-14ab",
    ],
    "HTML page": [
        "<!DOCTYPE html>\n<html><head><title>404</title></head></html>",
        "<html lang=en><body>Log in</body></html>",
        "<!-- saved -->\n<HTML>",
        "<script>location='/login'</script>",
    ],
    "XML": [
        '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
        "<Error><Code>NoSuchKey</Code></Error>",
        '<annotation verified="yes"><folder>x</folder></annotation>',
    ],
    "a form": [
        "file=@photo.jpg",
        "image=%FF%D8%FF%E0&top_k=3",
        f"image={BASE64[:20]}%2B",
        "photo=photo.jpg",
    ],
    "Git LFS pointer": [LFS, LFS.replace("\n", "\r\n")],
    "git-annex pointer": [
        "/annex/objects/SHA256E-s123--abc.jpg\n",
        "../.git/annex/objects/xx/yy/SHA256E-s1--a.jpg/SHA256E-s1--a.jpg",
    ],
    "DVC pointer": ["outs:\n- md5: a304afb96060aad90176268345e10355\n  path: a.jpg\n"],
    "Python bytes object": [
        str(JPEG),
        repr(PNG),
        str(bytearray(JPEG)),
        str(base64.b64encode(JPEG)),
    ],
    "hexadecimal": [
        JPEG.hex(),
        PNG.hex(" "),
        f"0x{JPEG.hex().upper()}",
        "".join(f"\\x{byte:02x}" for byte in JPEG),
        ", ".join(f"0x{byte:02X}" for byte in PNG),
        XXD,
        HEXDUMP,
    ],
    "decimal": [
        ",".join(map(str, JPEG)),
        " ".join(map(str, np.zeros(40, np.uint8))),
        "255;216;255;224;0",
    ],
    "text of an object": [
        "[object Blob]",
        "[object HTMLInputElement]",
        "<_io.BufferedReader name='photo.jpg'>",
        "<PIL.JpegImagePlugin.JpegImageFile image mode=RGB size=40x30 at 0x7F00>",
        "<Response [200]>",
        "System.Byte[]",
        "[B@6d06d69c",
        "undefined",
        "None",
    ],
    "name of a file": [
        "photo.jpg",
        "/home/me/my photo.JPEG\n",
        "@photo.jpg",
        "C:\\x\\a.png",
        "a.heic",
    ],
    "This is text": [
        "just text",
        "label,file\nred,1\n",
        "a: b",
        "  \n",
        "GET / HTTP/1.1\r\n\r\n",
        "ä" * 5000,
    ],
}


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in TEXTS.items() for text in texts]
)
def test_a_text_is_named_and_the_error_says_what_to_send(kind, text):
    with pytest.raises(NotAnImage) as caught:
        sniff(text.encode())
    message = str(caught.value)
    assert kind in message
    assert message.endswith(".")
    assert message.count(". ") <= 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    "kind", ["data URI", "JSON", "URL", "Git LFS pointer", "base64", "hexadecimal"]
)
def test_a_text_is_told_apart_in_every_encoding(kind, encoding):
    for text in TEXTS[kind]:
        with pytest.raises(NotAnImage, match=kind):
            sniff(text.encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize(
    "text",
    [
        '<svg xmlns="http://www.w3.org/2000/svg"/>',
        '<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x">\n<svg >',
        "<!-- made by hand -->\n<SVG\n/>",
    ],
)
def test_svg_is_an_unsupported_format_in_every_encoding(text, encoding):
    with pytest.raises(UnsupportedFormat, match="SVG"):
        sniff(text.encode(encoding))


def test_a_page_in_latin_1_is_an_html_page():
    page = "<html><body>Zugriff verweigert für Gäste" + " und andere" * 20
    with pytest.raises(NotAnImage, match="HTML page"):
        sniff(page.encode("latin-1"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (JPEG.decode("utf-8", "replace").encode(), "decoded as text"),
        (PNG.decode("utf-8", "replace").encode(), "decoded as text"),
        (JPEG.decode("latin-1").encode(), "decoded as text"),
        (PNG.decode("latin-1").encode(), "decoded as text"),
        (PNG.replace(b"\r\n", b"\n"), "line ends were changed or removed"),
        (PNG.replace(b"\r", b"").replace(b"\n", b""), "--data-binary"),
        (b"--3f2a\r\nContent-Disposition: form-data; name=f\r\n\r\n" + JPEG, "multipart body"),
        (b"\r\n--=_x\ncontent-type: image/jpeg\n\n" + JPEG, "multipart body"),
    ],
    ids=["utf-8", "png utf-8", "latin-1", "png latin-1", "LF", "curl -d", "multipart", "LF form"],
)
def test_an_image_that_was_changed_on_its_way_is_told_apart(data, message):
    with pytest.raises(NotAnImage, match=message):
        sniff(data)


@pytest.mark.parametrize(
    "data",
    [bytes(range(256)), b"\0" * 100, b"MZ\x90\0\x03", b"\x1f\x8b\x08\0", b"PK\x03\x04"],
)
def test_bytes_that_are_no_text_are_in_no_known_format(data):
    with pytest.raises(NotAnImage, match="in no known image format"):
        sniff(data)


def sent_by_curl_d(data):
    """Return what `curl -d @FILE` sends: each line up to its first carriage return or zero."""
    return b"".join(re.split(rb"[\r\0]", line)[0] for line in data.split(b"\n"))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP"])
def test_an_image_sent_with_curl_d_is_told_apart(format):
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    Image.fromarray(noise).save(file, format)
    whole = file.getvalue()
    assert sniff(whole) == format.lower()
    with pytest.raises(NotAnImage, match="with curl, use --data-binary"):
        sniff(sent_by_curl_d(whole))


def test_a_long_text_costs_no_more_than_a_short_one(monkeypatch):
    """The whole of a large body is never decoded: 4 KiB of it decide."""

    class Counted(bytes):
        """Bytes that record how much of them is read."""

        read = 0

        def __getitem__(self, key):
            part = super().__getitem__(key)
            Counted.read = max(Counted.read, len(part) if isinstance(part, bytes) else 1)
            return part

    with pytest.raises(NotAnImage, match="base64"):
        sniff(Counted((BASE64 * 20_000).encode()))
    assert 0 < Counted.read <= 4096


HOSTILE = ['"' * 4096, "<a " + "x" * 4000, "<a " + " at" * 1300, "<!--" + "-" * 4000, "[" * 4096]
HOSTILE += [";a=" * 1300, "0x" * 2000, "/x" * 2000, "data:" * 800, "1," * 2000 + "x", "-" * 4096]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_takes_long(text):
    import time

    def seconds(data):
        began = time.perf_counter()
        for _ in range(5):
            with pytest.raises(InputError):
                sniff(data)
        return time.perf_counter() - began

    control = min(seconds(b"just text " * 400) for _ in range(3))
    assert min(seconds(text.encode()) for _ in range(3)) < 200 * control
