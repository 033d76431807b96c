"""The model bundle: one self-contained folder with graphs, metadata and golden photos.

    <name>/bundle.json       the `Manifest` below; written last
    <name>/model.onnx        fp32
    <name>/model.int8.onnx   static QDQ; present only if it passed its gates
    <name>/golden/           a few small photos, and their expected probabilities
    <name>/README.md         the model card

serving:   folder -> `load` (schema, seal) -> `verify_files` (bytes, sha256)
                  -> app.runtime.verify (graph, golden photos)
training:  folder being built -> `record_files` -> `write_manifest`
                  -> training.packaging.replacement, which renames the folder into place

The seal is a sha256 of the rest of bundle.json. It detects changes that pass every other check,
such as labels in another order or another crop.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

from app.errors import BundleInvalid, BundleMismatch, ModelNotReady

MANIFEST = "bundle.json"
_SEAL = "sha256"
MODEL_CARD = "README.md"
"""The model card. Users may edit it, so it is not among `Manifest.files`."""

Precision = Literal["fp32", "int8"]
MODEL_FILES: Mapping[Precision, str] = {"fp32": "model.onnx", "int8": "model.int8.onnx"}

_MIN_CLASSES = 2
Resample = Literal["box", "bilinear", "bicubic", "lanczos"]
Task = Literal["single_label", "multi_label"]
"""single_label: exactly one label is right for a photo. multi_label: any number of them."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=8, le=480)]
Fit = Literal["cover", "stretch", "contain"]

SURE_FROM = 2 / 3
"""The acceptance threshold of a bundle that states none. Between two classes, one is then twice as
likely as the other. If calibrated, predictions at this probability are right two times in three."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Label(_Part):
    """One class; its position in `Manifest.labels` is its index in the graph's output."""

    name: Annotated[str, StringConstraints(min_length=1)]
    """The name that is displayed, unique in a bundle."""
    id: str | None = None
    """A stable identifier, if the data has one, such as ImageNet's synset."""


class InputSpec(_Part):
    """The preprocessing from a photo to the graph's input, the same in training and serving."""

    canvas: Literal[480] = 480
    """Side of the square that every photo is resized to, in pixels."""
    fit: Fit = "cover"
    """How a photo becomes the canvas. cover: its centre square. stretch: the whole photo, squashed.
    contain: the whole photo in proportion, with grey (127) around it."""
    size: Side | tuple[Side, Side]
    """Side of the graph's input, or its height and width, in pixels."""
    crop: Annotated[float, Field(gt=0, le=1)]
    """Side of the centre square that is kept, as a share of the canvas."""
    resample: Resample
    """Filter of the resize from the kept square to `size`."""

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        if self.fit == "cover" and self.height != self.width:
            raise ValueError(
                f"an input of {self.height} x {self.width} needs the fit stretch or contain; cover "
                "keeps a square"
            )
        return self

    @property
    def height(self) -> int:
        """Height of the graph's input, in pixels."""
        return self.size if isinstance(self.size, int) else self.size[0]

    @property
    def width(self) -> int:
        """Width of the graph's input, in pixels."""
        return self.size if isinstance(self.size, int) else self.size[1]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a photo in the graph's input: height, width, channels."""
        return self.height, self.width, 3

    def describe_size(self) -> str:
        """Return the height and width, for people."""
        return f"{self.height}x{self.width}"


class FileRecord(_Part):
    """The expected size and sha256 of a file."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class Calibration(_Part):
    """The temperature by which the graph divides the logits.

    In a multi-label model each label has a scale and an offset of its own instead (Platt 1999,
    "Probabilistic Outputs for Support Vector Machines"), and the ECE is the mean over the labels.

    ECE is the expected calibration error over 15 equal-width bins of top-1 confidence
    (Guo et al. 2017, "On Calibration of Modern Neural Networks").
    """

    temperature: Annotated[float, Field(gt=0)]
    """1 in a multi-label model."""
    scales: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    """Of a multi-label model: the factor of each label's logit."""
    offsets: tuple[float, ...] | None = None
    """Of a multi-label model: the number that is added to each label's scaled logit."""
    ece_before: Share
    """ECE of the logits as they are."""
    ece_after: Share
    """ECE of the calibrated logits."""
    images: PositiveInt
    on: str
    """The photos that ECE was measured on, and how those for fitting were separated from them."""


