"""The networks that the recipe `head` puts a new last layer on.

lite0     the default bundle, committed with its int8 graph
lite2     made from its published weights in each run, in a second; has no int8 graph
BUNDLE    a folder with any bundle that has an embedding, such as an imported one
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from app import bundle as bundles
from app.bundle import MODEL_FILES, Bundle, InputSpec, Precision
from app.bundle.photo_record import photo_record
from training.errors import DataUnusable
from training.networks import pretrained_weights
from training.networks.efficientnet_lite_layers import BACKBONES
from training.onnx_graph import efficientnet_lite
from training.onnx_graph.head import require_embedding

BUILT_IN = ("lite0", "lite2")
DEFAULT_BUNDLE = Path(__file__).parents[2] / "model" / "imagenet"
"""The bundle of lite0."""


@dataclass(frozen=True)
class Backbone:
    """A network up to its embedding, with the input that it expects."""

    name: str
    """The name for bundle.json."""
    input: InputSpec
    description: str
    """The sentence of the model card about its origin and licence."""
    graphs: Callable[[Path], Mapping[Precision, Path]]
    """A folder for files that are made -> the graph of each precision that the backbone has."""
    learnt_from: frozenset[str] = frozenset()
    """The first digits of the sha256 of the photos that the network learnt from, where they are
    recorded."""


def find_backbone(name: str) -> Backbone:
    """Return the backbone `lite0`, `lite2`, or that of the bundle in the folder `name`.

    Raises:
        DataUnusable: there is no such bundle, it has no embedding, or weights aren't installed.
        BundleInvalid, BundleMismatch: the bundle is damaged.
    """
    if name == "lite0":
        return of_bundle(bundles.load(DEFAULT_BUNDLE))
    if name in BUILT_IN:
        return _of_published_weights(name)
    folder = Path(name)
    if not folder.is_dir():
        raise DataUnusable(
            f"--backbone {name} is neither {', '.join(BUILT_IN)} nor a folder with a bundle. Name "
            "one of them."
        )
    bundle = bundles.load(folder)
    bundles.verify_files(bundle)
    graph = onnx.load(bundle.model_path("fp32"))
    require_embedding(graph, folder)
    return replace(of_bundle(bundle), learnt_from=_learnt_from(bundle))


def of_bundle(bundle: Bundle) -> Backbone:
    """Return the backbone of a bundle, which isn't verified here."""
    manifest = bundle.manifest
    graphs = {precision: bundle.model_path(precision) for precision in manifest.precisions}
    name = f"{manifest.name} {manifest.version}"
    return Backbone(
        name,
        manifest.input,
        f"The network is that of the bundle {name}, unchanged up to its embedding; see its card "
        "for the licence of its weights.",
        lambda _: graphs,
    )


def _learnt_from(bundle: Bundle) -> frozenset[str]:
    """Return the recorded photos that the network of a bundle learnt from, not only its head."""
    record = photo_record(bundle) or {}
    parts = (
        {"backbone"} if bundle.manifest.training.recipe == "head" else {"backbone", "train", "val"}
    )
    return frozenset(digits for digits, part in record.items() if part in parts)


def _of_published_weights(name: str) -> Backbone:
    pretrained_weights.require_installed(name)
    spec = InputSpec(size=BACKBONES[name].size, crop=1.0, resample="box")

    def make(folder: Path) -> Mapping[Precision, Path]:
        file = folder / f"{name}.{MODEL_FILES['fp32']}"
        weights = pretrained_weights.published_weights(name)
        onnx.save(efficientnet_lite.export(weights, spec.height), file)
        return {"fp32": file}

    return Backbone(
        name,
        spec,
        f"The network is EfficientNet-{name.capitalize()} with its published ImageNet weights "
        f"(Apache-2.0, from the package {pretrained_weights.package_of(name)}), unchanged up to "
        "its embedding.",
        make,
    )
