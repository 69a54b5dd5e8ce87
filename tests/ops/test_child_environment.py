from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from ops.adapters.watchdog import Watchdog
from ops.child_environment import child_environment

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = ("HF_TOKEN", "EMBED_API_KEYS", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "ANY_NAME")
KINDS = ("network", "docker", "desktop")


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets in this environment, and what children need."""
    for name in SECRETS:
        monkeypatch.setenv(name, "a-secret")
    for name in ("HTTPS_PROXY", "DOCKER_HOST", "DISPLAY"):
        monkeypatch.setenv(name, f"value of {name}")


@pytest.mark.parametrize("kind", [*KINDS, None])
def test_what_a_child_gets(kind: str | None) -> None:
    """What any program needs and what its kind needs, and nothing that may be a secret."""
    found = child_environment(**{kind: True} if kind else {})
    assert "PATH" in found
    assert "a-secret" not in found.values()
    for name, needed in (
        ("HTTPS_PROXY", "network"),
        ("DOCKER_HOST", "docker"),
        ("DISPLAY", "desktop"),
    ):
        assert (name in found) is (kind == needed)


def test_the_watchdog_keeps_no_secret(tmp_path: Path) -> None:
    """It lives as long as we do, and its environment can be read."""
    watchdog = Watchdog()
    before = set(psutil.Process().children())
    with watchdog.watching("folder", tmp_path / "none"):
        (other,) = set(psutil.Process().children()) - before
        assert "a-secret" not in other.environ().values()
        assert other.environ()["DOCKER_HOST"] == "value of DOCKER_HOST"
    watchdog.close()
