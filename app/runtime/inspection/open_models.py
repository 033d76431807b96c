"""The models whose graphs were read, each held for as long as its session lives.

    Model -> its ONNX file, unchanged since loading -> structure, centred head, layer sessions

A model that is replaced or unloaded takes all of this with it.
"""

import threading
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

from app.bundle import MODEL_FILES
from app.runtime import host
from app.runtime.inspection.class_activation import CenteredHead, centered
from app.runtime.inspection.layer_sessions import LayerSessions
from app.runtime.inspection.layers import ModelStructure, read_structure
from app.runtime.loaded_model import Model
from app.runtime.session import Session


@dataclass(frozen=True, eq=False)
class OpenModel:
    """The parts of a model's graph that inspection needs."""

    structure: ModelStructure
    head: CenteredHead | None
    """None where the head isn't pooled and linear."""
    sessions: LayerSessions


class OpenModels:
    """A cache of open models, keyed weakly by their sessions."""

    def __init__(self) -> None:
        self._open: WeakKeyDictionary[Session, OpenModel] = WeakKeyDictionary()
        self._opening = threading.Lock()

    def __len__(self) -> int:
        """The number of models that are open."""
        return len(self._open)

    def get(self, model: Model) -> OpenModel:
        """Return the open model; its graph is read the first time.

        Raises:
            ModelNotReady: the file was replaced or removed since the model was loaded.
        """
        with self._opening:
            opened = self._open.get(model.session)
            if opened is None:
                # bound to the bundle alone: a reference to the session would keep it alive
                locate = partial(model.bundle.verified_path, MODEL_FILES[model.session.precision])
                structure = read_structure(locate())
                head = centered(structure.head) if structure.head else None
                opened = OpenModel(structure, head, LayerSessions(locate))
                self._open[model.session] = opened
                host.release_memory()  # the whole graph was read, and little of it is kept
            return opened
