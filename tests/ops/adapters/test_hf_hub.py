from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.asgi_server import serving
from fakes.runner import FakeRunner
from hub_world import FREE, OTHER, READ, SPACE, WRITE, hub_world
from starlette.responses import HTMLResponse

from ops.adapters.hf_hub import Hub
from ops.errors import ConfigError, Conflict, HubUnreachable, NotAllowed, OpsError
from ops.hub.fault_text import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hub_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub and its owner's client."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        yield world


@pytest.fixture
def hub(world: World) -> Hub:
    """The adapter, with a token that may write."""
    return Hub(world.hub.endpoint, WRITE)


def create(hub: Hub, repo_id: str = SPACE) -> None:
    """Create a plain private Space."""
    hub.create_space(
        repo_id,
        visibility="private",
        hardware="cpu-basic",
        sleep_time=None,
        secrets={},
        variables={},
    )


def test_a_token_is_in_no_text(hub: Hub) -> None:
    """Neither the adapter nor a failure shows the token."""
    assert WRITE not in repr(hub)
    with pytest.raises(OpsError) as caught:
        hub.files("me/missing", "main")
    shown = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.next_step}"
    assert WRITE not in shown


def test_a_space_that_is_not_there_is_none(hub: Hub) -> None:
    """Absence is a value, not a failure."""
    assert hub.space("me/missing") is None


@pytest.mark.parametrize(
    ("token", "attempt", "exit_code"),
    [
        ("hf_unknown", lambda hub: hub.account(), 9),
        (READ, create, 9),
        (FREE, lambda hub: create(hub, "free/app"), 9),
        (OTHER, create, 9),
        (WRITE, lambda hub: (create(hub), create(hub)), 10),
    ],
    ids=["unknown token", "read-only token", "no paid plan", "somebody else's", "exists already"],
)
def test_refusals_become_errors_with_a_next_step(
    world: World, token: str, attempt: Callable[[Hub], object], exit_code: int
) -> None:
    """Each status of the Hub has its exit code, and says what to do."""
    with pytest.raises((NotAllowed, Conflict)) as caught:
        attempt(Hub(world.hub.endpoint, token))
    assert caught.value.exit_code == exit_code
    assert caught.value.cause
    assert caught.value.next_step


def test_a_lost_race_is_a_conflict(hub: Hub) -> None:
    """A commit on top of an older one writes nothing."""
    create(hub)
    space = hub.space(SPACE)
    assert space is not None
    options = {"delete": [], "title": "t", "description": ""}
    newest = hub.commit(SPACE, add={"a": b"1"}, parent=space.commit, **options)
    with pytest.raises(Conflict):
        hub.commit(SPACE, add={"a": b"2"}, parent=space.commit, **options)
    assert hub.read_file(SPACE, "a", newest) == b"1"


def test_a_commit_is_found_below_somebody_elses(world: World, hub: Hub) -> None:
    """Its reply was lost, and another one is on top when somebody looks: it was written once."""
    create(hub)
    space = hub.space(SPACE)
    assert space is not None
    world.hub.faults.add(parse(f"cut when=after POST /api/spaces/{SPACE}/commit/main"))
    world.hub.faults.add(parse(f"commit GET /api/spaces/{SPACE}/commits/main"))
    made = hub.commit(
        SPACE, add={"a": b"1"}, delete=[], title="t", description="", parent=space.commit
    )
    commits = world.api.list_repo_commits(SPACE, repo_type="space")
    assert commits[0].authors == ["somebody-else"]
    assert commits[1].commit_id == made
    assert commits[2].commit_id == space.commit


def test_an_unknown_model_is_a_config_error(hub: Hub) -> None:
    """A model that the Hub lacks is said to be a mistake in space.toml."""
    with pytest.raises(ConfigError, match="org/model at revision main"):
        hub.model_commit("org/model", "main")


def test_a_hub_that_does_not_answer_is_said_so(world: World) -> None:
    """Without a network the error names the endpoint, and no trace of the client's is needed."""
    endpoint = world.hub.endpoint
    world.hub.__exit__()
    with pytest.raises(OpsError, match="did not answer") as caught:
        Hub(endpoint, WRITE).account()
    assert endpoint in caught.value.message


def test_what_is_no_hub_is_said_so() -> None:
    """A page of a proxy or of another server, which is no JSON, is told as such."""
    with serving(HTMLResponse("<h1>Log in first</h1>")) as origin:
        hub, said = Hub(origin, WRITE), f"{origin} did not answer like a Hugging Face Hub"
        for ask in (hub.account, lambda: hub.space(SPACE), lambda: hub.runtime(SPACE)):
            with pytest.raises(HubUnreachable, match=said) as caught:
                ask()
            assert caught.value.next_step
