"""The door: questions about a photo and a model, answered on the thread that asks.

What was read of a model, and its layers' sessions, is held for as long as its session lives: when
a model is replaced or unloaded, it goes with it.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from app import vision
from app.bundle import MODEL_FILES
from app.errors import NotInModel
from app.runtime import host
from app.runtime.inspection import class_activation, occlusion, pictures
from app.runtime.inspection.filters import Filters
from app.runtime.inspection.kernel import Kernel, convolve
from app.runtime.inspection.layer_sessions import LayerSessions
from app.runtime.inspection.layers import Layer, ModelStructure, read_structure
from app.runtime.inspection.pictures import Grid
from app.runtime.inspection.prepared_photo import PreparedPhoto, prepare_photo
from app.runtime.inspection.results import Embedding, Explanation, Maps
from app.runtime.loaded_model import Model
from app.runtime.session import Session

CANVAS_LAYER = "canvas"
"""What comes before every layer: the photo as 480 x 480 x 3 numbers."""
KERNEL_LAYER = "kernel"
"""A filter of the user's own."""
_CANVAS = Layer(CANVAS_LAYER, "Input", (3, vision.CANVAS, vision.CANVAS), "")


@dataclass(frozen=True, eq=False)
class _Opened:
    structure: ModelStructure
    head: class_activation.CenteredHead | None
    sessions: LayerSessions


