"""`hubel job` with an import: an ONNX file and its labels become a bundle, and result.json."""

import json

from app import bundle as bundles
from app.jobs.import_options import ImportRequest
from app.jobs.plan import Plan, Result


def test_an_onnx_file_is_imported(tmp_path, hubel, graph, monkeypatch):
    for name in ("end_with_service", "lower_priority", "limit_memory"):
        monkeypatch.setattr(f"app.jobs.own_limits.{name}", lambda *_: None)
    work = tmp_path / "job" / "work"
    work.mkdir(parents=True)
    (work / "upload.onnx").write_bytes(graph().SerializeToString())
    request = ImportRequest(upload="0" * 32, model="shades", labels=["r", "g", "b"])
    plan = Plan(import_=request, data_dir=tmp_path, version=7)
    (work / "plan.json").write_text(plan.model_dump_json())
    done = hubel("job", work.parent)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0]) == {"type": "step", "step": "importing"}
    made = bundles.load(work / "bundle").manifest
    assert (made.name, made.version) == ("shades", 7)
    assert [label.name for label in made.labels] == ["r", "g", "b"]
    result = Result.model_validate_json((work / "result.json").read_bytes())
    assert (result.accuracy, result.photos, result.comparison) == (None, 0, None)
