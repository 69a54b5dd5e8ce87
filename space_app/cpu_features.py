"""What this machine's CPU computes with, which int8 vectors depend on a little."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")

_FEATURES = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
)
"""Flags of /proc/cpuinfo that an engine chooses its code by."""

_INT8 = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512f", "avx2", "i8mm", "asimddp", "asimd")
"""What int8 products are computed by, the first that is there."""

_BF16 = ("amx_bf16", "avx512_bf16")

_LIMITS = {
    "AVX2": {"avx2"},
    "AVX2_VNNI": {"avx2", "avx_vnni"},
    "AVX2_VNNI_2": {"avx2", "avx_vnni"},
    "AVX512_CORE": {"avx2", "avx512f"},
    "AVX512_CORE_VNNI": {"avx2", "avx512f", "avx512_vnni"},
    "AVX512_CORE_BF16": {"avx2", "avx512f", "avx512_vnni", "avx512_bf16"},
    "AVX512_CORE_FP16": {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"},
    "AVX10_1_512": {"avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"},
}
"""What ONEDNN_MAX_CPU_ISA, by which oneDNN is told to be another CPU, leaves of it."""


@dataclass(frozen=True)
class Cpu:
    """A CPU: its name, what it has of what matters, and by what it computes int8 and bf16.

    "plain" is by nothing made for it. Two machines that have the same `int8` and `bf16` make the
    same int8 vectors; others differ in the third digit.
    """

    name: str
    features: tuple[str, ...]
    int8: str
    bf16: str


def describe_cpu(cpuinfo: Path = _CPUINFO, *, limit: str | None = None) -> Cpu:
    """Describe the CPU of this machine, as oneDNN is allowed to use it."""
    fields = _fields(cpuinfo)
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    limit = limit or os.environ.get("ONEDNN_MAX_CPU_ISA") or "DEFAULT"
    flags &= _LIMITS.get(limit.upper(), flags)
    return Cpu(
        name=fields.get("model name", "unknown"),
        features=tuple(feature for feature in _FEATURES if feature in flags),
        int8=next((feature for feature in _INT8 if feature in flags), "plain"),
        bf16=next((feature for feature in _BF16 if feature in flags), "plain"),
    )


def _fields(cpuinfo: Path) -> dict[str, str]:
    """Of the first CPU; nothing on a system that has no such file."""
    try:
        first = cpuinfo.read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    lines = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}
