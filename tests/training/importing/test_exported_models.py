"""Models as exporters and converters write them, from a photo to probabilities.

photo -> Pillow, with the model's own preprocessing -> ONNX Runtime -> expected
photo -> the imported bundle, as it is served                       -> within 1e-3
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16
from PIL import Image

from app.runtime.classifier import Query, classify
from app.runtime.loaded_model import load_model
from training.data.photos import LIMITS
from training.packaging import default_golden

torch = pytest.importorskip("torch")
from tests.training.importing import networks  # noqa: E402 (needs torch)

EXPORTED = Path(__file__).parent / "exported"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NORMAL = ("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--pixel-range", "1")
SIDE = 32


def _softmax(rows):
    powers = np.exp(rows - rows.max())
    return powers / powers.sum()


@dataclass(frozen=True)
class Case:
    """A model, how `hubel import` is called, and its own preprocessing."""

    write: Callable[[Path], None]
    """Writes the ONNX file."""
    normal: tuple[str, ...] = NORMAL
    options: tuple[str, ...] = ()
    shape: Callable[[np.ndarray], np.ndarray] = lambda x: x.transpose(2, 0, 1)[None]
    """(S, S, 3) normalised -> what the file reads."""
    normalise: Callable[[np.ndarray], np.ndarray] = lambda x: (x / 255 - MEAN) / STD
    dtype: type = np.float32
    side: int = SIDE
    crop: float = 1.0
    filter: Image.Resampling = Image.Resampling.BILINEAR
    mode: str = "RGB"
    output: str | None = None
    probabilities: Callable[[np.ndarray], np.ndarray] = _softmax
    says: str = ""
    """Words that the import shows."""
    labels: tuple[str, ...] = field(default=("red", "green", "blue"))


def _torch(build, *, dynamic=True, end=None, tail=None, **options):
    """Return a function that exports a network through TorchScript."""

    def write(file):
        torch.manual_seed(0)
        network = build()
        if end is not None:
            network = torch.nn.Sequential(network, end)
        if tail is not None:
            network = tail(network)
        size = options.get("size", SIDE)
        channels = options.get("channels", 3)
        pictures = torch.randn(2 if dynamic else 1, channels, size, size)
        if options.get("channels_last"):
            pictures = pictures.permute(0, 2, 3, 1).contiguous()
        axes = {0: "batch"} if dynamic else {}
        if options.get("any_size"):
            axes |= {2: "height", 3: "width"}
        torch.onnx.export(
            network.eval(),
            (pictures,),
            file,
            dynamo=False,
            input_names=["pictures"],
            output_names=["y"],
            dynamic_axes={"pictures": axes, **({"y": {0: "batch"}} if dynamic else {})},
            **options.get("export", {}),
        )

    return write


class ChannelsLast(torch.nn.Module):
    """A network that reads pixels last."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pictures):
        return self.network(pictures.permute(0, 3, 1, 2))


class Bytes(torch.nn.Module):
    """A network that reads bytes, pixels last, and normalises them itself."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN) * 255)
        self.register_buffer("std", torch.tensor(STD) * 255)

    def forward(self, pictures):
        return self.network(((pictures.float() - self.mean) / self.std).permute(0, 3, 1, 2))


class WithFeatures(torch.nn.Module):
    """A network that gives its features beside the logits."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pictures):
        features = self.network[:-1](pictures)
        return features, self.network[-1](features)


def _write_bytes(file):
    torch.manual_seed(0)
    pictures = torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8)
    axes = {"pictures": {0: "batch"}}
    torch.onnx.export(
        Bytes(networks.cnn()).eval(),
        (pictures,),
        file,
        dynamo=False,
        input_names=["pictures"],
        dynamic_axes=axes,
    )


def _write_with_features(file):
    torch.manual_seed(0)
    torch.onnx.export(
        WithFeatures(networks.cnn()).eval(),
        (torch.randn(2, 3, SIDE, SIDE),),
        file,
        dynamo=False,
        input_names=["pictures"],
        output_names=["features", "y"],
        dynamic_axes={"pictures": {0: "batch"}},
    )


def _half(write, *, keep_io_types):
    def run(file):
        write(file)
        half = convert_float_to_float16(onnx.load(file), keep_io_types=keep_io_types)
        onnx.save(half, file)

    return run


