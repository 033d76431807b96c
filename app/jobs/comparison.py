"""The comparison of a new version of a model with the one that serves, as jobs and the API have it.

`training.comparison` makes it; the service stores it and promotes, offers or holds by its verdict.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Verdict = Literal["better", "not_worse", "worse", "not_comparable"]
Measure = Literal["accuracy", "f1_micro"]
PASSES: tuple[Verdict, ...] = ("better", "not_worse")
"""The verdicts by which a version may be promoted."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sources(_Part):
    """The photos of a comparison by how they are new to both versions."""

    test: Annotated[int, Field(description="Photos that neither version learnt from.")] = 0
    cross_fitted: Annotated[
        int,
        Field(
            description="Photos that a version learnt from: its predictions for them are by last "
            "layers that were fitted without them."
        ),
    ] = 0


class VersionFigures(_Part):
    """The figures of one version on the photos of a comparison."""

    version: int
    accuracy: Annotated[
        float | None,
        Field(
            description="Share of the photos with the right label; of a multi-label model the F1 "
            "of all accepted labels. null: nothing could be compared."
        ),
    ] = None
    ece: Annotated[float | None, Field(description="Expected calibration error.")] = None
    brier: Annotated[
        float | None,
        Field(description="Brier score: mean squared error of the probabilities, summed by photo."),
    ] = None


class LabelShares(_Part):
    """One label that both versions have."""

    label: str
    photos: Annotated[int, Field(description="Photos of the label.")]
    serving: Annotated[
        float | None,
        Field(description="Share of them that the serving version gets right. null: no photos."),
    ]
    candidate: float | None
    is_lost: Annotated[
        bool, Field(description="Whether the new version is worse at it than chance explains.")
    ] = False


class PredictedLabel(_Part):
    """A label that a version predicts, and how often or how surely."""

    label: str
    share: float


class NewLabel(_Part):
    """A label that the serving version doesn't have."""

    label: str
    photos: int
    candidate: Annotated[
        float | None, Field(description="Share of its photos that the new version gets right.")
    ]
    serving_predicts: Annotated[
        list[PredictedLabel],
        Field(description="What the serving version calls its photos, the most frequent first."),
    ] = []


class VersionPrediction(_Part):
    """A version's prediction for one photo."""

    label: Annotated[
        str,
        Field(description="Most probable label; of a multi-label model, all that are accepted."),
    ]
    probability: float


class Disagreement(_Part):
    """A photo for which the two versions predict different labels."""

    photo: Annotated[str, Field(description="Path of the photo in its dataset.")]
    label: Annotated[str, Field(description="Its right label.")]
    serving: VersionPrediction
    candidate: VersionPrediction
    picture: Annotated[
        str | None, Field(description="Small copy of the photo, as a data: URI.")
    ] = None


class Comparison(_Part):
    """A new version of a model beside the one that serves, on photos that are new to both."""

    def without_pictures(self) -> "Comparison":
        """Return a copy whose disagreements have no pictures, for lists."""
        plain = [each.model_copy(update={"picture": None}) for each in self.disagreements]
        return self.model_copy(update={"disagreements": plain})

    verdict: Annotated[
        Verdict,
        Field(
            description="`better` and `not_worse` by the rule; `worse`; `not_comparable` where "
            "there are too few photos to tell, or none that are new to both versions."
        ),
    ]
    reason: Annotated[str, Field(description="Why, in a sentence.")]
    rule: Annotated[str, Field(description="The rule, in a sentence.")]
    photos: Annotated[int, Field(description="Number of photos that both were compared on.")] = 0
    sources: Sources = Sources()
    measure: Annotated[Measure, Field(description="What `accuracy` holds.")] = "accuracy"
    serving: VersionFigures
    candidate: VersionFigures
    difference: Annotated[
        float | None, Field(description="`accuracy` of the new version minus the serving one's.")
    ] = None
    interval: Annotated[
        tuple[float, float] | None,
        Field(description="Confidence interval of the difference, at the rule's confidence."),
    ] = None
    margin: Annotated[
        float | None, Field(description="Loss of accuracy that counts as not worse.")
    ] = None
    p_value: Annotated[
        float | None,
        Field(description="Probability of such a difference if both versions were equally good."),
    ] = None
    only_serving_right: int = 0
    only_candidate_right: int = 0
    labels: list[LabelShares] = []
    new_labels: list[NewLabel] = []
    removed_labels: Annotated[
        list[str], Field(description="Labels that the new version doesn't have any more.")
    ] = []
    disagreements: Annotated[
        list[Disagreement], Field(description="The surest ones first, a bounded number.")
    ] = []
