"""The entry point of inspection: embeddings, explanations and activation maps of photos.

    photo -> PreparedPhoto -> the model's session, or the session of one of its layers -> result

Every method runs on the thread that calls it.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from app import vision
from app.errors import NotInModel
from app.runtime.engine import NO_ENGINE, Turn
from app.runtime.inspection import drawing, explanation
from app.runtime.inspection.drawing import Grid
from app.runtime.inspection.filters import Filters
from app.runtime.inspection.inspected_models import InspectedModels
from app.runtime.inspection.kernel import Kernel, convolve
from app.runtime.inspection.layers import Layer, ModelStructure
from app.runtime.inspection.prepared_photo import PreparedPhoto, prepare_crops, prepare_photo
from app.runtime.inspection.results import Embedding, Explanation, Maps
from app.runtime.loaded_model import Model

CANVAS_LAYER = "canvas"
"""The layer name under which the canvas, 480 x 480 x 3, can be requested."""
KERNEL_LAYER = "kernel"
"""The layer name of a user-defined filter in results."""
_CANVAS = Layer(CANVAS_LAYER, "Input", (3, vision.CANVAS, vision.CANVAS), "")


class Inspector:
    """Inspection of loaded models.

    Args:
        limits: the largest photo that is decoded.
        deadline_s: seconds after which a response is too late.
    """

    def __init__(self, limits: vision.Limits, deadline_s: float) -> None:
        self._limits = limits
        self._deadline_s = deadline_s
        self._models = InspectedModels()

    def __len__(self) -> int:
        """The number of models whose structure is cached."""
        return len(self._models)

    def structure(self, model: Model) -> ModelStructure:
        """Return the layers, filters and head of `model`; its graph is read the first time."""
        return self._models.get(model).structure

    def filters(self, model: Model) -> Filters:
        """Return the first layer's filters.

        Raises:
            NotInModel: the first layer has no filters that can be shown.
        """
        filters = self.structure(model).filters
        if filters is None:
            raise NotInModel(
                f"Model {model.name!r} begins with no convolution over red, green and blue, so it "
                "has no filters to show. Name another model."
            )
        return filters

    def prepare(
        self,
        photo: bytes,
        model: Model,
        crops: Sequence[vision.Crop],
        turn: Turn = NO_ENGINE,
    ) -> Iterator[PreparedPhoto]:
        """Decode a photo once and yield the crops of it, or the whole where there are none.

        Raises:
            InputError: the photo can't be used, or a crop reaches beyond it.
        """
        if not crops:
            yield prepare_photo(photo, model, self._limits, turn)
        else:
            yield from prepare_crops(photo, model, crops, self._limits, turn)

    def embed(
        self, photo: bytes | PreparedPhoto, model: Model, normalize: bool, turn: Turn = NO_ENGINE
    ) -> Embedding:
        """Return the embedding of one photo; of length 1 if `normalize`.

        Raises:
            InputError: the photo can't be used; the subclass names the reason.
            NotInModel: the model has no embedding.
        """
        require_embedding(model)
        prepared_photo = prepare_photo(photo, model, self._limits, turn)
        batch = prepared_photo.pixels[np.newaxis]
        (embeddings,) = model.session.outputs_of(["embedding"], batch)
        vector = embeddings[0]
        if normalize:
            length = float(np.linalg.norm(vector.astype(np.float64)))
            vector = vector / np.float32(length) if length else vector
        return Embedding(prepared_photo, prepared_photo.stages(), vector)

    def explain(
        self, photo: bytes | PreparedPhoto, model: Model, label: int | None, turn: Turn = NO_ENGINE
    ) -> Explanation:
        """Return a map of how much each part of one photo contributes to a label.

        Args:
            photo: the file, or the photo as `prepare` returns it.
            model: the model.
            label: the label's index; None for the most probable.
            turn: the photo's turn on a thread of the engine.

        Raises:
            InputError: the photo can't be used; the subclass names the reason.
            DeadlinePassed: the model is too slow for occlusion.
        """
        prepared_photo = prepare_photo(photo, model, self._limits, turn)
        inspected = self._models.get(model)
        if inspected.head is None:
            return explanation.by_occlusion(model, prepared_photo, label, self._deadline_s)
        return explanation.by_class_activation(
            model, inspected, inspected.head, prepared_photo, label
        )

    def layer(self, model: Model, name: str | None) -> Layer:
        """Return the layer called `name`, by default the first convolution after its nonlinearity.

        Raises:
            NotInModel: there is no such layer.
        """
        structure = self.structure(model)
        if name is None:
            if structure.default_layer is None:
                raise NotInModel(
                    f"Model {model.name!r} has no convolution. Name a layer that "
                    f"GET /api/v1/models/{model.name} lists."
                )
            return structure.default_layer
        for layer in (*structure.layers, _CANVAS):
            if layer.name == name:
                return layer
        raise NotInModel(
            f"Model {model.name!r} has no layer {name!r}. "
            f"GET /api/v1/models/{model.name} lists those that it has."
        )

    def activations(
        self,
        photo: bytes | PreparedPhoto,
        model: Model,
        name: str | None,
        top: int | None,
        turn: Turn = NO_ENGINE,
    ) -> Maps:
        """Return the activation maps of one layer for one photo.

        Args:
            photo: the file, or the photo as `prepare` returns it.
            model: the model.
            name: the name of the layer, or `canvas`; None for the first convolution after its
                nonlinearity.
            top: the number of channels, those with the largest mean first; None for all, in order.
            turn: the photo's turn on a thread of the engine.

        Raises:
            InputError: the photo can't be used; the subclass names the reason.
            NotInModel: there is no such layer.
            ModelOutputInvalid: the layer holds NaN or infinity.
        """
        layer = self.layer(model, name)
        prepared_photo = prepare_photo(photo, model, self._limits, turn)
        if layer is _CANVAS:
            return _canvas_maps(prepared_photo)
        batch = prepared_photo.pixels[np.newaxis]
        values = self._models.get(model).sessions.run(layer.tensor, batch)[0]
        model.session.require_finite([layer.name], [values])
        scale = drawing.scale_of(values)
        channels: Sequence[int] = range(len(values))
        if top is not None:
            means = values.reshape(len(values), -1).mean(axis=1)
            channels = np.argsort(-means, kind="stable")[:top].tolist()
            values = values[channels]
        stages = prepared_photo.stages()
        png, grid = drawing.map_grid(values, scale)
        return Maps(prepared_photo, stages, layer, tuple(channels), values, scale, png, grid)

    def apply_kernel(
        self, photo: bytes | PreparedPhoto, model: Model, kernel: Kernel, turn: Turn = NO_ENGINE
    ) -> Maps:
        """Return the map of a user-defined filter over one photo's canvas.

        Raises:
            InputError: the photo can't be used; the subclass names the reason.
        """
        prepared_photo = prepare_photo(photo, model, self._limits, turn)
        values = convolve(prepared_photo.canvas, kernel)
        stages, scale = prepared_photo.stages(), drawing.scale_of(values)
        layer = Layer(KERNEL_LAYER, "Conv", (1, *values.shape), "")
        png, grid = drawing.map_picture(values, scale)
        return Maps(prepared_photo, stages, layer, (0,), values[np.newaxis], scale, png, grid)


def _canvas_maps(prepared_photo: PreparedPhoto) -> Maps:
    canvas = prepared_photo.canvas
    png, grid = drawing.png(canvas), Grid(1, 1, vision.CANVAS, vision.CANVAS, 0)
    values = np.moveaxis(canvas, -1, 0).astype(np.float32)
    stages = prepared_photo.stages()
    return Maps(prepared_photo, stages, _CANVAS, (0, 1, 2), values, (0.0, 255.0), png, grid)


def require_embedding(model: Model) -> None:
    """Reject a model whose graph has no output `embedding`.

    Raises:
        NotInModel: there is none.
    """
    if "embedding" not in model.session.outputs:
        raise NotInModel(
            f"Model {model.name!r} has no embedding: its graph has no output 'embedding'. "
            "Use a model trained with `hubel train`."
        )


def label_index(model: Model, label: str | None) -> int | None:
    """Return the index of a label, given its name, id or index; None stays None.

    Raises:
        NotInModel: the model has no such label.
    """
    if label is None:
        return None
    labels = model.manifest.labels
    for index, candidate in enumerate(labels):
        if label in (candidate.name, candidate.id):
            return index
    if label in map(str, range(len(labels))):
        return int(label)
    folded = [candidate.name.casefold() for candidate in labels]
    if label.casefold() in folded:
        return folded.index(label.casefold())
    raise NotInModel(
        f"Model {model.name!r} has no label {label!r}. "
        f"GET /api/v1/models/{model.name} lists those that it has."
    )