class UnknownRule(_Part):
    """The out-of-distribution threshold: a photo with a lower score resembles no training photo.

    Its `decision` is `unknown`. Otherwise `DecisionRule` decides.
    """

    score: Literal["familiarity", "max_probability"]
    threshold: float
    accepts: Share
    """Share of the test photos whose score reaches the threshold."""


class LabelDecision(_Part):
    """The acceptance threshold of the predictions of one label."""

    accept_from: Share | None
    """None: no prediction of this label is accepted, as its share of right ones is too low."""
    coverage: Share
    """Share of the label's predictions that are accepted."""
    photos: PositiveInt
    """The number of photos whose prediction is this label."""


class AcceptedFigures(_Part):
    """The accepted predictions among photos that chose no threshold."""

    precision: Share | None
    """Share of right ones among the accepted predictions; None: none is accepted."""
    coverage: Share
    """Share of the photos whose prediction is accepted."""
    photos: PositiveInt
    on: str
    """The photos that were measured."""


class DecisionRule(_Part):
    """The acceptance threshold, and the promise that it keeps.

    A prediction is accepted if its most probable label reaches the threshold; otherwise its
    `decision` is `unsure`. A bundle without this field accepts from two thirds.
    """

    accept_from: Share = SURE_FROM
    precision: Share | None = None
    """The promise: the share of accepted predictions that are right. None: nothing is promised."""
    confidence: Share | None = None
    """The probability that a threshold chosen in this way keeps the promise."""
    coverage: Share | None = None
    """Share of the photos whose prediction is accepted."""
    photos: PositiveInt | None = None
    """The number of photos that chose the threshold."""
    on: str | None = None
    """The photos that chose the threshold."""
    labels: Mapping[str, LabelDecision] = {}
    """The thresholds of labels that have their own; it replaces `accept_from` for them."""
    tested: AcceptedFigures | None = None
    """The accepted predictions among the test photos."""

    def threshold_of(self, label: str) -> float | None:
        """Return the acceptance threshold of a label's predictions; None: none is accepted."""
        own = self.labels.get(label)
        return self.accept_from if own is None else own.accept_from


class Metrics(_Part):
    """Figures of one precision, measured from bytes with the bundle's own preprocessing."""

    top1: Share
    top5: Share
    ece: Share
    images: PositiveInt
    on: str
    """The photos that the figures were measured on."""


class MultiLabelMetrics(_Part):
    """Figures of one precision of a multi-label model, measured like `Metrics`."""

    mean_average_precision: Share
    """The mean, over the labels that occur, of the area under the precision-recall curve."""
    f1_micro: Share
    """F1 of the accepted labels of all photos together."""
    f1_macro: Share
    """The mean of the labels' F1, over those that occur."""
    exact: Share
    """Share of the photos whose accepted labels are exactly the right ones."""
    ece: Share
    """The mean over the labels of the ECE of their probabilities."""
    images: PositiveInt
    on: str
    """The photos that the figures were measured on."""


def _task_of(metrics: Any) -> Task:
    """Return the task that metrics, parsed or not, belong to."""
    if isinstance(metrics, Mapping):
        return "multi_label" if "mean_average_precision" in metrics else "single_label"
    return "multi_label" if isinstance(metrics, MultiLabelMetrics) else "single_label"


AnyMetrics = Annotated[
    Annotated[Metrics, Tag("single_label")] | Annotated[MultiLabelMetrics, Tag("multi_label")],
    Discriminator(_task_of),
]


class GoldenPhoto(_Part):
    """A photo with expected probabilities: photo i belongs to row i of `Golden.expected`."""

    file: str
    label: str
    """The expected top-1 label; of a multi-label model, its most probable label."""
    source: str
    """Its origin and licence."""
    tolerance: Mapping[Precision, Annotated[float, Field(gt=0, lt=1)]]
    """Largest allowed absolute difference of any probability, by precision."""


class Golden(_Part):
    """The golden photos and their expected probabilities, which every load of the model checks."""

    photos: Annotated[tuple[GoldenPhoto, ...], Field(min_length=1)]
    expected: Mapping[Precision, str]
    """A .npy file of float32 [photos, labels], by precision."""


class Baseline(_Part):
    """The distribution of confidence on the test photos, a reference for drift in production."""

    images: PositiveInt
    confidence: tuple[int, ...]
    """Histogram of top-1 confidence in equal-width bins over 0..1."""


