from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import running_ops
from fakes.asgi_server import serving
from fakes.embedding_server import APP_KEY, embedding_app
from fakes.runner import FakeRunner
from fakes.trusted_publisher import IDENTITY, REQUEST_TOKEN, TrustedPublisher
from hub_world import SPACE, hub_world

from ops.hub.accounts import Grant, Scope

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World

EXCHANGED = "hf_exchanged"


@dataclass(frozen=True)
class Job:
    """A CI job beside a space.toml, and the Hub that trusts it."""

    folder: Path
    origin: str
    publisher: TrustedPublisher
    world: World

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `ops` as the job would, with nothing else of this machine's."""
        own = {
            "HF_ENDPOINT": self.origin,
            "HF_OIDC_RESOURCE": f"spaces/{SPACE}",
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.origin}/identity",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
            "DOCKER_HOST": f"unix://{self.folder}/docker.sock",
            "KEYS": f"mem0={APP_KEY}",
        }
        done = running_ops.run(self.folder, "-v", *arguments, **(own | env))
        for secret in (EXCHANGED, IDENTITY, REQUEST_TOKEN):
            assert secret not in done.stdout + done.stderr
        return done


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """The Space is there, and its exchanged token may write to it alone."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "space.toml").write_text(
        f'[space]\nrepo_id = "{SPACE}"\n[model]\nid = "org/model"\n'
        '[secrets]\nEMBED_API_KEYS = { env = "KEYS" }\n'
    )
    runner = FakeRunner(lambda _: embedding_app())
    with hub_world(tmp_path / "hub", runner, mirrors={"org/model": model}) as world:
        world.create()
        scope = Scope("space", SPACE, ("repo.write", "repo.content.read"))
        world.hub.accounts.grant("me", EXCHANGED, Grant("fineGrained", (scope,)))
        publisher = TrustedPublisher(world.hub.endpoint, f"spaces/{SPACE}", EXCHANGED)
        with serving(publisher.app()) as origin:
            yield Job(tmp_path, origin, publisher, world)


def test_a_job_deploys_by_its_identity(job: Job) -> None:
    """Without any stored token, doctor agrees and a deployment ends proven; one exchange each."""
    examined = job.run("doctor")
    assert examined.returncode == 0, examined.stderr
    assert job.publisher.exchanges == 1
    deployed = job.run("--yes", "deploy")
    assert deployed.returncode == 0, deployed.stderr
    assert job.publisher.exchanges == 2
    assert [tag.name for tag in job.world.api.list_repo_refs(SPACE, repo_type="space").tags] == [
        "release-1"
    ]


def test_the_identity_goes_before_a_stored_token(job: Job) -> None:
    """HF_TOKEN beside it changes nothing: whoever sets the resource means it."""
    assert job.run("status", HF_TOKEN="hf_unknown").returncode != 9
    assert job.publisher.exchanges == 1


def test_a_job_without_an_identity(job: Job) -> None:
    """What is missing in the workflow is said, with exit code 9."""
    done = job.run("deploy", ACTIONS_ID_TOKEN_REQUEST_URL="")
    assert done.returncode == 9
    assert "id-token: write" in done.stderr
    assert job.run("deploy", GITHUB_ACTIONS="").returncode == 9
    assert job.publisher.exchanges == 0


def test_an_exchange_that_is_refused(job: Job) -> None:
    """A resource that does not trust this job ends with exit code 9 and where to allow it."""
    done = job.run("doctor", HF_OIDC_RESOURCE="spaces/me/another")
    assert done.returncode == 9
    assert "Trusted Publishers" in done.stderr


def test_an_exchange_that_breaks(job: Job) -> None:
    """A Hub in trouble, or away, is not taken for a refusal."""
    job.publisher.status = 503
    broken = job.run("deploy")
    assert broken.returncode == 1
    assert "503" in broken.stderr
    away = job.run("deploy", HF_ENDPOINT="http://127.0.0.1:1")
    assert away.returncode == 1
    assert "did not answer" in away.stderr
