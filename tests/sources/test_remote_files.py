"""Photos in object stores and on servers: listed, read in ranges, and errors that tell why."""

import http.server
import threading
from functools import partial
from urllib.parse import unquote

import pytest

from app.errors import BadParameter
from app.sources import remote_files
from app.sources.errors import SourceUnavailable

obstore = pytest.importorskip("obstore")
JPEG = b"\xff\xd8\xff\xe0" + bytes(700)


@pytest.fixture
def bucket(monkeypatch):
    """A store in memory in place of s3://photos."""
    from obstore.store import MemoryStore

    store = MemoryStore()
    monkeypatch.setattr(remote_files, "_store", lambda root: store)
    return lambda name, data: obstore.put(store, name, data)


class NoRanges(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Ranges(NoRanges):
    def do_GET(self):
        data = (self.directory_path / unquote(self.path.partition("?")[0]).lstrip("/")).read_bytes()
        asked = self.headers.get("Range")
        first, last = 0, len(data) - 1
        if asked:
            first, last = (int(each) for each in asked.removeprefix("bytes=").split("-"))
            last = min(last, len(data) - 1)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(data[first : last + 1])


@pytest.fixture
def web(tmp_path):
    """Serve a folder, and return its address."""
    servers = []

    def serve(handler):
        handler.directory_path = tmp_path
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(handler, directory=tmp_path)
        )
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_what_lies_below_an_address_is_listed_in_order(bucket, read, make_tar, tmp_path):
    for name in ("in/b.jpg", "in/a/1.png", "in/.hidden.jpg", "in/no suffix", "in/labels.json", "x"):
        bucket(name, b"{}" if name.endswith("json") else JPEG)
    bucket("in/c.tar", make_tar(tmp_path / "c.tar", ("1.jpg", JPEG)).read_bytes())
    assert read("s3://photos/in") == [
        ("s3://photos/in/a/1.png", JPEG),
        ("s3://photos/in/b.jpg", JPEG),
        ("s3://photos/in/c.tar/1.jpg", JPEG),
        ("s3://photos/in/labels.json", b"{}"),  # its reader sees that it is no photo
        ("s3://photos/in/no suffix", JPEG),
    ]
    assert read("s3://photos/in/b.jpg") == [("s3://photos/in/b.jpg", JPEG)]
    found = read("s3://photos/**/*.[jp][pn]g", "s3://photos/in/b.jpg")
    assert found[0] == ("s3://photos/in/b.jpg", "it is named twice")
    assert [path for path, _ in found[1:]] == ["s3://photos/in/a/1.png", "s3://photos/in/b.jpg"]


def test_a_shard_is_read_in_ranges(bucket, read, make_tar, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_files, "RANGE_BYTES", 1000)
    members = [(f"{number}.jpg", JPEG + bytes([number]) * 900 * number) for number in range(9)]
    bucket("s.tar", make_tar(tmp_path / "s.tar", *members).read_bytes())
    assert [content for _, content in read("gs://photos/s.tar")] == [data for _, data in members]


def test_a_parquet_file_of_a_store_names_no_file_of_this_machine(bucket, read, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    paths = ["a.jpg", "/etc/passwd", "../up.jpg", "s3://photos/other.jpg"]
    pyarrow.parquet.write_table(pa.table({"path": paths}), tmp_path / "s.parquet")
    bucket("in/s.parquet", (tmp_path / "s.parquet").read_bytes())
    bucket("in/a.jpg", JPEG)
    bucket("other.jpg", JPEG)
    assert read("s3://photos/in/s.parquet") == [
        ("s3://photos/in/a.jpg", JPEG),
        ("/etc/passwd", "bad_parameter"),
        ("../up.jpg", "bad_parameter"),
        ("s3://photos/other.jpg", JPEG),
    ]


@pytest.mark.parametrize("handler", [Ranges, NoRanges])
def test_servers_give_photos_and_shards_with_ranges_or_without(
    web, read, make_tar, tmp_path, handler
):
    (tmp_path / "a b.jpg").write_bytes(JPEG)
    members = [(f"{number}.jpg", JPEG) for number in range(3)]
    make_tar(tmp_path / "0.tar", *members)
    make_tar(tmp_path / "1.tar", *members[:1])
    address = web(handler)
    found = read(f"{address}/{{0..1}}.tar", f"{address}/a%20b.jpg")
    assert found == [
        *((f"{address}/0.tar/{number}.jpg", JPEG) for number in range(3)),
        (f"{address}/1.tar/0.jpg", JPEG),
        (f"{address}/a%20b.jpg", JPEG),
    ]
    assert read(f"{address}/a%20b.jpg", max_bytes=10)[0][1] == "too_many_bytes"


def test_what_is_not_there_and_what_cannot_be_reached_are_told_apart(web, read, monkeypatch):
    address = web(NoRanges)
    with pytest.raises(BadParameter, match=r"There is no http.*none.tar. Correct the address."):
        read(f"{address}/none.tar?signature=secret")
    monkeypatch.setitem(remote_files._RETRIES, "max_retries", 0)
    with pytest.raises(SourceUnavailable, match=r"can't be read \(.*\). Try again later."):
        read("http://127.0.0.1:9/a.jpg")


def test_an_object_that_changes_while_it_is_read_is_an_error(
    bucket, read, make_tar, tmp_path, monkeypatch
):
    monkeypatch.setattr(remote_files, "RANGE_BYTES", 1000)
    data = make_tar(tmp_path / "s.tar", *((f"{n}.jpg", JPEG) for n in range(9))).read_bytes()
    bucket("s.tar", data)
    file = remote_files.open_file("s3://photos/s.tar")
    file.read(10)
    bucket("s.tar", data + data)
    with pytest.raises(SourceUnavailable, match="changed while it was read"):
        file.read()
    file.close()