class Training(_Part):
    """The provenance of the model, enough to train it again."""

    recipe: str
    arguments: Mapping[str, Any]
    seed: int
    data: str
    """Fingerprint of the photos: a sha256 over their sorted relative names and contents."""
    versions: Mapping[str, str]
    git_commit: str | None = None
    seconds: Annotated[float, Field(ge=0)]


class Manifest(_Part):
    """The content of bundle.json, without its seal."""

    schema_version: Literal[1] = 1
    name: Name
    version: PositiveInt
    task: Task = "single_label"
    labels: Annotated[tuple[Label, ...], Field(min_length=1)]
    thresholds: tuple[Share, ...] | None = None
    """Of a multi-label model: the probability from which each label is accepted."""
    undecided: tuple[tuple[Share, Share], ...] | None = None
    """Of a multi-label model: for each label, the band of probabilities that its calibration can't
    decide, from the first number up to the second. It holds the threshold. The `decision` for a
    photo with a probability in its label's band is `unsure`."""
    input: InputSpec
    files: Mapping[str, FileRecord]
    golden: Golden
    metrics: Mapping[Precision, AnyMetrics]
    calibration: Calibration | None = None
    unknown: UnknownRule | None = None
    """The rule that decides which photos are `unknown`. None: no photo is."""
    decision: DecisionRule | None = None
    """The rule that decides which predictions are accepted. None: from two thirds, and only where
    there is an `unknown` rule; otherwise responses have no decision."""
    baseline: Baseline | None = None
    model_card_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    """The model card as it was written: training replaces it only while it is unedited."""
    training: Training

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        names = [label.name for label in self.labels]
        folded = Counter(name.casefold() for name in names)
        if twice := [name for name in names if folded[name.casefold()] > 1]:
            raise ValueError(f"label {twice[0]!r} occurs twice; labels must be unique")
        for name in self.files:
            parts = PurePosixPath(name).parts
            if not parts or parts[0] == "/" or ".." in parts or set(name) & {"\\", "\0"}:
                raise ValueError(f"file {name!r} must lie inside the bundle")
        if MODEL_FILES["fp32"] not in self.files:
            raise ValueError(f"files must list {MODEL_FILES['fp32']}")
        needed = [photo.file for photo in self.golden.photos] + list(self.golden.expected.values())
        if missing := [name for name in needed if name not in self.files]:
            raise ValueError(f"golden file {missing[0]!r} is not listed in files")
        for photo in self.golden.photos:
            if photo.label not in names:
                raise ValueError(
                    f"golden photo {photo.file} has the label {photo.label!r}, which "
                    "is none of the labels"
                )
        for precision in self.precisions:
            if precision not in self.golden.expected or any(
                precision not in photo.tolerance for photo in self.golden.photos
            ):
                raise ValueError(
                    f"golden photos lack expected probabilities or a tolerance for {precision}"
                )
        return self

    @model_validator(mode="after")
    def _check_decision(self) -> Self:
        names = {label.name for label in self.labels}
        own = () if self.decision is None else self.decision.labels
        if stray := [name for name in own if name not in names]:
            raise ValueError(f"decision has a threshold for {stray[0]!r}, which is no label")
        return self

    @model_validator(mode="after")
    def _check_task(self) -> Self:
        if self.task == "single_label":
            if len(self.labels) < _MIN_CLASSES:
                raise ValueError("a single-label model needs two labels at least")
            if self.thresholds is not None or self.undecided is not None:
                raise ValueError("thresholds and undecided are for the task multi_label")
        else:
            self._check_bands()
            if self.decision is not None:
                raise ValueError("decision is for the task single_label; thresholds decide here")
            if self.unknown is not None and self.unknown.score == "max_probability":
                raise ValueError(
                    "a multi-label model's threshold for unknown photos must be of familiarity: "
                    "a known photo may have no label"
                )
        kind = Metrics if self.task == "single_label" else MultiLabelMetrics
        if not all(isinstance(each, kind) for each in self.metrics.values()):
            raise ValueError(f"metrics are not those of the task {self.task}")
        return self

    def _check_bands(self) -> None:
        thresholds, undecided = self.thresholds or (), self.undecided or ()
        if not len(thresholds) == len(undecided) == len(self.labels):
            raise ValueError("thresholds and undecided must hold an entry for each label")
        for label, threshold, (low, high) in zip(self.labels, thresholds, undecided, strict=True):
            if not low <= threshold <= high:
                raise ValueError(
                    f"the threshold of {label.name!r} must lie in its band in undecided"
                )

    @property
    def single_label_metrics(self) -> Mapping[Precision, Metrics]:
        """The metrics of a single-label model; empty for a multi-label one."""
        return {p: each for p, each in self.metrics.items() if isinstance(each, Metrics)}

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions for which the bundle has a graph, fp32 first."""
        return tuple(p for p, name in MODEL_FILES.items() if name in self.files)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose bundle.json has been read; its other files have not been checked."""

    folder: Path
    manifest: Manifest

    def path(self, name: str) -> Path:
        """Return the path of the bundle's file `name`."""
        return self.folder / name

    def model_path(self, precision: Precision) -> Path:
        """Return the path of the graph of one precision."""
        return self.path(MODEL_FILES[precision])

    def verified_path(self, name: str) -> Path:
        """Return the path of a listed file after checking that it is still the verified one.

        Raises:
            ModelNotReady: it was removed or replaced.
        """
        path = self.path(name)
        try:
            sha256 = _sha256(path)
        except OSError:
            sha256 = None
        if sha256 != self.manifest.files[name].sha256:
            raise ModelNotReady(
                f"{name} of model {self.manifest.name!r} was replaced or removed after the model "
                "was loaded, so it can't be read. Reload the model."
            )
        return path


