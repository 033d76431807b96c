"""Record in bundle.json what an imported model was made of."""

import hashlib
from dataclasses import asdict
from typing import Any

from training.data.photos import fingerprint
from training.importing.classifier_file import ClassifierFile
from training.importing.exported import ImportedGraphs
from training.importing.import_run import Arguments, ImportRun
from training.packaging.build import TrainingOrigin


def origin(run: ImportRun, exported: ImportedGraphs, began: float) -> TrainingOrigin:
    """Return the file, the arguments and the photos of an import."""
    measured, parity = exported.measured, exported.script_parity
    reference = {} if parity is None else {"reference": asdict(parity)}
    return TrainingOrigin(
        recipe="import",
        arguments={**_metadata(run.arguments, run.classifier), **reference},
        seed=run.arguments.seed,
        data="no photos" if measured is None else fingerprint(measured.examples.photos),
        libraries=("onnx",),
        began=began,
    )


def _metadata(arguments: Arguments, classifier: ClassifierFile) -> dict[str, Any]:
    """Return the arguments for bundle.json; a file is recorded by its last name only."""
    normalization = classifier.preparation.normalization
    photos_of = {"calibrate": arguments.calibrate, "int8": arguments.int8}
    return {
        "model": arguments.model.name,
        "sha256": hashlib.sha256(arguments.model.read_bytes()).hexdigest(),
        "labels": arguments.labels.name,
        "layout": classifier.source.image.layout,
        "size": list(classifier.source.image.size),
        "fit": classifier.spec.fit,
        "output": classifier.source.output.tensor,
        "output_kind": classifier.form.kind,
        **({"task": "multi_label"} if classifier.form.task == "multi_label" else {}),
        **({} if (preset := arguments.preprocessing.preset) is None else {"preset": preset}),
        "mean": list(normalization.mean),
        "std": list(normalization.std),
        "pixel_range": normalization.pixel_range,
        "channels": normalization.channels,
        **{name: path.resolve().name for name, path in photos_of.items() if path is not None},
    }
