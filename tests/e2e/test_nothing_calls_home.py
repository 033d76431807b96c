"""Serving, training and importing look up no host, connect to none, and leave no file elsewhere.

strace sees native code as well as Python: command -> a file of system calls for each thread
    -> addresses connected or sent to   -> those beyond this machine, and look-ups
    -> paths opened to write, made, renamed or removed -> those outside output and temporary folders
"""

import ipaddress
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
HUBEL = Path(sys.executable).with_name("hubel")
CHANGES = (
    *("creat", "mkdir", "mkdirat", "mknod", "mknodat", "rename", "renameat", "renameat2"),
    *("link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir", "truncate"),
)
OPENS = ("open", "openat", "openat2")
SENDS = ("connect", "sendto", "sendmsg", "sendmmsg")
DNS_PORTS = (53, 853, 5353)
LOOK_UP_FILES = ("/etc/resolv.conf",)
LOOK_UP_SOCKETS = re.compile(r"nscd|resolve|mdns|avahi")
# joblib makes a semaphore, in memory, and removes it.
NO_FILES = re.compile(r"/dev/(null|tty|shm/sem\.[\w-]+)")


def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    command = ["strace", "-f", "-o", os.devnull, "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(not _can_trace(), reason="strace is not installed, or may not trace"),
]


