"""An explanation of one label in one photo.

pooled linear head    -> one run -> activation -> class activation map
any other head        -> one run, then one for each covered part -> occlusion map
"""

import numpy as np
from numpy.typing import NDArray

from app.runtime.inspection import class_activation, occlusion
from app.runtime.inspection.class_activation import CentredHead
from app.runtime.inspection.inspected_models import InspectedModel
from app.runtime.inspection.onnx_head import PooledHead
from app.runtime.inspection.prepared_photo import PreparedPhoto
from app.runtime.inspection.results import Explanation
from app.runtime.loaded_model import Model


def by_class_activation(
    model: Model,
    inspected: InspectedModel,
    head: CentredHead,
    prepared_photo: PreparedPhoto,
    label: int | None,
) -> Explanation:
    """Explain `label` by its class activation map; None selects the most probable label."""
    assert inspected.structure.head is not None
    probabilities, activation = _run(model, inspected, inspected.structure.head, prepared_photo)
    index = int(probabilities.argmax()) if label is None else label
    class_map = class_activation.class_map(head, activation, index)
    return Explanation(
        prepared_photo=prepared_photo,
        stages=prepared_photo.stages(),
        label=index,
        probabilities=probabilities,
        method="class_activation_map",
        map=class_map,
        bias=float(head.bias[index]),
        temperature=head.temperature,
    )


def by_occlusion(
    model: Model,
    prepared_photo: PreparedPhoto,
    label: int | None,
    deadline_s: float,
) -> Explanation:
    """Explain `label` by covering parts of the photo; None selects the most probable label.

    Args:
        model: the model.
        prepared_photo: the photo.
        label: the label's index.
        deadline_s: seconds that a request may take, which limits the number of runs.

    Raises:
        CapacityError: the runs took too long, or the client has left.
    """
    probabilities = model.session.run(prepared_photo.pixels[np.newaxis])[0]
    index = int(probabilities.argmax()) if label is None else label
    side = occlusion.cells_per_side(model.service_s, deadline_s)
    occlusion_map = occlusion.occlusion_map(
        model.session, prepared_photo.pixels, index, side, prepared_photo.turn.check
    )
    return Explanation(
        prepared_photo=prepared_photo,
        stages=prepared_photo.stages(),
        label=index,
        probabilities=probabilities,
        method="occlusion",
        map=occlusion_map,
    )


def _run(
    model: Model, inspected: InspectedModel, head: PooledHead, prepared_photo: PreparedPhoto
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return probabilities (K,) and activation (D, h, w), from a single run where possible."""
    batch = prepared_photo.pixels[np.newaxis]
    if head.activation in model.session.outputs:
        outputs = model.session.outputs_of(["probabilities", head.activation], batch)
        probabilities, activation = outputs[0][0], outputs[1][0]
    else:
        probabilities = model.session.run(batch)[0]
        activation = inspected.sessions.run(head.activation, batch)[0]
        model.session.require_finite([head.activation], [activation])
    return probabilities, np.moveaxis(activation, -1, 0) if head.channels_last else activation
