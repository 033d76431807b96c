"""Name the processor that figures belong to, and its instructions that decide speed."""

from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def describe(cpuinfo: Path = _CPUINFO) -> str:
    """Return the processor's name, family and relevant flags, for a line beside a table."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return "unknown processor"
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    present = fields.get("flags", "").split()
    relevant = " ".join(flag for flag in _FLAGS if flag in present) or "none"
    name, family = (fields.get(key, "unknown") for key in ("model name", "cpu family"))
    return f"{name}, family {family}; of {', '.join(_FLAGS)}: {relevant}"
