from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.adapters.retries import Retries
from ops.destroy import destroy, doomed
from ops.errors import ConfigError
from ops.hub.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World

VALUE = "a-secret-value"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub with a Space that has one of everything."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        world.create(space_secrets=[{"key": "KEYS", "value": VALUE}])
        world.api.add_space_variable(SPACE, "LEVEL", "info")
        commit = world.push({})
        world.api.create_tag(SPACE, tag="release-1", revision=commit, repo_type="space")
        yield world


@pytest.fixture
def hub(world: World) -> Hub:
    """The Hub as its owner sees it."""
    return Hub(world.hub.endpoint, WRITE, retries=Retries(first_wait=0.05))


def there(world: World) -> bool:
    """Whether the Space is."""
    return bool(world.api.repo_exists(SPACE, repo_type="space"))


def test_what_is_lost_is_said(world: World, hub: Hub) -> None:
    """Files, releases and settings by name; looking changes nothing and shows no value."""
    world.hub.faults.mark()
    found = doomed(hub, "app")
    assert (found.repo_id, found.files, found.releases) == (SPACE, 3, ("release-1",))
    assert (found.variables, found.secrets) == (("LEVEL",), ("KEYS",))
    text = "\n".join(found.lines())
    assert all(name in text for name in (SPACE, "release-1", "LEVEL", "KEYS"))
    assert VALUE not in text
    assert {seen.method for seen in world.hub.faults.seen} <= {"GET", "HEAD"}


def test_the_full_name_destroys_it(world: World, hub: Hub) -> None:
    """Afterwards it is not there."""
    destroy(hub, doomed(hub, SPACE), named=SPACE)
    assert not there(world)


@pytest.mark.parametrize("named", ["app", "me/App", "me/app ", ""])
def test_any_other_name_does_not(world: World, hub: Hub, named: str) -> None:
    """Nearly right is wrong."""
    with pytest.raises(ConfigError, match="Nothing was touched"):
        destroy(hub, doomed(hub, SPACE), named=named)
    assert there(world)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_reply_is_looked_into(world: World, hub: Hub, when: str) -> None:
    """Whether it was done before the connection was lost or not, it ends destroyed and no error."""
    found = doomed(hub, SPACE)
    world.hub.faults.add(Fault("cut", method="DELETE", path="/api/repos/delete", when=when))  # type: ignore[arg-type]
    destroy(hub, found, named=SPACE)
    assert not world.hub.faults.pending
    assert not there(world)


def test_no_such_space(hub: Hub) -> None:
    """What is not there is said so."""
    with pytest.raises(ConfigError, match="no Space me/none"):
        doomed(hub, "me/none")