class Inspector:
    """Looks inside models.

    Args:
        limits: what a photo may cost.
        deadline_s: seconds after which an answer is of no use.
    """

    def __init__(self, limits: vision.Limits, deadline_s: float) -> None:
        self._limits = limits
        self._deadline_s = deadline_s
        self._opened: WeakKeyDictionary[Session, _Opened] = WeakKeyDictionary()
        self._opening = threading.Lock()

    def __len__(self) -> int:
        """Of how many models something is held."""
        return len(self._opened)

    def structure(self, model: Model) -> ModelStructure:
        """What `model` is made of; its graph is read the first time."""
        return self._open(model).structure

    def filters(self, model: Model) -> Filters:
        """The first layer's filters.

        Raises:
            NotInModel: the first layer has none that could be shown.
        """
        found = self.structure(model).filters
        if found is None:
            raise NotInModel(
                f"Model {model.name!r} begins with no convolution over red, green and blue, so it "
                "has no filters to show. Ask another model."
            )
        return found

    def embed(self, photo: bytes, model: Model, normalize: bool, queue_s: float = 0) -> Embedding:
        """The embedding of one photo; of length 1 if `normalize`.

        Raises:
            InputError: the photo can't be used; the subclass says why.
            NotInModel: the model gives none.
        """
        require_embedding(model)
        prepared = prepare_photo(photo, model, self._limits, queue_s)
        (found,) = model.session.outputs_of(["embedding"], prepared.pixels[np.newaxis])
        vector = found[0]
        if normalize:
            length = float(np.linalg.norm(vector.astype(np.float64)))
            vector = vector / np.float32(length) if length else vector
        return Embedding(prepared, prepared.stages(), vector)

    def explain(
        self, photo: bytes, model: Model, label: int | None, queue_s: float = 0
    ) -> Explanation:
        """Where a label comes from, in one photo.

        Args:
            photo: the file.
            model: whose answer.
            label: the label's index; None for the most probable.
            queue_s: seconds that the photo has waited.

        Raises:
            InputError: the photo can't be used; the subclass says why.
            DeadlinePassed: the model is too slow for occlusion.
        """
        until = time.monotonic() + self._deadline_s - queue_s
        prepared = prepare_photo(photo, model, self._limits, queue_s)
        opened = self._open(model)
        if opened.head is None:
            return self._occluded(model, prepared, label, until)
        probabilities, activation = self._pooled(model, opened, prepared)
        chosen = int(probabilities.argmax()) if label is None else label
        found = class_activation.class_map(opened.head, activation, chosen)
        return Explanation(
            prepared=prepared,
            stages=prepared.stages(),
            label=chosen,
            probabilities=probabilities,
            method="class_activation_map",
            map=found,
            bias=float(opened.head.bias[chosen]),
            temperature=opened.head.temperature,
        )

    def layer(self, model: Model, name: str | None) -> Layer:
        """The layer called `name`, by default the first.

        Raises:
            NotInModel: there is none.
        """
        structure = self.structure(model)
        if name is None:
            if structure.first is None:
                raise NotInModel(
                    f"Model {model.name!r} has no convolution. Name a layer that "
                    f"GET /api/v1/models/{model.name} lists."
                )
            return structure.first
        for layer in (*structure.layers, _CANVAS):
            if layer.name == name:
                return layer
        raise NotInModel(
            f"Model {model.name!r} has no layer {name!r}. "
            f"GET /api/v1/models/{model.name} lists those that it has."
        )

    def activations(
        self, photo: bytes, model: Model, name: str | None, top: int | None, queue_s: float = 0
    ) -> Maps:
        """What a layer makes of one photo.

        Args:
            photo: the file.
            model: whose layer.
            name: the layer's, or `canvas`; None for the first convolution after its nonlinearity.
            top: only so many channels, those with the largest mean first; None for all, in order.
            queue_s: seconds that the photo has waited.

        Raises:
            InputError: the photo can't be used; the subclass says why.
            NotInModel: there is no such layer.
        """
        layer = self.layer(model, name)
        prepared = prepare_photo(photo, model, self._limits, queue_s)
        if layer is _CANVAS:
            return _canvas(prepared)
        values = self._open(model).sessions.run(layer.tensor, prepared.pixels[np.newaxis])[0]
        scale = pictures.scale_of(values)
        channels: Sequence[int] = range(len(values))
        if top is not None:
            means = values.reshape(len(values), -1).mean(axis=1)
            channels = np.argsort(-means, kind="stable")[:top].tolist()
            values = values[channels]
        stages = prepared.stages()
        png, grid = pictures.map_grid(values, scale)
        return Maps(prepared, stages, layer, tuple(channels), values, scale, png, grid)

    def own(self, photo: bytes, model: Model, filter: Kernel, queue_s: float = 0) -> Maps:
        """What a filter of the user's own makes of one photo's canvas.

        Raises:
            InputError: the photo can't be used; the subclass says why.
        """
        prepared = prepare_photo(photo, model, self._limits, queue_s)
        found = convolve(prepared.canvas, filter)
        stages, scale = prepared.stages(), pictures.scale_of(found)
        layer = Layer(KERNEL_LAYER, "Conv", (1, *found.shape), "")
        png, grid = pictures.map_picture(found, scale)
        return Maps(prepared, stages, layer, (0,), found[np.newaxis], scale, png, grid)

    def _open(self, model: Model) -> _Opened:
        with self._opening:
            opened = self._opened.get(model.session)
            if opened is None:
                # of the bundle alone: a session that is held here would never go
                locate = partial(model.bundle.unchanged, MODEL_FILES[model.session.precision])
                structure = read_structure(locate())
                head = class_activation.centered(structure.head) if structure.head else None
                opened = _Opened(structure, head, LayerSessions(locate))
                self._opened[model.session] = opened
                host.release_memory()  # the whole graph was read, and little of it is kept
            return opened

    def _pooled(
        self, model: Model, opened: _Opened, prepared: PreparedPhoto
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities (K,) and what is pooled before them (D, h, w); of one run if it can be."""
        head = opened.structure.head
        assert head is not None
        batch = prepared.pixels[np.newaxis]
        if head.activation in model.session.outputs:
            both = model.session.outputs_of(["probabilities", head.activation], batch)
            return both[0][0], both[1][0]
        return model.session.run(batch)[0], opened.sessions.run(head.activation, batch)[0]

    def _occluded(
        self, model: Model, prepared: PreparedPhoto, label: int | None, until: float
    ) -> Explanation:
        probabilities = model.session.run(prepared.pixels[np.newaxis])[0]
        chosen = int(probabilities.argmax()) if label is None else label
        side = occlusion.cells(model.service_s, self._deadline_s)
        found = occlusion.occlusion_map(model.session, prepared.pixels, chosen, side, until)
        return Explanation(
            prepared=prepared,
            stages=prepared.stages(),
            label=chosen,
            probabilities=probabilities,
            method="occlusion",
            map=found,
        )


def _canvas(prepared: PreparedPhoto) -> Maps:
    png, grid = pictures.png(prepared.canvas), Grid(1, 1, vision.CANVAS, vision.CANVAS, 0)
    values = np.moveaxis(prepared.canvas, -1, 0).astype(np.float32)
    return Maps(prepared, prepared.stages(), _CANVAS, (0, 1, 2), values, (0.0, 255.0), png, grid)


def require_embedding(model: Model) -> None:
    """Refuse a model whose graph gives no embedding.

    Raises:
        NotInModel: it gives none.
    """
    if "embedding" not in model.session.outputs:
        raise NotInModel(
            f"Model {model.name!r} has no embedding: its graph gives no vector before its last "
            "layer. Ask a model that `hubel train` made."
        )


def label_index(model: Model, label: str | None) -> int | None:
    """The index of a label by its name, its id or its index; None stays None.

    Raises:
        NotInModel: the model has no such label.
    """
    if label is None:
        return None
    labels = model.manifest.labels
    for index, known in enumerate(labels):
        if label in (known.name, known.id):
            return index
    if label in map(str, range(len(labels))):
        return int(label)
    folded = [known.name.casefold() for known in labels]
    if label.casefold() in folded:
        return folded.index(label.casefold())
    raise NotInModel(
        f"Model {model.name!r} has no label {label!r}. "
        f"GET /api/v1/models/{model.name} lists those that it has."
    )
