"""A weak cache of what inspection read from each loaded model.

    Model -> its ONNX file, unchanged since loading -> structure, centred head, layer sessions

Everything that was read from a model is freed with the model's session.
"""

import threading
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

from app.bundle import MODEL_FILES
from app.runtime import host
from app.runtime.inspection.class_activation import CentredHead, centre_head
from app.runtime.inspection.layer_sessions import LayerSessions
from app.runtime.inspection.layers import ModelStructure, read_structure
from app.runtime.loaded_model import Model
from app.runtime.session import Session


@dataclass(frozen=True, eq=False)
class InspectedModel:
    """The parts of a model's graph that inspection needs."""

    structure: ModelStructure
    head: CentredHead | None
    """None where the head isn't pooled and linear."""
    sessions: LayerSessions


class InspectedModels:
    """A cache of inspected models, keyed weakly by their sessions."""

    def __init__(self) -> None:
        self._models: WeakKeyDictionary[Session, InspectedModel] = WeakKeyDictionary()
        self._reading = threading.Lock()

    def __len__(self) -> int:
        """The number of models in the cache."""
        return len(self._models)

    def get(self, model: Model) -> InspectedModel:
        """Return what inspection needs of `model`; its graph is read the first time.

        Raises:
            ModelNotReady: the file was replaced or removed since the model was loaded.
        """
        with self._reading:
            inspected = self._models.get(model.session)
            if inspected is None:
                # `locate` refers to the bundle only: a reference to the session would keep it alive
                locate = partial(model.bundle.verified_path, MODEL_FILES[model.session.precision])
                structure = read_structure(locate())
                head = centre_head(structure.head) if structure.head else None
                inspected = InspectedModel(structure, head, LayerSessions(locate))
                self._models[model.session] = inspected
                host.release_memory()  # the whole graph was read, and little of it is kept
            return inspected
