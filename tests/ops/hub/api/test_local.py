from __future__ import annotations

from typing import TYPE_CHECKING

import loopback
import pytest
from fakes.runner import FakeRunner
from hub_world import READ, WRITE, hub_world
from huggingface_hub.errors import HfHubHTTPError

from ops.adapters.local_hub import LocalHubFaults, Ordered
from ops.errors import ConfigError, NotAllowed, NotRunning, OpsError
from ops.hub import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub_world import World


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One Hub for all."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        yield world


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    """A Hub without faults."""
    yield shared
    shared.hub.faults.clear()


def test_a_running_hub_takes_orders(world: World) -> None:
    """What is ordered over http happens, is listed until it has, and can be called off."""
    faults = LocalHubFaults(world.hub.endpoint, WRITE)
    added = faults.add("status 503 times=2 GET /api/whoami-v2")
    number = added[0].number
    with pytest.raises(HfHubHTTPError):
        world.api.whoami()
    assert faults.ordered() == [Ordered(number, "status 503 times=2 GET /api/whoami-v2", 1)]
    faults.add("conflict")
    faults.remove(number)
    assert world.api.whoami()["name"] == "me"
    assert [fault.fault for fault in faults.ordered()] == ["conflict"]
    assert faults.clear() == []


def test_orders_always_come_through(world: World) -> None:
    """A Hub whose every request fails can still be told to stop it, and forgets no request."""
    world.hub.faults.add(Fault("status", times=None))
    world.hub.faults.add(Fault("revoke", times=None))
    world.hub.faults.mark()
    assert LocalHubFaults(world.hub.endpoint, WRITE).clear() == []
    assert world.hub.faults.seen == ()


@pytest.mark.parametrize(
    ("token", "order", "error", "said"),
    [
        (READ, "cut", NotAllowed, "HF_TOKEN"),
        ("hf_nobody", "cut", NotAllowed, "HF_TOKEN"),
        (WRITE, "explode", ConfigError, "'explode'"),
        (WRITE, "", ConfigError, "known are"),
    ],
)
def test_what_cannot_be_ordered_is_said_why(
    world: World, token: str, order: str, error: type[OpsError], said: str
) -> None:
    """And nothing is."""
    with pytest.raises(error) as caught:
        LocalHubFaults(world.hub.endpoint, token).add(order)
    assert said in f"{caught.value.message} {caught.value.next_step}"
    assert token not in repr(caught.value)
    assert world.hub.faults.pending == ()


def test_there_is_no_fault_of_that_number(world: World) -> None:
    """Calling it off says so."""
    with pytest.raises(ConfigError, match="no such fault"):
        LocalHubFaults(world.hub.endpoint, WRITE).remove(999)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "127.0.0.1:9", "nonsense"])
def test_no_hub_answers(url: str) -> None:
    """A Hub that is not there, or no URL at all."""
    with pytest.raises(NotRunning, match="No Hub answers"):
        LocalHubFaults(url, WRITE).ordered()


def test_a_stranger_orders_nothing(world: World) -> None:
    """Without a token, by any method."""
    url = f"{world.hub.endpoint}/_local/faults"
    for method in ("GET", "POST", "DELETE"):
        assert loopback.request(method, url, json={"fault": "cut"}).status_code == 401
    assert world.hub.faults.pending == ()
