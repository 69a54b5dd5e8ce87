"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from space_app.cpus import available_cpus

_TELLING = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
"""Parts of an instruction set that decide how fast a model runs."""
_LIBRARIES = ("torch", "sentence-transformers", "openvino", "fastapi", "uvicorn")


@dataclass(frozen=True)
class Machine:
    """One machine at one moment; `load` is the average of the last minute."""

    cpu: str
    cores: int
    isa: tuple[str, ...]
    memory_gib: float
    system: str
    python: str
    libraries: tuple[str, ...]
    load: float

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"CPU: {self.cpu}, {self.cores} cores, {' '.join(self.isa) or 'no vector extensions'}",
            f"Memory: {self.memory_gib:.0f} GiB. System: {self.system}. Python {self.python}.",
            f"Libraries: {', '.join(self.libraries)}",
            f"Load average before the run: {self.load:.2f}",
        ]


def this_machine() -> Machine:
    """Facts of now."""
    about = _cpuinfo()
    flags = set(about.get("flags", "").split())
    return Machine(
        cpu=about.get("model name") or platform.processor() or "unknown",
        cores=available_cpus(),
        isa=tuple(flag for flag in _TELLING if flag in flags),
        memory_gib=psutil.virtual_memory().total / 2**30,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        libraries=tuple(f"{name} {found}" for name in _LIBRARIES if (found := _version(name))),
        load=os.getloadavg()[0],
    )


@dataclass(frozen=True)
class Stolen:
    """CPU time that the host gave to other machines, from counters that only grow."""

    total: float
    stolen: float

    @classmethod
    def now(cls) -> Stolen:
        """The counters."""
        times = psutil.cpu_times()
        return cls(total=sum(times), stolen=getattr(times, "steal", 0.0))

    def part_since(self, earlier: Stolen) -> float:
        """What part of the time between the two was stolen."""
        return (self.stolen - earlier.stolen) / max(self.total - earlier.total, 1e-9)


def _cpuinfo() -> dict[str, str]:
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    lines = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
