from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from deploying import (
    BROKEN,
    OTHER_VECTORS,
    REFUSES_ITS_KEY,
    SECRETS,
    app,
    config,
    deploy,
    hub_of,
    state_file,
)
from fakes.embedding_server import APP_KEY, Fault, embedding_app
from fakes.runner import FakeRunner
from hub_world import FREE, OTHER, READ, SPACE, WRITE, hub_world

from ops import releases
from ops.adapters.hf_hub import Hub
from ops.errors import BuildFailed, ConfigError, Conflict, NotAllowed, Unhealthy
from ops.hub.fault_text import parse
from ops.render import blob_ids, render

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hub_world import World
    from starlette.types import ASGIApp

    from ops.plan import Plan


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub whose Spaces are small embedding servers."""
    with hub_world(tmp_path / "hub", FakeRunner(app)) as world:
        yield world


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


def test_a_machine_that_can_keep_nothing_deploys(world: World) -> None:
    """Where no state can be written, a proven version is a release all the same, and it is said."""
    state_file(world).mkdir()
    said: list[str] = []
    assert deploy(world, config(), say=said.append).release == "release-1"
    assert any(line.startswith(f"{state_file(world)} can't be written") for line in said)


def test_keys_that_the_app_does_not_start_with_are_refused(world: World) -> None:
    """Before anything is touched, and so before they are in the place of those that work."""
    deploy(world, config())
    world.hub.faults.mark()
    with pytest.raises(ConfigError, match="EMBED_API_KEYS has an entry that is no key"):
        deploy(world, config(), secrets={"EMBED_API_KEYS": "mem0=clé"})
    assert {seen.method for seen in world.hub.faults.seen} <= {"GET", "HEAD"}


def test_a_change_is_the_next_release(world: World) -> None:
    """Only what differs is pushed, and the number goes up."""
    deploy(world, config())
    changed = deploy(world, config(title="Another"))
    assert changed.release == "release-2"
    assert changed.pushed


def test_a_version_that_fails_its_checks_is_taken_back(world: World) -> None:
    """The release before serves again, in one commit, proven, and the error says so."""
    good = deploy(world, config())
    with pytest.raises(Unhealthy, match="unit-norm") as caught:
        deploy(world, config(title=BROKEN))
    assert caught.value.aftermath == f"{SPACE} is release-1 again, proven as release-2."
    hub = hub_of(world)
    running = hub.runtime(SPACE)
    assert running.stage == "RUNNING"
    assert hub.files(SPACE, str(running.commit)) == hub.files(SPACE, good.commit)
    assert hub.tags(SPACE) == {"release-1": good.commit, "release-2": running.commit}
    assert not deploy(world, config()).pushed


def test_a_version_that_refuses_the_spaces_own_key_is_taken_back(world: World) -> None:
    """The key is right, as the Space was given it: it is the server that doesn't work."""
    deploy(world, config())
    with pytest.raises(Unhealthy, match="refused the API key") as caught:
        deploy(world, config(title=REFUSES_ITS_KEY))
    assert caught.value.aftermath == f"{SPACE} is release-1 again, proven as release-2."


def test_what_somebody_else_pushed_is_not_taken_back(world: World) -> None:
    """A commit that came on top of the one that does not work stays: exit code 10."""
    deploy(world, config())
    theirs = []

    def push_theirs(line: str) -> None:
        if line.startswith("Proving"):
            theirs.append(world.push({"README.md": b"---\nsdk: docker\n---\nunnormalised\n"}))

    with pytest.raises(Conflict) as caught:
        deploy(world, config(title=BROKEN), say=push_theirs)
    assert f"Somebody else committed {theirs[-1][:8]}" in caught.value.message
    assert "is not proven" in str(caught.value.aftermath)
    assert world.api.space_info(SPACE).sha == theirs[-1]


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


@pytest.mark.parametrize(
    "value",
    [
        "SG." + "aB3dE6gH9jK2mN5pQ8sT1v" + ".xY4zA7cD0fG3iJ6lM9oP2rS5uV8wX1yZ4bC7eF0hI3",
        "https://hooks.slack.com/services/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",
        SECRETS["EMBED_API_KEYS"].partition("=")[2],
    ],
    ids=["a known form", "a webhook", "the value of a secret"],
)
def test_a_secret_is_never_published(world: World, value: str) -> None:
    """Neither as a variable nor in the Space's files; nothing is written, whoever says yes."""
    deploy(world, config())
    for wanted in (config(variables={"HOOK": value}), config(title=f"See {value}")):
        world.hub.faults.mark()
        with pytest.raises(ConfigError, match="Looks like a secret") as caught:
            deploy(world, wanted)
        assert {seen.method for seen in world.hub.faults.seen} <= {"GET", "HEAD"}
        assert value not in f"{caught.value} {vars(caught.value)}"


def test_a_first_version_that_fails_has_nothing_to_go_back_to(world: World) -> None:
    """Without a release the failure stays, and is said to."""
    with pytest.raises(Unhealthy) as caught:
        deploy(world, config(title=BROKEN))
    aftermath = str(caught.value.aftermath)
    assert aftermath.startswith("There is no earlier release to go back to.")
    assert "is not proven" in aftermath


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


def test_a_file_that_was_taken_away_is_put_back(world: World) -> None:
    """A Space with releases is ours still, whichever of its files somebody removed on the Hub."""
    deploy(world, config())
    world.push({}, delete=("model.toml",))
    assert deploy(world, config()).release == "release-2"


