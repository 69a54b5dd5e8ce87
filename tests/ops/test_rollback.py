from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from deploying import BROKEN, OTHER_VECTORS, PATIENCE, SECRETS, app, config, deploy, hub_of
from deploying import state_file as state_file_of
from fakes.embedding_server import APP_KEY
from fakes.runner import FakeRunner
from hub_world import SPACE, hub_world

from ops import releases
from ops import rollback as verb
from ops.errors import ConfigError, Unhealthy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World

    from ops.apply import Applied
    from ops.plan import Plan
    from ops.releases import Release


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub whose Spaces are small embedding servers."""
    with hub_world(tmp_path / "hub", FakeRunner(app)) as world:
        yield world


def rollback(world: World, number: int | None = None, **options: Any) -> Applied:
    """Go back with little patience; what is said goes to the test's output."""
    request = verb.Request(
        SPACE, number, app_key=APP_KEY, patience=PATIENCE, state_file=state_file_of(world)
    )
    options.setdefault("say", print)
    return verb.rollback(hub_of(world), request, on_check=print, **options)


def card(world: World) -> str:
    """The README that the Space has now."""
    hub = hub_of(world)
    commit = str(hub.runtime(SPACE).commit)
    return hub.read_file(SPACE, "README.md", commit).decode()


def test_it_restores_files_and_settings(world: World) -> None:
    """The release before is back as one new commit and release, hardware and variables too."""
    deploy(world, config(title="First"))
    changed = deploy(
        world, config(title="Second", hardware="cpu-upgrade", sleep_time=600, variables={"W": "2"})
    )
    done = rollback(world)
    assert (done.release, done.pushed) == ("release-3", True)
    assert done.report is not None
    assert "title: First" in card(world)
    hub = hub_of(world)
    assert hub.runtime(SPACE).hardware == "cpu-basic"
    assert hub.variables(SPACE) == {"V": "1"}
    titles = [message.partition("\n")[0] for message in hub.commit_messages(SPACE)]
    assert titles[0] == "Go back to release-1"
    assert hub.tags(SPACE)["release-2"] == changed.commit


def test_going_back_goes_on_from_what_was_restored(world: World) -> None:
    """Twice is two releases back; there is nothing before the first."""
    for title in ("First", "Second", "Third"):
        deploy(world, config(title=title))
    rollback(world)
    assert "title: Second" in card(world)
    rollback(world)
    assert "title: First" in card(world)
    found = releases.read(hub_of(world), SPACE).all
    assert [release.restores for release in found] == [None, None, None, 2, 1]
    with pytest.raises(ConfigError, match="no earlier release"):
        rollback(world)
    rollback(world, 3)
    assert "title: Third" in card(world)


def test_what_was_changed_by_hand_is_undone_first(world: World) -> None:
    """Where the Space is no longer its last release, that is what it goes back to."""
    deploy(world, config(title="First"))
    deploy(world, config(title="Second"))
    world.push({"README.md": b"---\nsdk: docker\n---\nby hand\n"})
    rollback(world)
    assert "title: Second" in card(world)


def test_a_release_that_does_not_work_any_more_is_taken_back(world: World) -> None:
    """A rollback is proven as a deploy is; where that fails, the last release is back."""
    deploy(world, config(title="First"))
    deploy(world, config(title="Second"))
    world.runner.app = lambda files: app(
        {**files, "README.md": files["README.md"].replace("First", BROKEN)}
    )
    with pytest.raises(Unhealthy) as caught:
        rollback(world)
    assert "release-2 again, proven as release-3" in str(caught.value.aftermath)
    assert "title: Second" in card(world)


def test_secrets_stay_and_are_named(world: World) -> None:
    """No value is known, so those that differ are said and left alone."""
    deploy(world, config())
    hub = hub_of(world)
    deploy(world, config(title="Second"), secrets={**SECRETS, "NEW": "1"})
    said: list[str] = []
    rollback(world, say=said.append)
    assert hub.secrets(SPACE) == {*SECRETS, "NEW"}
    assert "The secret NEW was not there at release-1; it stays" in said


def test_a_no_touches_nothing(world: World) -> None:
    """Whoever says no to what is shown has changed nothing."""

    class Refused(Exception):
        pass

    def refuse(plan: Plan, release: Release) -> None:
        assert (release.name, len(plan.files)) == ("release-1", 1)
        raise Refused

    deploy(world, config(title="First"))
    deploy(world, config(title="Second"))
    world.hub.faults.mark()
    with pytest.raises(Refused):
        rollback(world, approve=refuse)
    assert {seen.method for seen in world.hub.faults.seen} <= {"GET", "HEAD"}


def test_the_release_that_runs_is_nothing_to_do(world: World) -> None:
    """Its own number changes nothing."""
    deployed = deploy(world, config())
    done = rollback(world, 1)
    assert (done.release, done.commit, done.pushed) == ("release-1", deployed.commit, False)
    assert done.report is None


def test_an_unknown_number_is_told(world: World) -> None:
    """There is no release 9."""
    deploy(world, config())
    with pytest.raises(ConfigError, match="no release 9"):
        rollback(world, 9)


def test_other_vectors_are_no_reason_against_going_back(world: World) -> None:
    """Vectors change back with the release, which is said."""
    deploy(world, config(title=OTHER_VECTORS))
    deploy(world, config(title="Second"), new_vectors=True)
    said: list[str] = []
    rollback(world, say=said.append)
    assert any("have to be embedded again" in line for line in said)
