"""The content of bundle.json, and what must hold between its parts."""

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, StringConstraints, model_validator

from app.bundle.decision_rules import DecisionRule, UnknownRule
from app.bundle.figures import (
    AnyMetrics,
    Baseline,
    Calibration,
    EmbeddingBaseline,
    Metrics,
    MultiLabelMetrics,
)
from app.bundle.input_spec import InputSpec
from app.bundle.part import MODEL_FILES, Part, Precision, Share, Task

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_MIN_CLASSES = 2


class Label(Part):
    """One class; its position in `Manifest.labels` is its index in the graph's output."""

    name: Annotated[str, StringConstraints(min_length=1)]
    """The name that is displayed, unique in a bundle."""
    id: str | None = None
    """A stable identifier, if the data has one, such as ImageNet's synset."""


class FileRecord(Part):
    """The expected size and sha256 of a file."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class GoldenPhoto(Part):
    """A photo with expected probabilities: photo i belongs to row i of `Golden.expected`."""

    file: str
    label: str
    """The expected top-1 label; of a multi-label model, its most probable label."""
    source: str
    """Its origin and licence."""
    tolerance: Mapping[Precision, Annotated[float, Field(gt=0, lt=1)]]
    """Largest allowed absolute difference of any probability, by precision."""


class Golden(Part):
    """The golden photos and their expected probabilities, which every load of the model checks."""

    photos: Annotated[tuple[GoldenPhoto, ...], Field(min_length=1)]
    expected: Mapping[Precision, str]
    """A .npy file of float32 [photos, labels], by precision."""


class Training(Part):
    """The provenance of the model, enough to train it again."""

    recipe: str
    arguments: Mapping[str, Any]
    seed: int
    data: str
    """Fingerprint of the photos: a sha256 over their sorted relative names and contents."""
    versions: Mapping[str, str]
    git_commit: str | None = None
    seconds: Annotated[float, Field(ge=0)]


class Manifest(Part):
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
        counts = None if self.baseline is None else self.baseline.labels
        if counts is not None and len(counts) != len(self.labels):
            raise ValueError("the labels of the baseline must hold a number for each label")
        return self

    def embedding_baseline(self, precision: Precision) -> EmbeddingBaseline | None:
        """Return the baseline of the embeddings that a graph makes, if there is one."""
        if self.baseline is None or self.baseline.embeddings is None:
            return None
        return self.baseline.embeddings.get(precision)

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