class Watch:
    """Run a command under strace, and list what it should not have done.

    The command has an empty home directory and a temporary folder of its own, and its environment
    does not switch off telemetry.
    """

    def __init__(self, folder: Path) -> None:
        self.home, self.output = folder / "home", folder / "output"
        self._temporary, self._calls = folder / "temporary", folder / "calls"
        for made in (self.home, self.output, self._temporary, self._calls):
            made.mkdir()

    @property
    def under(self) -> list[str]:
        """The command to put before another one, which keeps its process id."""
        traced = ",".join(f"?{call}" for call in (*SENDS, *OPENS, *CHANGES))
        output = str(self._calls / "thread")
        return ["strace", "-D", "-ff", "-qq", "-y", "-s0", "-e", f"trace={traced}", "-o", output]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "TMPDIR": str(self._temporary),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *command: object) -> str:
        """Run a command until it and strace, which shares its standard error, have ended."""
        done = subprocess.run(
            [*self.under, *map(str, command)],
            cwd=self.output,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def calls(self) -> Iterator[tuple[str, str]]:
        """Each system call: its name, and its line."""
        for file in self._calls.iterdir():
            for line in file.read_text(encoding="utf-8").splitlines():
                if found := re.match(r"(\w+)\(", line):
                    yield found[1], line

    def calls_home(self) -> list[str]:
        """The lines of look-ups and of connections that leave this machine."""
        return [
            line
            for name, line in self.calls()
            if (name in SENDS and _leaves(line))
            or (name in OPENS and any(f'"{file}"' in line for file in LOOK_UP_FILES))
        ]

    def files_elsewhere(self) -> list[str]:
        """The lines that change a file outside the output and temporary folders."""
        inside = (self.output, self._temporary)
        return [
            line
            for name, line in self.calls()
            if name in CHANGES
            or (name in OPENS and re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC)", line))
            for path in _paths(name, line)
            if not any(path.is_relative_to(folder) for folder in inside)
            and not NO_FILES.fullmatch(str(path))
        ]


def _leaves(line: str) -> bool:
    """Whether an address in the line is another machine's, or one where names are looked up."""
    for family, rest in re.findall(r"\{sa_family=(\w+)([^}]*)", line):
        if family in ("AF_INET", "AF_INET6"):
            port = re.search(r"port=htons\((\d+)\)", rest)
            host = re.search(r'"([^"]+)"', rest)
            assert port, line
            assert host, line
            if int(port[1]) in DNS_PORTS or not ipaddress.ip_address(host[1]).is_loopback:
                return True
        elif family == "AF_UNIX":
            if LOOK_UP_SOCKETS.search(rest):
                return True
        elif family != "AF_UNSPEC":  # nothing to connect to
            return True
    return False


def _paths(name: str, line: str) -> list[Path]:
    """The paths that a call changes; relative ones stand behind their folder's."""
    found = re.findall(r'(?:<([^>]*)>, )?"((?:[^"\\]|\\.)*)"', line)
    paths = [Path(os.path.normpath(Path(folder, path))) for folder, path in found]
    return paths[-1:] if "link" in name and "unlink" not in name else paths


@pytest.fixture
def watch(tmp_path, monkeypatch):
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    return Watch(tmp_path)


def _nothing_left(watch: Watch) -> None:
    assert watch.calls_home() == []
    assert watch.files_elsewhere() == []
    assert [*watch.home.iterdir()] == []
    assert any(name in OPENS for name, _ in watch.calls()), "strace has written nothing"


def test_serving_calls_nobody(watch, start, cat_photo):
    server = start(*watch.under, **watch.environment)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        for path in ("classify", "explain"):
            assert client.post(f"/api/v1/{path}", content=cat_photo).status_code == 200
        assert client.get("/metrics").status_code == 200
    server.terminate()
    assert server.wait() == 0
    assert server.log()  # no line that isn't JSON
    _nothing_left(watch)


def test_training_calls_nobody(watch, tmp_path):
    rng = np.random.default_rng(0)
    for hue, colour in {"red": (1, 0.3, 0.2), "green": (0.2, 1, 0.3)}.items():
        (tmp_path / "photos" / hue).mkdir(parents=True)
        for index in range(6):
            blobs = (rng.integers(40, 256, (6, 6, 1)) * np.array(colour)).astype(np.uint8)
            Image.fromarray(blobs).resize((96, 96)).save(tmp_path / f"photos/{hue}/{index}.jpg")
    watch.run(HUBEL, "train", tmp_path / "photos", "--output", watch.output / "blobs")
    assert (watch.output / "blobs" / "report" / "index.html").exists()
    _nothing_left(watch)


def test_importing_calls_nobody(watch, tmp_path):
    onnx.save(_classifier(), tmp_path / "model.onnx")
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    options = ("--mean", "0,0,0", "--std", "1,1,1", "--pixel-range", "1")
    files = (tmp_path / "model.onnx", "--labels", tmp_path / "labels.txt")
    watch.run(HUBEL, "import", *files, "--output", watch.output / "mine", *options)
    assert (watch.output / "mine" / "bundle.json").exists()
    _nothing_left(watch)


def _classifier() -> onnx.ModelProto:
    """float32 (N, 3, 32, 32) -> softmax of the mean of each channel."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["output"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 32, 32])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.eye(3, dtype=np.float32) * 8, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    "address",
    [("192.0.2.1", 443), ("192.0.2.1", 53), ("127.0.0.53", 53), ("2001:db8::1", 443)],
    ids=str,
)
def test_a_connection_would_be_seen(watch, address):
    family = "AF_INET6" if ":" in address[0] else "AF_INET"
    code = f"""
import socket
with socket.socket(socket.{family}, socket.SOCK_DGRAM) as udp:  # connecting it sends nothing
    udp.connect_ex({address})
"""
    watch.run(sys.executable, "-c", code)
    assert len(watch.calls_home()) == 1


def test_a_look_up_would_be_seen(watch):
    code = "import os; os.access('/etc/resolv.conf', os.R_OK) and open('/etc/resolv.conf').close()"
    watch.run(sys.executable, "-c", code)
    assert len(watch.calls_home()) == os.access("/etc/resolv.conf", os.R_OK)


def test_a_file_elsewhere_would_be_seen(watch):
    code = """
import os, pathlib
os.chdir(pathlib.Path.home())
os.mkdir("made")
pathlib.Path("made", "written").touch()
os.rename("made/written", "renamed")
folder = os.open(".", os.O_RDONLY)
os.mkdir("below", dir_fd=folder)
"""
    watch.run(sys.executable, "-c", code)
    names = [line.partition("(")[0] for line in watch.files_elsewhere()]
    assert {"openat", "mkdirat"} <= set(names)
    assert len(names) >= 5  # the rename has two paths


def test_the_check_on_the_page_finds_nothing(start, cat_photo, tmp_path, monkeypatch):
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    page = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page.replace("/tmp/", f"{tmp_path}/"), re.DOTALL)
    make_home, serve = blocks[0].splitlines()
    subprocess.run(shlex.split(make_home), check=True)
    home, strace, *options, hubel, command = shlex.split(serve)
    assert (strace, hubel, command) == ("strace", ".venv/bin/hubel", "serve")
    server = start(strace, "-D", *options, HOME=home.removeprefix("HOME="))
    url = f"http://127.0.0.1:{server.port}/api/v1/classify"
    assert httpx.post(url, content=cat_photo, timeout=60).status_code == 200
    server.terminate()  # -D passes signals on, as Ctrl-C in a terminal does
    assert server.wait() == 0
    assert any("exited with 0" in line for line in (tmp_path / "calls").read_text().splitlines())
    after = subprocess.run(blocks[1], shell=True, capture_output=True, text=True, check=False)
    assert (after.stdout, after.stderr) == ("", "")
