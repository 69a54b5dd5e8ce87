"""Runs `ops` as a person would, and holds what it prints with --json to what is promised."""

from __future__ import annotations

import functools
import json
import os
import pty
import select
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema_rs

PROJECT = Path(__file__).parents[1]
_LOCAL = 3
"""Where `tcgetattr` has the local modes, the echo among them."""
_LOOK_EVERY = 0.05


def command(*arguments: str) -> list[str]:
    """What runs `ops`."""
    return [sys.executable, "-m", "ops", *arguments]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """This machine's without a token, a CI job or a desktop; what `ops` keeps is in the folder."""
    unset = ("HF_", "EMBED_", "GITHUB_", "ACTIONS_", "DISPLAY", "WAYLAND_DISPLAY")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    own = {"HF_HOME": str(folder / "hf"), "XDG_STATE_HOME": str(folder / "state")}
    return kept | own | {"PYTHONPATH": str(PROJECT)} | more


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """One command to its end, in the folder and without a terminal."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(folder, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def on_a_terminal(
    folder: Path, *arguments: str, typed: str = "", hidden: str = "", **more: str
) -> tuple[int, str]:
    """One command on a terminal; its exit code and all that is shown.

    `typed` is there from the start, `hidden` is typed when the terminal shows nothing of it.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env=environment(folder, **{"TERM": "xterm", **more}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    try:
        with suppress(OSError):  # so Linux says that nobody has the other end any more
            while True:
                if hidden and not termios.tcgetattr(ours)[_LOCAL] & termios.ECHO:
                    os.write(ours, hidden.encode())
                    hidden = ""
                if select.select([ours], [], [], _LOOK_EVERY)[0]:
                    if not (part := os.read(ours, 65536)):
                        break
                    shown += part
    finally:
        os.close(ours)
    return process.wait(60), shown.decode()


def promised(name: str, printed: str) -> Any:
    """What a command printed, which is one document as docs/json.schema.json has it."""
    document = json.loads(printed)
    _promise(f"#/$defs/ops%20{name.replace(' ', '%20')}").validate(document)
    return document


def promised_failure(printed: str) -> dict[str, Any]:
    """The same for whatever failed."""
    document = json.loads(printed)
    _promise("#/$defs/Failure").validate(document)
    error: dict[str, Any] = document["error"]
    return error


@functools.cache
def _promise(pointer: str) -> jsonschema_rs.Validator:
    schema = json.loads((PROJECT / "docs" / "json.schema.json").read_text(encoding="utf-8"))
    return jsonschema_rs.validator_for(schema | {"$ref": pointer})