def _dynamically_quantized(write):
    def run(file):
        whole = file.with_name("whole.onnx")
        write(whole)
        quantize_dynamic(whole, file, weight_type=QuantType.QUInt8)

    return run


class Blobs(CalibrationDataReader):
    """Pictures for calibration."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.rows = iter(
            {"pictures": rng.normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)} for _ in range(8)
        )

    def get_next(self):
        return next(self.rows, None)


def _statically_quantized(write):
    def run(file):
        whole = file.with_name("whole.onnx")
        write(whole)
        quantize_static(whole, file, Blobs(), quant_format=QuantFormat.QDQ, per_channel=True)

    return run


def _exported(name):
    return lambda file: file.write_bytes((EXPORTED / f"{name}.onnx").read_bytes())


def _row(x):
    return x.reshape(1, -1)


def _sklearn(name, **more):
    return Case(
        _exported(f"sklearn-{name}"),
        normal=("--mean", "0", "--std", "1", "--pixel-range", "255"),
        shape=_row,
        normalise=lambda x: x,
        side=8,
        **{"probabilities": lambda rows: rows, "says": "8x8 colour pixels as one row", **more},
    )


CNN, VIT, TIMM = networks.cnn, networks.vit, networks.timm_vit
ONE_BY_ONE = "pictures are run one at a time"
CASES = {
    "cnn": Case(_torch(CNN), says="a pooled linear head"),
    "cnn, fixed batch": Case(_torch(CNN, dynamic=False), says="batch size 1 was made dynamic"),
    "cnn, softmax": Case(_torch(CNN, end=torch.nn.Softmax(1)), probabilities=lambda rows: rows),
    "cnn, log-softmax": Case(_torch(CNN, end=torch.nn.LogSoftmax(1)), probabilities=np.exp),
    "cnn, not folded": Case(
        _torch(CNN, export={"training": torch.onnx.TrainingMode.PRESERVE}),
    ),
    "cnn, any size": Case(_torch(CNN, any_size=True), options=("--size", "32")),
    "cnn, pixels last": Case(
        _torch(CNN, tail=ChannelsLast, channels_last=True), shape=lambda x: x[None]
    ),
    "cnn, bgr": Case(
        _torch(CNN),
        normal=(
            *("--mean", "0.406,0.456,0.485", "--std", "0.225,0.224,0.229"),
            *("--pixel-range", "1", "--channels", "bgr"),
        ),
        shape=lambda x: x[..., ::-1].transpose(2, 0, 1)[None],
    ),
    "cnn, grey": Case(
        _torch(lambda: CNN(1), channels=1),
        normal=("--mean", "0.13", "--std", "0.31", "--pixel-range", "1"),
        shape=lambda x: x[None, None],
        normalise=lambda x: (x / 255 - 0.13) / 0.31,
        mode="L",
    ),
    "cnn, bytes": Case(
        _write_bytes,
        normal=(),
        shape=lambda x: x[None],
        normalise=lambda x: x,
        dtype=np.uint8,
        says="it normalises pixels itself",
    ),
    "cnn, features too": Case(_write_with_features, output="y", says="left out: 'features'"),
    "cnn, beyond 480": Case(
        _torch(CNN, size=560),
        options=("--resample", "bicubic"),
        side=560,
        filter=Image.Resampling.BICUBIC,
        says="are upscaled in the graph",
    ),
    "cnn, torchvision": Case(
        _torch(CNN), normal=("--preset", "torchvision"), crop=0.875, options=()
    ),
    "cnn, timm": Case(
        _torch(CNN),
        normal=("--preset", "timm", "--crop", "0.95"),
        options=(),
        crop=0.95,
        filter=Image.Resampling.BICUBIC,
    ),
    "lenet": Case(_torch(networks.fully_connected_cnn), says="no pooled linear head"),
    "cnn, float16 inside": Case(_half(_torch(CNN), keep_io_types=True)),
    "cnn, float16": Case(_half(_torch(CNN), keep_io_types=False), dtype=np.float16),
    "vit, float16 inside": Case(_half(_torch(TIMM), keep_io_types=True)),
    "cnn, dynamic int8": Case(_dynamically_quantized(_torch(CNN)), says=ONE_BY_ONE),
    "vit, dynamic int8": Case(_dynamically_quantized(_torch(TIMM)), says=ONE_BY_ONE),
    "vit, dynamic int8, fixed batch": Case(
        _dynamically_quantized(_torch(TIMM, dynamic=False)), says=ONE_BY_ONE
    ),
    "cnn, static int8, QDQ": Case(_statically_quantized(_torch(CNN))),
    "vit": Case(_torch(VIT)),
    "vit, fixed batch": Case(_torch(VIT, dynamic=False)),
    "timm vit": Case(_torch(TIMM)),
    "timm vit, fixed batch": Case(_torch(TIMM, dynamic=False)),
    "dynamo cnn": Case(_exported("cnn-dynamic")),
    "dynamo cnn, fixed batch": Case(_exported("cnn-static")),
    "dynamo vit": Case(_exported("vit-dynamic")),
    "dynamo vit, fixed batch": Case(_exported("vit-static"), says=ONE_BY_ONE),
    "dynamo timm vit": Case(_exported("timm_vit-dynamic")),
    "dynamo timm vit, fixed batch": Case(_exported("timm_vit-static"), says=ONE_BY_ONE),
    "sklearn, ZipMap": _sklearn("regression"),
    "sklearn, no ZipMap": _sklearn("no-zipmap", output="probabilities"),
    "sklearn, pipeline": _sklearn("pipeline"),
    "sklearn, perceptron": _sklearn("mlp"),
    "sklearn, two classes": _sklearn("binary", labels=("no", "yes")),
    "sklearn, names": _sklearn("names", labels=("blue", "green", "red")),
}


def _photos():
    """Return photos of 480x480 pixels, which Hubel doesn't resize before the model's own resize."""
    rng = np.random.default_rng(0)
    for seed in range(2):
        blobs = rng.integers(0, 256, (5 + seed, 5 + seed, 3), np.uint8)
        image = Image.fromarray(blobs).resize((480, 480), Image.Resampling.BICUBIC)
        data = io.BytesIO()
        image.save(data, "JPEG", quality=95)
        yield data.getvalue()
    for name in ("rocket.jpg", "camera.jpg"):
        yield (default_golden.FOLDER / name).read_bytes()


def _pillow(case, data):
    """Prepare a photo with Pillow and NumPy, as the model's own script does."""
    image = Image.open(io.BytesIO(data)).convert("RGB").convert(case.mode)
    start = (1 - case.crop) / 2 * image.width
    box = (start, start, image.width - start, image.height - start)
    pixels = np.asarray(image.resize((case.side, case.side), case.filter, box))
    if case.mode == "L":  # Hubel resizes colours, and converts the result
        colours = Image.open(io.BytesIO(data)).convert("RGB")
        resized = colours.resize((case.side, case.side), case.filter, box)
        pixels = np.asarray(resized.convert("L"))
    return case.shape(case.normalise(pixels.astype(np.float64))).astype(case.dtype)


