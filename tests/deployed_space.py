"""Puts a Space that an earlier version of `ops` deployed onto a local Hub."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from record_deployed_space import RECORDED_KEYS, SPACE

if TYPE_CHECKING:
    from collections.abc import Callable

DEPLOYED_WITH = sorted((Path(__file__).parent / "data").glob("deployed_with_*"))
"""The recordings, made by `record_deployed_space.py`."""


def put_onto_hub(recording: Path, data: Path) -> None:
    """Fill the data folder of a local Hub that doesn't run yet."""
    folder = data / "spaces" / SPACE
    repository = folder / "git"
    folder.mkdir(parents=True)
    _git(folder, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", "git")
    _git(repository, "fetch", "--quiet", str(recording / "space.bundle"), "+refs/*:refs/*")
    shutil.copy(recording / "settings.json", folder)


def put_into_state(recording: Path, state: Path, endpoint: str) -> None:
    """Fill a state folder as if the recorded deploys had gone to the Hub at `endpoint`.

    The digests in it are keyed with the endpoint, so they are computed anew, by the rule that the
    recorded ones are held to first.
    """
    kept = json.loads((recording / "state" / "embedding-space" / "written.json").read_text())
    ((name, space),) = kept["spaces"].items()
    values = {"EMBED_API_KEYS": RECORDED_KEYS}
    sign = _signer(kept["key"])
    for secret, entry in space["secrets"].items():
        assert entry["digest"] == sign(name, secret, values[secret])
        entry["digest"] = sign(f"{endpoint} {SPACE}", secret, values[secret])
    kept["spaces"] = {f"{endpoint} {SPACE}": space}
    path = state / "embedding-space" / "written.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(kept))


def recorded_releases(recording: Path) -> list[dict[str, Any]]:
    """What `ops --json releases` listed after the recorded deploys, the newest first."""
    listed: list[dict[str, Any]] = json.loads((recording / "releases.json").read_text())["releases"]
    return listed


def _signer(key: str) -> Callable[[str, str, str], str]:
    def sign(space: str, name: str, value: str) -> str:
        message = f"{space}\0{name}\0{value}".encode()
        return hmac.new(bytes.fromhex(key), message, hashlib.sha256).hexdigest()

    return sign


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)
