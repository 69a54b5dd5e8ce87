"""Older huggingface_hub against the local Hub: what another tool on the same machine may have."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from clients import environments
from clients.environments import HERE, PROGRAMS, PackagesUnavailable
from fakes.runner import FakeRunner

from ops.hub import LocalHub

if TYPE_CHECKING:
    from pathlib import Path

# The first time, the packages have to be installed.
pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]

VERSIONS = {"0.20.3": "on requests, of January 2024", "1.0.0": "the first on httpx"}


@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_client_does_a_whole_deployment(version: str, tmp_path: Path) -> None:
    """Create, commit, upload, set, tag, look at, download, delete, as it parses the replies."""
    python = interpreter(version)
    with LocalHub(tmp_path / "hub", FakeRunner()) as hub:
        # Its own setting too: before 1.1, a commit's reply was read with that alone.
        environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token}
        environment |= {"HF_HOME": str(tmp_path / "home")}
        program = [str(python), str(PROGRAMS / "hub_client.py"), hub.endpoint, str(tmp_path)]
        done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout.splitlines()[-1])
    assert printed.pop("sha")
    assert printed.pop("stage") in ("BUILDING", "APP_STARTING", "RUNNING")
    files = [".gitattributes", "Dockerfile", "README.md", "a/b", "sub/file"]
    assert printed == {
        "version": version,
        "url": f"{hub.endpoint}/spaces/me/old",
        "private": True,
        "siblings": files,
        "files": files,
        "variables": {"W": "2"},
        "missing": "RepositoryNotFoundError",
        "gone": True,
    }


def interpreter(version: str) -> Path:
    """One that has this version, else a skip (a failure in CI)."""
    try:
        return environments.python(HERE / f"hub-{version}.txt", f"hub{version}")
    except PackagesUnavailable as error:
        if os.environ.get("REQUIRE_CLIENTS") == "1":
            pytest.fail(f"REQUIRE_CLIENTS=1, but: {error}", pytrace=False)
        pytest.skip(f"needs the clients' packages: {error}")
