"""Runs `ops` as a person would, and holds what it prints with --json to what is promised."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs

PROJECT = Path(__file__).parents[1]


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