def test_a_tag_makes_nobody_elses_space_ours(world: World) -> None:
    """A stranger's release-1, of which there is no record, is no leave to replace their files."""
    world.create()
    before = world.push({"app.py": b"print('mine')"})
    world.api.create_tag(SPACE, tag="release-1", revision=before, repo_type="space")
    with pytest.raises(Conflict, match="not made by embedding-space"):
        deploy(world, config())


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
    """Whichever request loses its connection, the version is proven, and nothing is done twice.

    A question whose answer is lost is the same as one that never came.
    """
    deploy(world, config())
    faults = world.hub.faults
    faults.mark()
    deploy(world, config(title="Counted"))
    cut = [n for n, seen in enumerate(faults.seen) if when == "before" or seen.method != "GET"]
    assert len(cut) > 4
    for release, number in enumerate(cut, 3):
        faults.add(parse(f"cut when={when} skip={number}"))
        deployed = deploy(world, config(title=f"Cut {when} {number}"))
        assert deployed.release == f"release-{release}"
        faults.clear()
    titles = [message.partition("\n")[0] for message in hub_of(world).commit_messages(SPACE)]
    assert len([title for title in titles if title.startswith("Deploy")]) == len(cut) + 2


def test_a_change_by_hand_is_proven_and_recorded(world: World) -> None:
    """A setting that was changed on the Hub to what space.toml says is a release of its own."""
    deploy(world, config())
    world.api.add_space_variable(SPACE, "V", "2")
    done = deploy(world, config(variables={"V": "2"}))
    assert (done.release, done.pushed) == ("release-2", False)
    last = releases.read(hub_of(world), SPACE).last
    assert last is not None
    assert last.record is not None
    assert last.record.settings.variables == {"V": "2"}


def test_a_setting_that_an_earlier_try_left_is_taken_back(world: World) -> None:
    """What differs from the last release, though nothing is left to set, goes back to it."""

    def by_variable(files: Mapping[str, str]) -> ASGIApp:
        bad = world.api.get_space_variables(SPACE)["V"].value == "bad"
        return embedding_app(Fault.UNNORMALISED) if bad else app(files)

    deploy(world, config())
    world.runner.app = by_variable
    world.api.add_space_variable(SPACE, "V", "bad")
    with pytest.raises(Unhealthy) as caught:
        deploy(world, config(variables={"V": "bad"}))
    assert "release-1 again" in str(caught.value.aftermath)
    assert hub_of(world).variables(SPACE) == {"V": "1"}


def test_other_vectors_are_not_taken_by_chance(world: World) -> None:
    """A version whose vectors differ though its model is the same is taken back, unless wanted."""
    deploy(world, config())
    with pytest.raises(Unhealthy, match="although the model is the same"):
        deploy(world, config(title=OTHER_VECTORS))
    assert deploy(world, config(title=OTHER_VECTORS), new_vectors=True).release == "release-3"


def test_vectors_that_the_plan_announced_are_taken(world: World) -> None:
    """A change of the model is expected to change vectors."""
    deploy(world, config())
    said: list[str] = []
    wanted = config(title=OTHER_VECTORS, model={"query_instruction": "find: "})
    assert deploy(world, wanted, say=said.append).release == "release-2"
    assert any("have to be embedded again" in line for line in said)


def test_git_pushes_what_the_api_would_commit(world: World) -> None:
    """Created and updated by git: the same files, proven, one commit each."""
    first = deploy(world, config(), via="git")
    wanted = config(title="Another")
    second = deploy(world, wanted, via="git")
    hub = hub_of(world)
    live = hub.files(SPACE, second.commit)
    assert {path: live[path] for path in live if path != ".gitattributes"} == blob_ids(
        render(wanted)
    )
    commits = [commit.commit_id for commit in world.api.list_repo_commits(SPACE, repo_type="space")]
    assert commits[:2] == [second.commit, first.commit]
    assert second.release == "release-2"


@pytest.mark.parametrize("via", ["api", "git"])
def test_nothing_is_pushed_over_somebody_else(world: World, via: str) -> None:
    """A commit that came after the plan stays the newest: exit code 10, and nothing is in doubt."""
    deploy(world, config())
    theirs = []
    with pytest.raises(Conflict) as caught:
        deploy(
            world,
            config(title="Another"),
            via=via,
            approve=lambda _: theirs.append(world.push({"theirs.txt": b"1"})),
        )
    assert caught.value.exit_code == 10
    assert caught.value.aftermath == "Nothing was changed on the Hub."
    assert world.api.space_info(SPACE).sha == theirs[0]


def test_a_release_says_what_it_is(world: World) -> None:
    """Its record has model, fingerprint, toolkit and settings; no value of a secret."""
    deployed = deploy(world, config(), source_commit="abc")
    hub = hub_of(world)
    last = releases.read(hub, SPACE).last
    assert last is not None
    assert last.record is not None
    assert (last.name, last.commit) == (deployed.release, deployed.commit)
    assert (last.record.model, last.record.toolkit_commit) == ("BAAI/bge-base-en-v1.5", "abc")
    assert last.record.fingerprint == "0" * 64
    assert last.record.p50_ms is not None
    settings = last.record.settings
    assert (settings.visibility, settings.hardware) == ("private", "cpu-basic")
    assert settings.variables == {"V": "1"}
    assert settings.secrets == hub.secret_times(SPACE)
    head = hub.refs(SPACE).branches[releases.BRANCH]
    kept = [hub.read_file(SPACE, path, head) for path in hub.files(SPACE, head)]
    assert len(kept) == 2
    assert APP_KEY.encode() not in b"".join(kept)