def _from_file(case, file, data):
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    outputs = session.run(
        None if case.output is None else [case.output], {name: _pillow(case, data)}
    )
    values = outputs[-1]
    if isinstance(values, list):  # the maps of a ZipMap
        return np.array(list(values[0].values()))
    return case.probabilities(np.ravel(values).astype(np.float64))


@pytest.mark.filterwarnings("ignore")  # of torch's exporter, about its own future
@pytest.mark.parametrize("name", CASES)
def test_a_bundle_predicts_as_the_file_fed_by_pillow(run_import, labels, tmp_path, name, capfd):
    case = CASES[name]
    file = tmp_path / "model.onnx"
    case.write(file)
    capfd.readouterr()
    labels.write_text("\n".join(case.labels))
    resample = (
        ()
        if "--resample" in case.options or "--preset" in case.normal
        else (
            "--resample",
            "bilinear",
        )
    )
    result = run_import(file, *case.options, *resample, normal=case.normal)
    assert result.exit_code == 0, result.output
    assert case.says in result.stdout
    assert capfd.readouterr().err == ""  # ONNX Runtime's own messages
    model = load_model(tmp_path / "mine", "cpu")
    rows = []
    for data in _photos():
        found = classify(data, model, Query(top_k=len(case.labels)), LIMITS).predictions
        actual = [each.probability for each in sorted(found, key=lambda each: each.index)]
        expected = _from_file(case, file, data)
        assert actual == pytest.approx(expected, abs=1e-3)
        rows.append(expected)
    assert np.ptp(rows, axis=0).max() > 0.02  # the photos differ, so a wrong pixel would show
