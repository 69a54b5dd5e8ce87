"""A commit's files written to a folder, for a build; never anything outside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ops.hub.errors import HubError
from ops.hub.tree import SYMLINK, can_be_path, decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ops.hub.tree import Entry, LargeFile

_EXECUTABLE = "100755"


def check_out(
    entries: Iterable[Entry],
    folder: Path,
    *,
    read: Callable[[str], bytes],
    large_path: Callable[[LargeFile], Path],
) -> None:
    """Write files, large ones with their content, and those links that stay in the folder.

    A link that leads outside becomes a file that says where it led, as git itself writes links
    where there are none: nothing that reads the folder can be led out of it.

    Raises:
        HubError: a path cannot be, or a large file was never uploaded.
    """
    links = []
    for entry in entries:
        if not can_be_path(entry.shown):
            raise HubError(400, f"{entry.shown} cannot be written to a folder")
        target = folder / entry.path
        if entry.kind == "directory":
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.large is not None:
            _copy(large_path(entry.large), target, entry.shown)
        elif entry.mode == SYMLINK:
            links.append((target, read(entry.oid)))
        else:
            target.write_bytes(read(entry.oid))
            if entry.mode == _EXECUTABLE:
                target.chmod(0o755)
    _link(links, folder)


def _copy(source: Path, target: Path, shown: str) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise HubError(400, f"The content of {shown} was never uploaded") from error


def _link(links: list[tuple[Path, bytes]], folder: Path) -> None:
    """All links are made before any is looked at, since one may lead through another."""
    made = []
    for path, content in links:
        if b"\0" in content or not content:
            path.write_bytes(content)
        else:
            path.symlink_to(os.fsdecode(content))
            made.append((path, content))
    inside = Path(os.path.realpath(folder))
    outside = [(p, c) for p, c in made if not Path(os.path.realpath(p)).is_relative_to(inside)]
    for path, content in outside:
        path.unlink()
        path.write_text(decoded(content), encoding="utf-8")