def load(folder: Path) -> Bundle:
    """Read `folder`/bundle.json.

    Raises:
        BundleInvalid: it is missing, is not JSON, or violates the schema.
        BundleMismatch: it was changed after it was written.
    """
    file = folder / MANIFEST
    try:
        document = json.loads(file.read_bytes())
    except OSError as err:
        raise BundleInvalid(
            f"{file} can't be read ({err.strerror}). Name a folder that holds a {MANIFEST}."
        ) from err
    except (ValueError, RecursionError) as err:
        raise BundleInvalid(
            f"{file} is not a valid bundle: it is not JSON ({err}). "
            "Write the bundle again with the training program."
        ) from err
    seal = document.pop(_SEAL, None) if isinstance(document, dict) else None
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as err:
        raise _invalid(file, err) from err
    if seal != (actual := _seal(document)):
        raise BundleMismatch(
            f"{file} was changed after it was written: the seal is {seal}, but the content "
            f"has the sha256 {actual}. Copy the bundle again."
        )
    return Bundle(folder, manifest)


def _invalid(file: Path, err: ValidationError) -> BundleInvalid:
    first = err.errors()[0]
    tasks = get_args(Task)  # which of two schemas was used is no part of the document
    where = ".".join(str(part) for part in first["loc"] if part not in tasks) or "the document"
    more = f" (and {err.error_count() - 1} more)" if err.error_count() > 1 else ""
    return BundleInvalid(
        f"{file} is not a valid bundle: {where}: {first['msg']}{more}. "
        "Write the bundle again with the training program."
    )


def _seal(document: Mapping[str, Any]) -> str:
    """Return the sha256 of a manifest's JSON, independent of its layout and order of keys."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(document: Mapping[str, Any], folder: Path) -> None:
    """Write bundle.json with its seal into `folder`."""
    sealed = {**document, _SEAL: _seal(document)}
    text = json.dumps(sealed, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def verify_files(bundle: Bundle) -> None:
    """Compare every listed file with its recorded size and sha256.

    Raises:
        BundleMismatch: a file is missing or changed; the message says which, and how.
    """
    for name, record in bundle.manifest.files.items():
        path = bundle.path(name)
        try:
            size = path.stat().st_size
            if not path.is_file() or not path.resolve().is_relative_to(bundle.folder.resolve()):
                raise BundleMismatch(
                    f"{path} is not a regular file inside the bundle. Copy the bundle again."
                )
            if size != record.bytes:
                raise BundleMismatch(
                    f"{path} has {size} bytes, {MANIFEST} says {record.bytes}. "
                    "Copy the bundle again."
                )
            digest = _sha256(path)
        except OSError as err:
            raise BundleMismatch(
                f"{path} can't be read ({err.strerror}). Copy the bundle again."
            ) from err
        if digest != record.sha256:
            raise BundleMismatch(
                f"{path} has sha256 {digest[:12]}…, {MANIFEST} says {record.sha256[:12]}…. "
                "Copy the bundle again."
            )


def record_files(folder: Path, names: Iterable[str]) -> dict[str, FileRecord]:
    """Return the records of `folder`'s files `names`: relative paths with forward slashes."""
    return {
        name: FileRecord(sha256=_sha256(folder / name), bytes=(folder / name).stat().st_size)
        for name in names
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
