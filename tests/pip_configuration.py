"""Copies this machine's pip configuration into an image's file system, with its local wheels.

    pip_configuration.py ROOT REQUIREMENTS...

Folders that the configuration names can hold thousands of files: only those that REQUIREMENTS pins
(`name==version`) are taken, and put at the same paths.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

Pins = dict[str, str]
"""Normalised name of a package -> its one version."""

_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_INDEXES = ("index-url", "extra-index-url")
_LISTS = (*_INDEXES, "find-links")
_FILES = ("constraint", "requirement", "cert", "client-cert")


def main(root: Path, *requirements: Path) -> None:
    """Write ROOT/etc/pip.conf, and what it refers to."""
    options = {"global.cert": _CA_BUNDLE, **_options()}
    pinned = _pins("\n".join(path.read_text(encoding="utf-8") for path in requirements))
    for key, value in options.items():
        name = key.partition(".")[2]
        for place in filter(None, map(_local, value.split())):
            if name == "find-links" and place.is_dir():
                _copy_pinned(place.iterdir(), root, pinned)
            elif name in _INDEXES and place.is_dir():
                _copy_index(place, root, pinned)
            elif name in _FILES and place.is_file() and not _inside(root, place).exists():
                _copy(place, root)
    _write(_pip_conf(options), root / "etc" / "pip.conf")


def _options() -> dict[str, str]:
    """Pip's options by section and name; the environment's count as global ones, and win."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    found: dict[str, str] = {}
    from_environment = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        if key.startswith(":env:."):
            from_environment["global." + key.removeprefix(":env:.")] = ast.literal_eval(value)
        else:
            found[key] = ast.literal_eval(value)
    return found | from_environment


def _pins(text: str) -> Pins:
    pinned = re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^\s;]+)", text)
    return {_normal(name): version for name, version in pinned}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _local(place: str) -> Path | None:
    """The folder or file that an option names; None for one on another machine."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(place) if not parts.scheme and place.startswith("/") else None


def _copy_index(index: Path, root: Path, pinned: Pins) -> None:
    """The pinned files of an index: a folder a package, with a page that links files.

    A package that is not in it gets an empty page, so that pip does not warn each time it looks.
    """
    for name in pinned:
        page = index / name / "index.html"
        if page.is_file():
            links = re.findall(r'href="([^"#]+)', page.read_text(encoding="utf-8"))
            files = [page.parent / unquote(link) for link in links if not urlsplit(link).scheme]
            _copy_pinned(files, root, pinned)
            _copy(page, root)
        else:
            _write("<!DOCTYPE html>\n", _inside(root, page))


def _copy_pinned(paths: Iterable[Path], root: Path, pinned: Pins) -> None:
    for path in paths:
        if _is_pinned(path, pinned):
            _copy(path, root)


def _is_pinned(path: Path, pinned: Pins) -> bool:
    """Whether a wheel or a source archive is of a pinned version; +local builds count as it."""
    name, _, rest = path.name.removesuffix(".tar.gz").rpartition("-")
    if path.suffix == ".whl":
        name, _, rest = path.name.partition("-")
    version = rest.partition("-")[0].partition("+")[0]
    return path.is_file() and pinned.get(_normal(name)) == version


def _copy(path: Path, root: Path) -> None:
    target = _inside(root, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _inside(root: Path, path: Path) -> Path:
    # `..` must go, symbolic links must stay: pip is told the path as it is configured.
    return root / Path(os.path.normpath(path)).relative_to("/")


def _pip_conf(options: dict[str, str]) -> str:
    config = RawConfigParser()
    for key, value in options.items():
        section, _, name = key.partition(".")
        if not config.has_section(section):
            config.add_section(section)
        config.set(section, name, "\n".join(value.split()) if name in _LISTS else value)
    text = StringIO()
    config.write(text)
    return text.getvalue()


def _write(text: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
