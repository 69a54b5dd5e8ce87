"""A `git` in front of the real one: notes how it is called, and can be made to wait."""

from __future__ import annotations

import os
import shutil
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

_SCRIPT = """\
#!/bin/sh
printf '%s\\n' "$@" >"{folder}/$$.arguments"
env >"{folder}/$$.environment"
if mv "{folder}/before-$1" "{folder}/held" 2>"{folder}/errors"; then
  while [ -e "{folder}/held" ]; do sleep 0.02; done
fi
exec "{git}" "$@"
"""


@dataclass(frozen=True)
class Call:
    """What git was started with."""

    arguments: tuple[str, ...]
    environment: str


class WatchedGit:
    """The first git on the PATH of everything that is started from now on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self._folder = folder
        git = shutil.which("git")
        programs = folder / "bin"
        programs.mkdir(parents=True)
        script = programs / "git"
        script.write_text(_SCRIPT.format(folder=folder, git=git))
        script.chmod(0o700)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    @property
    def calls(self) -> list[Call]:
        """So far, in no order."""
        return [
            Call(
                tuple(path.read_text().splitlines()),
                path.with_suffix(".environment").read_text(),
            )
            for path in self._folder.glob("*.arguments")
        ]

    @contextmanager
    def before(self, command: str, action: Callable[[], object]) -> Iterator[None]:
        """Do something once when that command is started, before git goes on."""
        ordered, held = self._folder / f"before-{command}", self._folder / "held"
        ordered.touch()

        def watch() -> None:
            while ordered.exists():
                time.sleep(0.01)
            if held.exists():
                try:
                    action()
                finally:
                    held.unlink()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            happened = not ordered.exists()
            ordered.unlink(missing_ok=True)
            thread.join()
        assert happened, f"git {command} was not started"
