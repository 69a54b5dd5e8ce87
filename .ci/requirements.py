"""The packages of the Space's image, as the templates pin them, and their hashes.

    .venv/bin/python .ci/requirements.py     writes the hashes anew; for after a version was changed

Hashes are those of the wheels that pip chooses for the base image: Python 3.11 on Linux with glibc,
on x86-64 and on ARM. PyTorch has none: its CPU build is on an index of its own, and that file can
be another than PyPI's.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

PROJECT = Path(__file__).resolve().parents[1]
HASHED = tuple(
    PROJECT / "templates" / name for name in ("requirements.txt.j2", "requirements-export.txt.j2")
)
TORCH = PROJECT / "templates" / "requirements-torch.txt.j2"
_MACHINES = ("x86_64", "aarch64")
_GLIBC = range(5, 42)
"""Minor versions of glibc 2 that a wheel may ask for; Debian 13 has 2.41."""

_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s\\]+)((?:\s*\\\n\s+--hash=sha256:[0-9a-f]{64})*)")


@dataclass(frozen=True)
class Pin:
    """A package at its one version; `hashes` are SHA-256 of the wheels that may be installed."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()

    def line(self) -> str:
        """As a requirements file has it."""
        hashes = (f" \\\n    --hash=sha256:{digest}" for digest in self.hashes)
        return f"{self.name}=={self.version}{''.join(hashes)}"


def pins(path: Path) -> tuple[Pin, ...]:
    """What a requirements file pins."""
    return tuple(
        Pin(name, version, tuple(re.findall(r"[0-9a-f]{64}", hashes)))
        for name, version, hashes in _PIN.findall(path.read_text(encoding="utf-8"))
    )


def main() -> None:
    """Write the hashes of each file anew."""
    for path in HASHED:
        found = [_wheels(path, machine) for machine in _MACHINES]
        text = path.read_text(encoding="utf-8")
        for pin in pins(path):
            hashes = sorted({wheels[_normal(pin.name)] for wheels in found})
            text = text.replace(pin.line(), Pin(pin.name, pin.version, tuple(hashes)).line())
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(PROJECT)}: {len(pins(path))} packages")


def _wheels(path: Path, machine: str) -> dict[str, str]:
    """By package, the hash of the wheel that pip chooses on such a machine."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in reversed(_GLIBC)]
    platforms += [f"manylinux2014_{machine}", f"linux_{machine}"]
    with TemporaryDirectory() as folder:
        work = Path(folder)
        lines = (f"{pin.name}=={pin.version}\n" for pin in pins(path))
        (work / "pins.txt").write_text("".join(lines), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--no-deps", "--only-binary=:all:"]
        command += [f"--platform={platform}" for platform in platforms]
        command += ["--implementation=cp", "--python-version=3.11", f"--target={work / 'target'}"]
        command += [f"--report={work / 'report.json'}", f"--requirement={work / 'pins.txt'}"]
        # From PyPI, whatever else this machine installs from.
        subprocess.run(command, check=True, env=os.environ | {"PIP_CONFIG_FILE": os.devnull})
        report = json.loads((work / "report.json").read_text(encoding="utf-8"))
    return {
        _normal(item["metadata"]["name"]): item["download_info"]["archive_info"]["hashes"]["sha256"]
        for item in report["install"]
    }


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
