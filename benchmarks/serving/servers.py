"""The servers: Hubel in one configuration, each baseline in one for 1 client and one for many."""

import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from app import bundle as bundles
from app.runtime.host import available_cores
from benchmarks.serving.process import ServerProcess, free_port

IMAGENET = Path(__file__).resolve().parents[2] / "model" / "imagenet"


@dataclass(frozen=True)
class Server:
    """One server in one configuration."""

    name: str
    command: tuple[str, ...]
    path: str
    """The path of the route."""
    environment: dict[str, str] = field(default_factory=dict)
    form: bool = False
    """Whether it expects multipart uploads."""
    is_hubel: bool = False


def all_servers(folder: Path) -> list[Server]:
    """Return all servers, after writing a bundle with fp32 only into `folder`."""
    fp32_bundle(folder / "models" / "fp32")
    hubel = (str(Path(sys.executable).with_name("hubel")), "serve", "--port", "{port}")
    path = "/api/v1/classify"
    fp32 = (*hubel, "--models", str(folder / "models"))
    servers = [Server("hubel", fp32, path, is_hubel=True)]
    cores = available_cores()
    for suffix, threads, workers in ((" 1", cores, 1), ("", 1, cores)):
        servers += _baselines(suffix, threads, workers, IMAGENET / "model.onnx", draft=False)
    servers += _baselines(" draft", 1, cores, IMAGENET / "model.onnx", draft=True)
    if _uses_int8(hubel, path):
        servers.append(Server("hubel int8", hubel, path, is_hubel=True))
        servers += _baselines(" int8", 1, cores, IMAGENET / "model.int8.onnx", draft=False)
    return servers


def _baselines(suffix: str, threads: int, workers: int, model: Path, draft: bool) -> list[Server]:
    environment = {
        "PORT": "{port}",
        "MODEL": str(model),
        "THREADS": str(threads),
        "WORKERS": str(workers),
        "DRAFT": str(int(draft)),
    }
    python = (sys.executable, "-m")
    tutorial = (*python, "benchmarks.baselines.tutorial")
    lit = (*python, "benchmarks.baselines.lit")
    mosec = (*python, "benchmarks.baselines.mosec_photos", "--port", "{port}")
    return [
        Server("fastapi" + suffix, tutorial, "/predict", environment, form=True),
        Server("litserve" + suffix, lit, "/predict", environment, form=True),
        Server("mosec" + suffix, (*mosec, "--timeout", "60000"), "/inference", environment),
    ]


def start(server: Server, photo: bytes) -> tuple[ServerProcess, str]:
    """Start a server and wait until it classifies `photo`; return the process and the URL."""
    port = free_port()

    def with_port(text: str) -> str:
        return text.replace("{port}", str(port))

    url = f"http://127.0.0.1:{port}{server.path}"
    process = ServerProcess(
        [with_port(part) for part in server.command],
        {name: with_port(value) for name, value in server.environment.items()},
        lambda: _responds(url, photo, server.form),
    )
    return process, url


def _responds(url: str, photo: bytes, form: bool) -> bool:
    kind = "image/jpeg"
    if form:
        kind = "multipart/form-data; boundary=b"
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
        photo = head + photo + b"\r\n--b--\r\n"
    try:
        with urlopen(Request(url, photo, {"Content-Type": kind}), timeout=30) as response:
            return len(json.load(response)["predictions"]) > 0
    except (URLError, ConnectionError, TimeoutError):
        return False


def fp32_bundle(folder: Path) -> None:
    """Write a copy of the default bundle without int8."""
    shutil.copytree(IMAGENET, folder)
    manifest = json.loads((folder / bundles.MANIFEST).read_text(encoding="utf-8"))
    del manifest["sha256"], manifest["metrics"]["int8"], manifest["golden"]["expected"]["int8"]
    for photo in manifest["golden"]["photos"]:
        del photo["tolerance"]["int8"]
    manifest["files"] = {n: f for n, f in manifest["files"].items() if "int8" not in n}
    bundles.write_manifest(manifest, folder)


def _uses_int8(hubel: tuple[str, ...], path: str) -> bool:
    """Return whether int8 passes its golden photos on this processor."""
    photo = next((IMAGENET / "golden").glob("*.jpg")).read_bytes()
    process, url = start(Server("probe", hubel, path, is_hubel=True), photo)
    try:
        with urlopen(url.replace("classify", "models"), timeout=10) as response:
            (model,) = json.load(response)["models"]
            return bool(model["precision"] == "int8")
    finally:
        process.stop()
