"""The servers: Hubel in one configuration, each baseline in one for 1 client and one for many."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from app import bundle as bundles
from app.runtime.host import available_cores
from benchmarks.serving.process import ServerProcess, free_port

IMAGENET = Path(__file__).resolve().parents[2] / "model" / "imagenet"


Points = tuple[tuple[str, int], ...]
"""Kinds of bodies, and clients."""

_ONE: Points = (("480", 1), ("web", 1))
_MANY: Points = (
    *(("480", clients) for clients in (2, 4, 8, 32)),
    *(("web", clients) for clients in (8, 32)),
    ("12mp", 8),
)
_BUSY: Points = (("480", 8), ("480", 32))


@dataclass(frozen=True)
class Server:
    """One server in one configuration."""

    name: str
    command: tuple[str, ...]
    path: str
    """The path of the route."""
    points: Points = ()
    """The points at which it is measured."""
    environment: dict[str, str] = field(default_factory=dict)
    form: bool = False
    """Whether it expects multipart uploads."""


def all_servers(folder: Path) -> list[Server]:
    """Return all servers, after writing bundles and models into `folder`.

    Suffixes of the baselines: " 1" for one client, " draft" with Pillow's draft(), " int8" on the
    int8 file, " float" on the float file that Hubel has imported.
    """
    fp32_bundle(folder / "models" / "fp32")
    file = folder / "float.onnx"
    write_float_model(file)
    import_model(file, folder / "imported" / "lite0")

    servers = [
        _hubel("hubel", (*_ONE, *_MANY, ("480", 128)), folder / "models"),
        _hubel("hubel float", (("480", 1), *_BUSY), folder / "imported"),
    ]
    cores = available_cores()
    fp32 = IMAGENET / "model.onnx"
    servers += _baselines(" 1", _ONE, fp32, threads=cores, workers=1)
    servers += _baselines("", _MANY, fp32, threads=1, workers=cores)
    servers += _baselines(" draft", (("12mp", 8),), fp32, threads=1, workers=cores, draft=True)
    servers += _baselines(" float 1", (("480", 1),), file, threads=cores, workers=1)
    servers += _baselines(" float", _BUSY, file, threads=1, workers=cores)
    if _uses_int8():
        int8 = IMAGENET / "model.int8.onnx"
        servers.append(_hubel("hubel int8", (("480", 1), *_BUSY)))
        servers += _baselines(" int8 1", (("480", 1),), int8, threads=cores, workers=1)
        servers += _baselines(" int8", _BUSY, int8, threads=1, workers=cores)
    return servers


def _hubel(name: str, points: Points, models: Path | None = None) -> Server:
    command = (str(Path(sys.executable).with_name("hubel")), "serve", "--port", "{port}")
    if models is not None:
        command += ("--models", str(models))
    return Server(name, command, "/api/v1/classify", points)


def _baselines(
    suffix: str, points: Points, model: Path, *, threads: int, workers: int, draft: bool = False
) -> list[Server]:
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
    mosec = (*python, "benchmarks.baselines.mosec_photos", "--port", "{port}", "--timeout", "60000")
    return [
        Server("fastapi" + suffix, tutorial, "/predict", points, environment, form=True),
        Server("litserve" + suffix, lit, "/predict", points, environment, form=True),
        Server("mosec" + suffix, mosec, "/inference", points, environment),
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
        lambda: responds(url, photo, server.form),
    )
    return process, url


def responds(url: str, photo: bytes, form: bool) -> bool:
    """Return whether the server at `url` classifies `photo`."""
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


def write_float_model(file: Path) -> None:
    """Write the default model as exporters do: normalised floats (N, 3, S, S) -> logits."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(IMAGENET / "model.onnx")
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    temperature = numpy_helper.to_array(tensors["temperature"])
    for name in ("head.weight", "head.bias"):
        value = numpy_helper.to_array(tensors[name]) / temperature
        tensors[name].CopyFrom(numpy_helper.from_array(value, name))
    onnx.save(model, file)
    onnx.utils.extract_model(str(file), str(file), ["planes"], ["logits"])


def import_model(file: Path, bundle: Path) -> None:
    """Make a bundle of the float model by `hubel import`."""
    bundle.parent.mkdir(parents=True)
    labels = file.with_suffix(".json")
    manifest = bundles.load(IMAGENET).manifest
    labels.write_text(json.dumps([label.name for label in manifest.labels]), encoding="utf-8")
    options = ("--mean", "127", "--std", "128", "--pixel-range", "255", "--output-kind", "logits")
    size = ("--size", str(manifest.input.size))
    hubel = Path(sys.executable).with_name("hubel")
    command = [hubel, "import", file, "--labels", labels, *options, *size, "--output", bundle]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def _uses_int8() -> bool:
    """Return whether int8 passes its golden photos on this processor."""
    photo = next((IMAGENET / "golden").glob("*.jpg")).read_bytes()
    process, url = start(_hubel("probe", ()), photo)
    try:
        with urlopen(url.replace("classify", "models"), timeout=10) as response:
            (model,) = json.load(response)["models"]
            return bool(model["precision"] == "int8")
    finally:
        process.stop()
