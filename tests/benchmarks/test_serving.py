"""The parts of `make bench`: its client, its bundle, its claims."""

import asyncio

import numpy as np
import pytest

from app import bundle as bundles
from app.runtime.loaded_model import load_model
from benchmarks.serving import bodies, load, report, servers
from benchmarks.serving.limit import Limit
from benchmarks.serving.report import BASELINES, Figures


@pytest.fixture
def photos(tmp_path, photo):
    (tmp_path / "photos").mkdir()
    for name in ("red", "green", "blue"):
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(photo(name))
    return tmp_path / "photos"


@pytest.mark.parametrize("form", [False, True], ids=["raw", "multipart"])
def test_the_client_posts_photos_and_counts_responses(client, photos, form):
    url = f"{client.base_url}/api/v1/classify?top_k=1"
    measured = asyncio.run(load.run(url, photos, 3, 0.3, form))
    assert set(measured.statuses) == {200}
    assert len(measured.latencies_ms) == measured.statuses[200] > 3
    assert 0 < min(measured.latencies_ms) <= max(measured.latencies_ms) <= 300


def test_the_client_counts_refusals(client, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "no.jpg").write_bytes(b"no photo")
    measured = asyncio.run(
        load.run(f"{client.base_url}/api/v1/classify", tmp_path / "photos", 2, 0.2, False)
    )
    assert set(measured.statuses) == {400}


def test_bodies_have_the_sizes_of_their_kind(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(bodies, "KINDS", {"small": ((60, 40), 2)})
    (tmp_path / "made").mkdir()
    bodies.make(photos, tmp_path / "made")
    made = sorted((tmp_path / "made" / "small").iterdir())
    assert [file.name for file in made] == ["00.jpg", "01.jpg"]


def test_bodies_need_photos(tmp_path):
    with pytest.raises(SystemExit, match="no JPEGs"):
        bodies.make(tmp_path, tmp_path)


def test_the_bundle_for_fp32_has_no_int8_and_serves(tmp_path):
    servers.fp32_bundle(tmp_path / "fp32")
    loaded = bundles.load(tmp_path / "fp32")
    assert loaded.manifest.precisions == ("fp32",)
    assert load_model(tmp_path / "fp32", "cpu").session.precision == "fp32"


def test_the_limit_is_measured_on_all_cores(make_bundle, photos):
    per_s, cpu_ms = Limit(make_bundle().folder).measure(photos, 0.2)
    assert per_s > 0
    assert cpu_ms > 0


def rounds(hubel, baselines):
    def figures(per_s):
        return [Figures(per_s, 10.0, 1e3 / per_s, 2e3 / per_s, 100.0, 0.0, 0.01)] * 3

    ours = [("480", 1), ("480", 8), ("480", 32), ("480", 128), ("web", 8), ("web", 32), ("12mp", 8)]
    found = {("hubel", *point): figures(hubel) for point in ours}
    found |= {("limit", "480", 0): figures(hubel), ("bulk", "480", 0): figures(hubel)}
    for number, name in enumerate(BASELINES):
        per_s = baselines - number
        found |= {(name, *point): figures(per_s) for point in ours}
        found |= {(f"{name} 1", "480", 1): figures(per_s)}
        found |= {(f"{name} draft", "12mp", 8): figures(per_s)}
    return found


def claim(lines, text):
    (line,) = [line for line in lines if text in line]
    return line


def test_claims_compare_with_the_best_baseline(capsys):
    report.show(rounds(hubel=90, baselines=60))
    lines = capsys.readouterr().out.splitlines()
    assert "| ≥ 1.0 | 1.50 (1.50 to 1.50) | yes |" in claim(
        lines, "480, 32 clients, fp32: req/s / b"
    )
    assert "| ≤ 0.95 | 0.67 (0.67 to 0.67) | yes |" in claim(lines, "480, 1 client, fp32")
    assert "| ≥ 3.5 | 1.50 (1.50 to 1.50) | no |" in claim(
        lines, "12mp, 8 clients, fp32: req/s / best |"
    )
    assert "| ≥ 0.92 | 1.00 (1.00 to 1.00) | yes |" in claim(lines, "limit left by clients")
    assert "| ≤ 0.02 | 0.01 (0.01 to 0.01) | yes |" in claim(lines, "idle share")
    assert not [line for line in lines if "int8" in line]  # it does not serve here


def test_the_limit_is_reduced_by_what_the_clients_take(capsys, monkeypatch):
    monkeypatch.setattr(report, "_CORES", 2)
    measured = rounds(hubel=90, baselines=60)
    measured["hubel", "480", 32] = [Figures(90, client_cores=0.2, idle=0.01)] * 3
    report.show(measured)
    line = claim(capsys.readouterr().out.splitlines(), "limit left by clients")
    assert "| 1.11 (1.11 to 1.11) | yes |" in line


def test_the_imported_model_predicts_as_the_default_one(tmp_path):
    servers.write_float_model(tmp_path / "float.onnx")
    servers.import_model(tmp_path / "float.onnx", tmp_path / "models" / "lite0")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 240, 240, 3), np.uint8)
    sessions = [
        load_model(folder, "cpu", "fp32").session
        for folder in (tmp_path / "models" / "lite0", servers.IMAGENET)
    ]
    imported, default = (np.log(session.run(pixels)) for session in sessions)
    order = default.argsort(axis=1)[:, -5:]
    assert (imported.argsort(axis=1)[:, -5:] == order).all()
