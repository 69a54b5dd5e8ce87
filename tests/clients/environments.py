"""Makes the places where clients run: Python environments and a folder of npm packages.

Each is made once for a list of packages, under build/clients, and kept until that list changes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
NPM_LISTS = (HERE / "package.json", HERE / "package-lock.json")
PROGRAMS = HERE / "programs"
_PLACE = HERE.parents[1] / "build" / "clients"


class PackagesUnavailable(Exception):
    """The packages could not be installed; the message is the installer's."""


def python(requirements: Path = REQUIREMENTS, kind: str = "python") -> Path:
    """The interpreter that has the clients, or whatever is listed; one of a kind is kept.

    Raises:
        PackagesUnavailable: pip could not get them.
    """
    folder = _folder(kind, [requirements])
    interpreter = folder / "bin" / "python"
    if not _ready(folder):
        _run([sys.executable, "-m", "venv", str(folder)])
        # Everything is in the list, so that there is nothing for pip to work out.
        install = [str(interpreter), "-m", "pip", "install", "--quiet", "--no-deps"]
        _run([*install, "--disable-pip-version-check", "--requirement", str(requirements)])
        _mark_ready(folder)
    return interpreter


def node() -> Path:
    """A Node that has the clients; programs must lie beside its folder node_modules.

    Raises:
        PackagesUnavailable: npm is missing, or could not get them.
    """
    folder = _folder("node", list(NPM_LISTS))
    if not _ready(folder):
        folder.mkdir(parents=True)
        for path in NPM_LISTS:
            shutil.copy(path, folder)
        _run(["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
        _mark_ready(folder)
    # Older npm makes no link to it, since packages for two kinds of machine have that name.
    return next(folder.glob("node_modules/node-linux-*/bin/node"))


def _folder(kind: str, lists: list[Path]) -> Path:
    listed = b"".join(path.read_bytes() for path in lists) + sys.version.encode()
    return _PLACE / f"{kind}-{hashlib.sha256(listed).hexdigest()[:12]}"


def _ready(folder: Path) -> bool:
    """Whether it is complete; what is not, or belongs to another list, is removed."""
    for other in _PLACE.glob(f"{folder.name.partition('-')[0]}-*"):
        if other != folder or not _mark(folder).is_file():
            shutil.rmtree(other)
    return folder.is_dir()


def _mark(folder: Path) -> Path:
    return folder / ".ready"


def _mark_ready(folder: Path) -> None:
    _mark(folder).touch()


def _run(command: list[str], folder: Path | None = None) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=600)
    except FileNotFoundError as error:
        raise PackagesUnavailable(f"{command[0]} is not installed") from error
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or str(error)
        name = Path(command[0]).name
        raise PackagesUnavailable(f"{name}: {' '.join(said.split())[-300:]}") from error
