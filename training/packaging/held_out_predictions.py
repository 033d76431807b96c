"""Predict the photos of training by models that did not learn from them.

HeldOutPredictor -> promise.HeldOut, which acceptance thresholds are chosen on
                 -> report.HeldOutPhotos
"""

from app.runtime.session import Session
from training.contracts import TrainingData, TrainingResult
from training.packaging.promise import HeldOut
from training.report import HeldOutPhotos
from training.report.proportions import in_proportion


def predict(training_data: TrainingData, trained: TrainingResult, *sessions: Session) -> HeldOut:
    """Return the predictions of the graphs for the photos that they did not learn from."""
    examples, photos = training_data.examples, trained.held_out
    return HeldOut(
        truth=examples.truth[photos],
        groups=examples.groups[photos],
        probabilities={
            session.precision: trained.predictor.predict(
                session, photos, f"promising {session.precision}"
            )
            for session in sessions
        },
        familiarity=trained.held_out_familiarity,
        on=f"{examples.data_name}, {trained.held_out_photos}",
    )


def photos(
    training_data: TrainingData, trained: TrainingResult, held_out: HeldOut
) -> HeldOutPhotos:
    """Return the same predictions for the report."""
    examples, photos = training_data.examples, trained.held_out
    rows = examples.rows[photos]
    return HeldOutPhotos(
        on=held_out.on,
        names=[examples.photos[index].file.name for index in photos.tolist()],
        truth=held_out.truth,
        probabilities=held_out.probabilities["fp32"],
        familiarity=held_out.familiarity,
        thumbnails=lambda index: in_proportion(
            training_data.pixels[rows[index]], training_data.input, examples.photos[photos[index]]
        ),
    )
