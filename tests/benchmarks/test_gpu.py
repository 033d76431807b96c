"""benchmarks/gpu.py, with the CPU provider in the place of a GPU."""

import pytest

from app.runtime import ort
from benchmarks import gpu, processor


def test_every_table_is_printed(imagenet, capsys):
    arguments = [
        "--bundle",
        str(imagenet),
        "--device",
        "cpu",
        "--seconds",
        "0",
        "--sizes",
        "1",
        "3",
    ]
    assert gpu.main(arguments) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "| " in line]
    points = {(row[0].strip("| "), row[1], row[2]) for row in rows if len(row) == 7}
    expected = {(p, n, b) for p in ("fp32", "fp16") for n in ("1", "3") for b in ("no", "yes")}
    assert points >= expected
    differences = {row[0].strip("| "): float(row[6].strip("| ")) for row in rows[-8:]}
    assert differences["fp32"] < 1e-5
    assert 0 < differences["fp16"] < 0.05


def test_a_bound_run_gives_the_same_probabilities(imagenet):
    pixels = gpu.golden_pixels(gpu.bundles.load(imagenet))
    session = ort.single_threaded(imagenet / "model.onnx", ort.CPU)
    run = gpu.bound(session, pixels, "cpu")
    for _ in range(2):
        assert run() == pytest.approx(gpu.plain(session, pixels)(), abs=1e-6)


def test_without_cuda_the_reason_is_told(imagenet, capsys, monkeypatch):
    monkeypatch.setattr(ort, "why_cuda_is_unavailable", lambda: "there is no driver")
    assert gpu.main(["--bundle", str(imagenet)]) == 1
    assert "CUDA can't be used: there is no driver." in capsys.readouterr().err


def test_the_processor_is_described_by_its_flags(tmp_path):
    (tmp_path / "cpuinfo").write_text(
        "cpu family\t: 26\nmodel name\t: Some CPU\nflags\t\t: fpu avx2 avx512f avx512_vnni\n\n"
        "cpu family\t: 0\nmodel name\t: the second core\n"
    )
    text = processor.describe(tmp_path / "cpuinfo")
    assert text.startswith("Some CPU, family 26; ")
    assert text.endswith(": avx2 avx512f avx512_vnni")
    assert processor.describe(tmp_path / "none") == "unknown processor"
