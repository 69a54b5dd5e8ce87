from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest
from hub_world import OTHER, READ, SPACE, WRITE
from huggingface_hub.errors import HfHubHTTPError

if TYPE_CHECKING:
    from hub_world import World


def test_a_secrets_value_never_comes_out(world: World) -> None:
    """No reply about a Space holds the value of a secret; names and times are listed."""
    world.create(space_secrets=[{"key": "S", "value": "hidden-1"}])
    world.api.add_space_secret(SPACE, "T", "hidden-2", description="second")
    listed = world.api.get_space_secrets(SPACE)
    assert {name: s.description for name, s in listed.items()} == {"S": "", "T": "second"}
    base = f"{world.hub.endpoint}/api/spaces/{SPACE}"
    for path in ("", "/secrets", "/variables", "/runtime"):
        reply = httpx2.get(base + path, headers={"Authorization": f"Bearer {WRITE}"})
        assert reply.status_code == 200
        assert "hidden" not in reply.text
    world.api.delete_space_secret(SPACE, "S")
    assert list(world.api.get_space_secrets(SPACE)) == ["T"]


def test_variables_are_set_changed_and_removed(world: World) -> None:
    """Each change answers with all variables, as the client needs."""
    world.create()
    world.api.add_space_variable(SPACE, "A", "1")
    after = world.api.add_space_variable(SPACE, "B", "2")
    assert {k: v.value for k, v in after.items()} == {"A": "1", "B": "2"}
    assert {k: v.value for k, v in world.api.add_space_variable(SPACE, "A", "3").items()} == {
        "A": "3",
        "B": "2",
    }
    assert list(world.api.delete_space_variable(SPACE, "A")) == ["B"]


@pytest.mark.parametrize("name", ["1A", "A-B", "_A", "", "Ä"])
def test_a_name_that_cannot_be_one_is_refused(world: World, name: str) -> None:
    """Names follow the Hub's pattern."""
    world.create()
    with pytest.raises(HfHubHTTPError) as caught:
        world.api.add_space_variable(SPACE, name, "1")
    assert caught.value.response.status_code == 400


def test_only_who_may_write_sees_secrets_and_logs(world: World) -> None:
    """Names of secrets and logs are not for a token that only reads."""
    world.create()
    for path in ("secrets", "logs/run", "logs/build"):
        for token, status in ((READ, 403), (OTHER, 404)):
            reply = httpx2.get(
                f"{world.hub.endpoint}/api/spaces/{SPACE}/{path}",
                headers={"Authorization": f"Bearer {token}"},
            )
            assert reply.status_code == status


def test_hardware_is_listed_and_changed(world: World) -> None:
    """Flavours carry their price; a change is requested at once and refused for unknown ones."""
    world.create()
    prices = {f.name: f.unit_cost_usd for f in world.api.list_spaces_hardware()}
    assert prices["cpu-basic"] == 0
    assert prices["cpu-upgrade"] == pytest.approx(0.03 / 60)
    runtime = world.api.request_space_hardware(SPACE, "cpu-upgrade", sleep_time=300)
    assert (runtime.requested_hardware, runtime.sleep_time) == ("cpu-upgrade", 300)
    with pytest.raises(HfHubHTTPError) as caught:
        world.api.request_space_hardware(SPACE, "cpu-imaginary")
    assert caught.value.response.status_code == 400


def test_the_sleep_time_of_cpu_basic_is_fixed(world: World) -> None:
    """It is set on paid hardware only."""
    world.create()
    with pytest.raises(HfHubHTTPError) as caught:
        world.api.set_space_sleep_time(SPACE, 300)
    assert caught.value.response.status_code == 400
    world.api.request_space_hardware(SPACE, "cpu-upgrade")
    assert world.api.set_space_sleep_time(SPACE, -1).sleep_time == -1
