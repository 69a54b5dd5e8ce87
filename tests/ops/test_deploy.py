from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from fakes.embedding_server import APP_KEY, Fault, embedding_app
from fakes.runner import FakeRunner
from hub_world import FREE, OTHER, READ, SPACE, WRITE, hub_world

from ops import deploy as verb
from ops.adapters.hf_hub import Hub
from ops.adapters.retries import Retries
from ops.config import Config
from ops.errors import BuildFailed, Conflict, NotAllowed, Unhealthy
from ops.hub.fault_text import parse
from ops.render import blob_ids, render
from ops.watch import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hub_world import World
    from starlette.types import ASGIApp

    from ops.plan import Plan

SECRETS = {"EMBED_API_KEYS": f"mem0={APP_KEY}"}
BROKEN = "unnormalised"
"""A title that makes the app go wrong."""


def app(files: Mapping[str, str]) -> ASGIApp:
    """A sound server, unless the Space's title says otherwise."""
    return embedding_app(Fault.UNNORMALISED if BROKEN in files["README.md"] else None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub whose Spaces are small embedding servers."""
    with hub_world(tmp_path / "hub", FakeRunner(app)) as world:
        yield world


def config(**space: Any) -> Config:
    """A Space called me/app."""
    secrets = {name: {"env": name} for name in SECRETS}
    return Config.model_validate(
        {"space": {"repo_id": SPACE, **space}, "secrets": secrets, "variables": {"V": "1"}}
    )


def hub_of(world: World) -> Hub:
    """The Hub as its owner sees it, without losing time between tries."""
    return Hub(world.hub.endpoint, WRITE, retries=Retries(first_wait=0))


def deploy(world: World, wanted: Config, *, token: str = WRITE, **options: Any) -> verb.Deployed:
    """Deploy with little patience; what is said goes to the test's output."""
    options.setdefault("secrets", SECRETS)
    approve = options.pop("approve", lambda _: None)
    request = verb.Request(
        wanted,
        patience=Patience(limit=30, poll=0.05),
        state_file=world.hub.data / "written.json",
        **options,
    )
    hub = Hub(world.hub.endpoint, token, retries=Retries(first_wait=0))
    return verb.deploy(hub, request, say=print, on_check=print, approve=approve)


def test_a_new_space_is_created_and_proven(world: World) -> None:
    """The rendered tree runs, private, with its settings, and is tagged as the first release."""
    wanted = config()
    deployed = deploy(world, wanted)
    hub = Hub(world.hub.endpoint, WRITE)
    space = hub.space(SPACE)
    assert space is not None
    assert space.private
    assert hub.runtime(SPACE).commit == deployed.commit == space.commit
    live = hub.files(SPACE, deployed.commit)
    assert {path: live[path] for path in live if path != ".gitattributes"} == blob_ids(
        render(wanted)
    )
    assert hub.variables(SPACE) == {"V": "1"}
    assert hub.secrets(SPACE) == frozenset(SECRETS)
    assert hub.tags(SPACE) == {"release-1": deployed.commit}
    assert deployed.report.failed == ()


def test_doing_it_again_changes_nothing(world: World) -> None:
    """The same config deployed twice makes no commit, no build and no release."""
    first = deploy(world, config())
    builds = len(world.runner.build_args)
    world.hub.faults.mark()
    second = deploy(world, config())
    assert {seen.method for seen in world.hub.faults.seen} <= {"GET", "HEAD"}
    assert (second.commit, second.release, second.pushed) == (first.commit, "release-1", False)
    assert len(world.runner.build_args) == builds


def test_a_change_is_the_next_release(world: World) -> None:
    """Only what differs is pushed, and the number goes up."""
    deploy(world, config())
    changed = deploy(world, config(title="Another"))
    assert changed.release == "release-2"
    assert changed.pushed


def test_a_version_that_fails_its_checks_is_taken_back(world: World) -> None:
    """The release before serves again, in one commit, and the error says so."""
    good = deploy(world, config())
    with pytest.raises(Unhealthy, match="unit-norm") as caught:
        deploy(world, config(title=BROKEN))
    assert caught.value.aftermath == f"{SPACE} runs the files of release-1 again."
    hub = Hub(world.hub.endpoint, WRITE)
    running = hub.runtime(SPACE)
    assert running.stage == "RUNNING"
    assert hub.files(SPACE, str(running.commit)) == hub.files(SPACE, good.commit)
    assert hub.tags(SPACE) == {"release-1": good.commit}


def test_settings_are_taken_back_with_the_version(world: World) -> None:
    """What the failed deploy set is undone; a secret that it overwrote is named as lost."""
    deploy(world, config())
    hub = hub_of(world)
    broken = config(title=BROKEN, hardware="cpu-upgrade", visibility="public")
    broken = broken.model_copy(update={"variables": {"V": "2", "W": "3"}})
    secrets = {**SECRETS, "EMBED_API_KEYS": f"other={APP_KEY}", "NEW": "1"}
    with pytest.raises(Unhealthy) as caught:
        deploy(world, broken, secrets=secrets)
    space = hub.space(SPACE)
    assert space is not None
    assert space.private
    assert hub.runtime(SPACE).hardware == "cpu-basic"
    assert hub.variables(SPACE) == {"V": "1"}
    assert hub.secrets(SPACE) == frozenset(SECRETS)
    assert "cannot be put back: EMBED_API_KEYS" in str(caught.value.aftermath)


def test_a_refused_plan_touches_nothing(world: World) -> None:
    """Whoever says no to the plan has changed nothing."""

    class Refused(Exception):
        pass

    def refuse(plan: Plan) -> None:
        assert plan.files
        raise Refused

    deploy(world, config())
    world.hub.faults.mark()
    with pytest.raises(Refused):
        deploy(world, config(title="Another"), approve=refuse)
    assert {seen.method for seen in world.hub.faults.seen} <= {"GET", "HEAD"}


def test_a_first_version_that_fails_has_nothing_to_go_back_to(world: World) -> None:
    """Without a release the failure stays, and is said to."""
    with pytest.raises(Unhealthy) as caught:
        deploy(world, config(title=BROKEN))
    assert caught.value.aftermath == "There is no earlier release to go back to."


def test_a_failed_build_shows_its_log(tmp_path: Path) -> None:
    """A build error ends with exit code 4 and the log's tail."""

    class Refusing(FakeRunner):
        def build(self, *_: Any, log: Any, **__: Any) -> Any:
            log("Step 7 : RUN pip install")
            raise BuildFailed("pip failed")

    with (
        hub_world(tmp_path / "hub", Refusing()) as world,
        pytest.raises(BuildFailed, match="pip failed") as caught,
    ):
        deploy(world, config())
    assert caught.value.exit_code == 4
    assert "Step 7 : RUN pip install" in caught.value.log_tail


def test_a_name_in_both_is_the_hubs_config_error(world: World) -> None:
    """A collision made on the Hub by hand ends the deploy with exit code 5."""
    deploy(world, config())
    world.api.add_space_secret(SPACE, "V", "x")
    world.wait_for_stage("CONFIG_ERROR")
    # The deploy removes secrets that space.toml does not have, so it heals the Space.
    assert deploy(world, config(title="Another")).release == "release-2"


@pytest.mark.parametrize(
    ("token", "name"),
    [("hf_unknown", SPACE), (READ, SPACE), (OTHER, SPACE), (FREE, "app")],
    ids=["unknown token", "read-only token", "somebody else's name", "no paid plan"],
)
def test_who_may_not_deploy_is_told_before_anything_is_touched(
    world: World, token: str, name: str
) -> None:
    """Nothing is created for a token or a plan that does not allow it."""
    with pytest.raises(NotAllowed) as caught:
        deploy(world, config(repo_id=name), token=token)
    assert caught.value.exit_code == 9
    assert caught.value.next_step
    for full_name in (SPACE, "free/app", "other/app"):
        assert not world.api.repo_exists(full_name, repo_type="space")


def test_a_space_made_by_others_is_left_alone(world: World) -> None:
    """A Space with files that are not ours is replaced on purpose only."""
    world.create()
    before = world.push({"app.py": b"print('mine')"})
    with pytest.raises(Conflict, match="not made by embedding-space"):
        deploy(world, config())
    assert world.api.space_info(SPACE).sha == before
    assert deploy(world, config(), adopt=True).pushed


def test_settings_follow_the_config(world: World) -> None:
    """Visibility, hardware, variables and secrets of an existing Space become what they should."""
    deploy(world, config())
    world.api.add_space_variable(SPACE, "STRAY", "1")
    world.api.add_space_secret(SPACE, "STRAY_SECRET", "1")
    deploy(world, config(visibility="public", hardware="cpu-upgrade"))
    hub = Hub(world.hub.endpoint, WRITE)
    space = hub.space(SPACE)
    assert space is not None
    assert not space.private
    assert hub.runtime(SPACE).hardware == "cpu-upgrade"
    deploy(world, config(visibility="public", hardware="cpu-upgrade", sleep_time=600))
    assert hub.runtime(SPACE).sleep_time == 600
    assert hub.variables(SPACE) == {"V": "1"}
    assert hub.secrets(SPACE) == frozenset(SECRETS)


def test_protected_is_told_from_public(world: World) -> None:
    """A Space whose app was open to all becomes what space.toml says, and the other way round."""
    deploy(world, config(visibility="public"))
    for visibility in ("protected", "public", "private"):
        deploy(world, config(visibility=visibility))
        settings = world.hub.data / "spaces" / "me" / "app" / "settings.json"
        assert json.loads(settings.read_text())["visibility"] == visibility


@pytest.mark.parametrize("when", ["before", "after"])
def test_no_single_lost_connection_ends_a_deploy(world: World, when: str) -> None:
    """Whichever request loses its connection, the version is proven, and nothing is done twice."""
    deploy(world, config())
    faults = world.hub.faults
    faults.mark()
    deploy(world, config(title="Counted"))
    requests = len(faults.seen)
    assert requests > 10
    for number in range(requests):
        faults.add(parse(f"cut when={when} skip={number}"))
        wanted = config(title=f"Cut {when} {number}")
        deployed = deploy(world, wanted)
        assert deployed.release == f"release-{number + 3}"
        faults.clear()
    titles = [message.partition("\n")[0] for message in hub_of(world).commit_messages(SPACE)]
    assert len([title for title in titles if title.startswith("Deploy")]) == requests + 2


def test_a_release_says_what_it_is(world: World) -> None:
    """The tag's message carries model, fingerprint and toolkit; no value of a secret."""
    deployed = deploy(world, config(), source_commit="abc")
    folder = world.hub.data / "spaces" / "me" / "app" / "git"
    text = subprocess.run(
        ["git", "--git-dir", folder, "tag", "--list", "--format=%(contents)", deployed.release],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    message = json.loads(text)
    assert (message["release"], message["toolkit_commit"]) == (1, "abc")
    assert message["fingerprint"] == "0" * 64
    assert APP_KEY not in text
