from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, World, hub_world

from ops.adapters.hf_hub import Hub
from ops.adapters.retries import Retries
from ops.errors import HubUnreachable, NotAllowed, OpsError
from ops.hub.fault_text import parse

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", name="world")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with an empty Space."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        world.create()
        yield world


@pytest.fixture(name="said")
def _said() -> list[str]:
    """What was said of waiting."""
    return []


@pytest.fixture(name="hub")
def _hub(world: World, said: list[str]) -> Iterator[Hub]:
    """Who asks, without losing time between tries."""
    yield Hub(world.hub.endpoint, WRITE, retries=Retries(tries=3, first_wait=0, say=said.append))
    world.hub.faults.clear()


def push(hub: Hub, name: str) -> str:
    """One commit on top of what is there."""
    space = hub.space(SPACE)
    assert space is not None
    return hub.commit(
        SPACE,
        add={name: b"content"},
        delete=[],
        title=f"Add {name}",
        description="",
        parent=space.commit,
    )


@pytest.mark.parametrize("fault", ["status 503 times=2", "status 429 times=2", "cut times=2"])
def test_a_question_is_asked_again(world: World, hub: Hub, said: list[str], fault: str) -> None:
    """A Hub that fails twice is asked a third time, and the user hears why it takes longer."""
    world.hub.faults.add(parse(f"{fault} GET /api/spaces/*/variables"))
    assert hub.variables(SPACE) == {}
    assert len(said) == 2


@pytest.mark.parametrize("fault", ["status 503", "status 429", "cut"])
def test_the_library_does_not_try_again_by_itself(
    world: World, hub: Hub, said: list[str], capfd: pytest.CaptureFixture[str], fault: str
) -> None:
    """A listing, which the library would ask for six times, is asked for as often as all else."""
    commit = world.api.space_info(SPACE).sha
    world.hub.faults.add(parse(f"{fault} times=always GET /api/spaces/*/tree/*"))
    world.hub.faults.mark()
    with pytest.raises(OpsError):
        hub.files(SPACE, str(commit))
    assert len(world.hub.faults.seen) == 3
    assert len(said) == 2
    assert capfd.readouterr().err == ""


def test_it_gives_up(world: World, hub: Hub) -> None:
    """A Hub that goes on failing is an error with a next step."""
    world.hub.faults.add(parse("cut times=9 GET /api/spaces/*/variables"))
    with pytest.raises(HubUnreachable) as caught:
        hub.variables(SPACE)
    assert caught.value.next_step


def test_a_refusal_is_not_asked_again(world: World, hub: Hub, said: list[str]) -> None:
    """What the Hub will not do is told at once."""
    world.hub.faults.add(parse("status 403 times=9 GET /api/spaces/*/variables"))
    with pytest.raises(NotAllowed):
        hub.variables(SPACE)
    assert said == []


@pytest.mark.parametrize("fault", ["cut when=after", "cut when=before", "cut when=body"])
def test_a_commit_with_a_lost_reply_is_not_made_twice(world: World, hub: Hub, fault: str) -> None:
    """Whether it was carried out or not, there is one commit in the end, and its id is told."""
    before = len(hub.commit_messages(SPACE))
    world.hub.faults.add(parse(f"{fault} POST /api/spaces/*/commit/*"))
    commit = push(hub, fault.replace(" ", "-"))
    space = hub.space(SPACE)
    assert space is not None
    assert space.commit == commit
    assert len(hub.commit_messages(SPACE)) == before + 1


def test_a_tag_with_a_lost_reply_is_there_once(world: World, hub: Hub) -> None:
    """A second try would be told that the tag exists; it is not made."""
    commit = push(hub, "tagged")
    world.hub.faults.add(parse("cut when=after POST /api/spaces/*/tag/*"))
    hub.tag(SPACE, "v1", commit=commit, message="one")
    assert hub.tags(SPACE)["v1"] == commit


def test_a_space_with_a_lost_reply_is_created_once(world: World, hub: Hub) -> None:
    """Creating ends well although the Hub's answer never came."""
    world.hub.faults.add(parse("cut when=after POST /api/repos/create"))
    hub.create_space(
        "me/second",
        visibility="private",
        hardware="cpu-basic",
        sleep_time=None,
        secrets={},
        variables={},
    )
    assert hub.space("me/second") is not None


def test_a_setting_with_a_lost_reply_is_looked_up(world: World, hub: Hub) -> None:
    """A variable that is there already is not written again."""
    world.hub.faults.add(parse("cut when=after POST /api/spaces/*/variables"))
    world.hub.faults.mark()
    hub.set_variable(SPACE, "V", "1")
    written = [seen for seen in world.hub.faults.seen if seen.method == "POST"]
    assert len(written) == 1
    hub.unset_variable(SPACE, "V")


def test_the_hub_says_how_long_to_wait(world: World, said: list[str]) -> None:
    """Retry-After is obeyed, and a wait longer than the limit is none."""
    impatient = Hub(world.hub.endpoint, WRITE, retries=Retries(longest_wait=1, say=said.append))
    world.hub.faults.add(parse("status 429 retry-after=1 GET /api/spaces/*/variables"))
    assert impatient.variables(SPACE) == {}
    assert said == ["The Hub answered 429; trying again in 1 s"]
    world.hub.faults.add(parse("status 429 retry-after=60 GET /api/spaces/*/variables"))
    with pytest.raises(OpsError, match="429"):
        impatient.variables(SPACE)
