"""The one module that opens ONNX Runtime sessions and sets their options.

file -> optimised once for this processor -> weights in a file of their own, which is mapped
     -> single-threaded session: one thread per run, several runs at once
     -> multi-threaded session: one thread per core; it shares the mapped weights and the arena

Two sessions of the original file hold two copies of everything: 43 MB more for EfficientNet-Lite0
in fp32. The pair above needs 5 MB more than one session (docs/experiments.md, 2026-11-24).

The two probes are here too, because each opens a tiny session: `why_cuda_is_unavailable` and
`saturates_int8`.
"""

import io
import logging
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import onnxruntime

from app.errors import first_line_of

log = logging.getLogger(__name__)

OrtSession: TypeAlias = onnxruntime.InferenceSession
"""The type of an open session, for annotations."""

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
_EXACT_INT8 = "session.x64quantprecision"
"""On x86 without VNNI, products of uint8 and int8 saturate. With this option, weights of more than
seven bits become uint8 there, which is exact and slow."""
_CUDA_OPTIONS = {"use_tf32": "0"}
"""Keep float32 arithmetic exact. The provider's default, TF32, keeps 10 bits of each mantissa, and
golden photos could then miss their tolerance."""
_ERRORS_ONLY = 3
_FATAL_ONLY = 4
_MIN_EXTERNAL_BYTES = "1024"
"""Smaller weights stay inside the graph file."""

# y = Relu(x) for one float: the smallest graph that shows whether a provider loads.
_RELU_MODEL = (
    b'\x08\x07:7\n\x0c\n\x01x\x12\x01y"\x04Relu\x12\x05probe'
    b"Z\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01"
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)

# y = a w, uint8 [1, 4] times four int8 weights of 127 (MatMulInteger).
_INT8_PRODUCT_MODEL = (
    b'\x08\x07:[\n\x18\n\x01a\n\x01w\x12\x01y"\rMatMulInteger\x12\x04int8*\x0f\x08\x04\x08\x01'
    b"\x10\x03B\x01wJ\x04\x7f\x7f\x7f\x7fZ\x13\n\x01a\x12\x0e\n\x0c\x08\x02\x12\x08\n\x02\x08"
    b"\x01\n\x02\x08\x04b\x13\n\x01y\x12\x0e\n\x0c\x08\x06\x12\x08\n\x02\x08\x01\n\x02\x08\x01"
    b"B\x04\n\x00\x10\r"
)


def open_session(graph: Path | bytes, *, threads: int | None = None) -> OrtSession:
    """Open a session on the CPU for inspection and training.

    The two functions below open the sessions of loaded models.

    Args:
        graph: an ONNX file, or its bytes.
        threads: threads per run; None for one per core.
    """
    options = _quiet_options(_ERRORS_ONLY)
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=[CPU])


def open_trial(path: Path) -> OrtSession:
    """Open a session with the options of a served model that may fail: it logs nothing."""
    options = _model_options(threads=1)
    options.log_severity_level = _FATAL_ONLY
    return onnxruntime.InferenceSession(path, options, providers=[CPU])


def single_threaded(path: Path, provider: str) -> OrtSession:
    """Open a session on `provider` that uses one thread per run; several runs may be concurrent."""
    if provider == CPU:
        return _open_plain(path, threads=1)
    providers = [(provider, _CUDA_OPTIONS)]
    return onnxruntime.InferenceSession(path, _model_options(threads=1), providers=providers)


def single_and_multi_threaded(path: Path, cores: int) -> tuple[OrtSession, OrtSession]:
    """Open two sessions of one graph on the CPU: one thread per run, and `cores` threads per run.

    The optimised graph stays in a temporary folder until both sessions have mapped its weights. If
    there is no room for that folder, each session holds its own copy of the weights.
    """
    _share_arena()
    try:
        with TemporaryDirectory(prefix="hubel-") as folder:
            optimised = _optimise(path, Path(folder))
            return _open_optimised(optimised, 1), _open_optimised(optimised, cores)
    except Exception as err:  # ONNX Runtime raises its own types for a full disk
        # If the file itself is the reason, this raises too.
        sessions = (_open_plain(path, 1), _open_plain(path, cores))
        log.warning(
            "%s takes twice the memory, because its two sessions can't share weights (%s). "
            "If the temporary folder is full, free some space and reload.",
            path.name,
            err,
        )
        return sessions


def _optimise(path: Path, folder: Path) -> Path:
    """Write the graph optimised for this processor, with its weights in a second file."""
    optimised = folder / "optimised.onnx"
    options = _model_options(threads=1)
    options.optimized_model_filepath = str(optimised)
    for key, value in (
        ("disable_prepacking", "1"),  # this session never runs
        ("optimized_model_external_initializers_file_name", "weights"),
        ("optimized_model_external_initializers_min_size_in_bytes", _MIN_EXTERNAL_BYTES),
    ):
        options.add_session_config_entry(f"session.{key}", value)
    onnxruntime.InferenceSession(path, options, providers=[CPU])
    return optimised


def _open_optimised(path: Path, threads: int) -> OrtSession:
    options = _model_options(threads)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads spin between the parts of one run, and stop when it ends.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(path, options, providers=[CPU])


def _open_plain(path: Path, threads: int) -> OrtSession:
    return onnxruntime.InferenceSession(path, _model_options(threads), providers=[CPU])


def _model_options(threads: int) -> onnxruntime.SessionOptions:
    """Return the options that every session of a served model has."""
    options = _quiet_options(_ERRORS_ONLY)
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry(_EXACT_INT8, "1")
    return options


def _quiet_options(severity: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = severity
    return options


@cache
def _share_arena() -> None:
    """Register the arena that sessions with `use_env_allocators` share, once per process."""
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, None)


def why_cuda_is_unavailable() -> str | None:
    """Return why CUDA can't be used and what to do about it, or None if it can.

    ONNX Runtime lists the providers it was built with, and falls back to the CPU silently. So a
    tiny model is loaded and its providers are checked.
    """
    if CUDA not in onnxruntime.get_available_providers():
        return "the installed ONNX Runtime has no CUDA provider; install the `gpu` extra"
    _load_cuda_libraries()
    try:
        session = onnxruntime.InferenceSession(
            _RELU_MODEL, _quiet_options(_FATAL_ONLY), providers=[CUDA]
        )
        providers = session.get_providers()
    except Exception as err:  # ONNX Runtime's exceptions have no common base of their own
        return f"{first_line_of(err)}; check the driver"
    if providers[0] == CUDA:
        return None
    return (
        "ONNX Runtime's CUDA provider does not load on this machine; "
        "check its GPU, driver, CUDA and cuDNN libraries"
    )


def _load_cuda_libraries() -> None:
    """Load CUDA and cuDNN from the packages of the `gpu` extra; the probe detects missing ones."""
    output = io.StringIO()
    with redirect_stdout(output):  # preload_dlls prints the libraries that it can't load
        onnxruntime.preload_dlls(directory="")
    for line in output.getvalue().splitlines():
        log.debug(line)


def saturates_int8() -> bool:
    """Return whether this processor saturates sums of uint8 x int8 products: x86 without VNNI.

    A `Session` computes such sums exactly there too. It is fast only with weights of seven bits,
    which can't saturate.
    """
    session = onnxruntime.InferenceSession(
        _INT8_PRODUCT_MODEL, _quiet_options(_FATAL_ONLY), providers=[CPU]
    )
    (product,) = session.run(None, {"a": np.full((1, 4), 255, np.uint8)})
    return int(product[0, 0]) != 4 * 255 * 127
