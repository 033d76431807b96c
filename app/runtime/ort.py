"""ONNX Runtime's sessions: how they are opened, and how two of them share one graph.

file -> optimised for this processor, once -> weights beside it, in a file that is mapped
     -> narrow: one thread a run
     -> wide: a thread a core; on the same mapped weights, in the same arena for what a run needs

Two sessions of the plain file have two copies of everything: 43 MB more for EfficientNet-Lite0 in
fp32, where these have 5 (DECISIONS.md).
"""

import logging
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime as ort

log = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
_EXACT_INT8 = "session.x64quantprecision"
"""Where products of uint8 and int8 saturate, as on x86 without VNNI, weights of over seven bits
become uint8, which is exact and slow."""
_ON_A_GPU = {"use_tf32": "0"}
"""float32 is float32 there, too: TF32, the provider's default, keeps 10 bits of each number, which
golden photos may not forgive."""
_ERRORS_ONLY = 3
_SMALL_WEIGHT_BYTES = "1024"
"""Up to here a weight stays in the graph itself."""


def single_threaded(path: Path, provider: str) -> ort.InferenceSession:
    """A session on `provider` whose runs take one thread each, and stand side by side."""
    if provider == CPU:
        return _plain(path, threads=1)
    chosen = [(provider, _ON_A_GPU)]
    return ort.InferenceSession(path, _options(threads=1), providers=chosen)


def single_and_multi_threaded(
    path: Path, cores: int
) -> tuple[ort.InferenceSession, ort.InferenceSession]:
    """Two sessions of one graph on the CPU: with a thread a run, and with `cores` threads a run.

    The optimised graph lies in a temporary folder until both have mapped its weights; where there
    is no room for one, each has its own copy.
    """
    _share_arena()
    try:
        with TemporaryDirectory(prefix="hubel-") as folder:
            optimised = _optimise(path, Path(folder))
            return _open(optimised, 1), _open(optimised, cores)
    except Exception as err:  # ONNX Runtime has its own for a full disk
        plain = (
            single_threaded(path, CPU),
            _plain(path, cores),
        )  # raises, where the file is the reason
        log.warning("%s is held in memory twice: %s", path.name, err)
        return plain


def _optimise(path: Path, folder: Path) -> Path:
    """Write the graph of `path` as ONNX Runtime would run it here, and its weights beside it."""
    saved = folder / "optimised.onnx"
    options = _options(threads=1)
    options.optimized_model_filepath = str(saved)
    for key, value in (
        ("disable_prepacking", "1"),  # this one never runs
        ("optimized_model_external_initializers_file_name", "weights"),
        ("optimized_model_external_initializers_min_size_in_bytes", _SMALL_WEIGHT_BYTES),
    ):
        options.add_session_config_entry(f"session.{key}", value)
    ort.InferenceSession(path, options, providers=[CPU])
    return saved


def _open(optimised: Path, threads: int) -> ort.InferenceSession:
    options = _options(threads)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # it is done
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads spin for their next part while a run lasts, and no longer.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(optimised, options, providers=[CPU])


def _plain(path: Path, threads: int) -> ort.InferenceSession:
    return ort.InferenceSession(path, _options(threads), providers=[CPU])


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry(_EXACT_INT8, "1")
    return options


@cache
def _share_arena() -> None:
    """Register the arena that sessions with `use_env_allocators` share; once a process."""
    memory = ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    )
    ort.create_and_register_allocator(memory, None)
