from __future__ import annotations

from typing import TYPE_CHECKING, Any

import loopback
import pytest
from fakes.runner import FakeRunner
from hub_world import FREE, OTHER, READ, SPACE, WRITE, hub_world
from huggingface_hub import Volume
from huggingface_hub.errors import HfHubHTTPError

from ops.hub import Rules

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2
    from hub_world import World


def test_a_secrets_value_never_comes_out(world: World) -> None:
    """No reply about a Space holds the value of a secret; names and times are listed."""
    world.create(space_secrets=[{"key": "S", "value": "hidden-1"}])
    world.api.add_space_secret(SPACE, "T", "hidden-2", description="second")
    listed = world.api.get_space_secrets(SPACE)
    assert {name: s.description for name, s in listed.items()} == {"S": "", "T": "second"}
    base = f"{world.hub.endpoint}/api/spaces/{SPACE}"
    for path in ("", "/secrets", "/variables", "/runtime"):
        reply = loopback.get(base + path, headers={"Authorization": f"Bearer {WRITE}"})
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


@pytest.mark.parametrize("field", ["secrets", "variables"])
def test_a_head_request_changes_nothing(world: World, field: str) -> None:
    """It is answered as a GET is, whatever its body names."""
    world.create(space_secrets=[{"key": "K", "value": "1"}])
    world.api.add_space_variable(SPACE, "K", "1")
    reply = loopback.request(
        "HEAD",
        f"{world.hub.endpoint}/api/spaces/{SPACE}/{field}",
        json={"key": "K"},
        headers={"Authorization": f"Bearer {WRITE}"},
    )
    assert reply.status_code == 200
    assert list(world.api.get_space_secrets(SPACE)) == ["K"]
    assert list(world.api.get_space_variables(SPACE)) == ["K"]


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
            reply = loopback.get(
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
    """Another one is set on paid hardware only; on free hardware the client says so."""
    world.create()
    assert world.api.get_space_runtime(SPACE).sleep_time == 48 * 3600
    with pytest.warns(UserWarning, match="not configurable"):
        assert world.api.set_space_sleep_time(SPACE, 300).sleep_time == 48 * 3600
    assert world.api.request_space_hardware(SPACE, "cpu-upgrade").sleep_time is None
    assert world.api.set_space_sleep_time(SPACE, -1).sleep_time == -1


@pytest.mark.parametrize("seconds", [-2, 2**53, 1.5, 0.0, "60", True, None])
def test_a_sleep_time_is_a_number_of_seconds(world: World, seconds: object) -> None:
    """Anything else is refused (400)."""
    world.create(space_hardware="cpu-upgrade")
    reply = ask(world, "POST", "sleeptime", json={"seconds": seconds})
    assert reply.status_code == 400


def ask(world: World, method: str, path: str, **options: Any) -> httpx2.Response:
    """A request of the Space's owner."""
    return loopback.request(
        method,
        f"{world.hub.endpoint}/api/spaces/{SPACE}/{path}",
        headers={"Authorization": f"Bearer {WRITE}"},
        **options,
    )


def test_free_hardware_needs_a_plan(world: World) -> None:
    """Whoever has no paid plan cannot move a Docker Space to cpu-basic (402)."""
    free = world.client(FREE)
    free.create_repo(
        "free/app", repo_type="space", space_sdk="docker", space_hardware="cpu-upgrade"
    )
    with pytest.raises(HfHubHTTPError) as caught:
        free.request_space_hardware("free/app", "cpu-basic")
    assert caught.value.response.status_code == 402


def test_volumes_are_kept_and_shown(world: World) -> None:
    """They are set in the create call and later, shown with the runtime, and taken away."""
    first, second = (
        Volume(type="model", source="me/m", mount_path=f"/{name}", read_only=True) for name in "ab"
    )
    world.create(space_volumes=[first])
    assert world.api.get_space_runtime(SPACE).volumes == [first]
    world.api.set_space_volumes(SPACE, [first, second])
    assert world.api.space_info(SPACE).runtime.volumes == [first, second]
    world.api.delete_space_volumes(SPACE)
    assert world.api.get_space_runtime(SPACE).volumes is None


@pytest.mark.parametrize(
    "volumes",
    [
        None,
        [],
        [{"type": "model", "source": "me/m"}],
        [{"type": "disk", "source": "me/m", "mountPath": "/a"}],
        [{"type": "model", "source": "me/m", "mountPath": "a"}],
    ],
)
def test_volumes_that_cannot_be(world: World, volumes: object) -> None:
    """They are refused (400), and those before are kept."""
    kept = Volume(type="bucket", source="me/b", mount_path="/data")
    world.create(space_volumes=[kept])
    assert ask(world, "PUT", "volumes", json={"volumes": volumes}).status_code == 400
    assert world.api.get_space_runtime(SPACE).volumes == [kept]


def test_there_is_no_dev_mode(world: World) -> None:
    """It is refused in words (400)."""
    world.create()
    with pytest.raises(HfHubHTTPError, match="no dev mode"):
        world.api.enable_space_dev_mode(SPACE)


def test_a_restart_needs_to_be_allowed(tmp_path: Path) -> None:
    """With as many running Spaces as the plan has, another one's restart is a 403."""
    with hub_world(tmp_path, FakeRunner(), rules=Rules(running_spaces=1)) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        world.api.create_repo("me/second", repo_type="space", space_sdk="docker")
        with pytest.raises(HfHubHTTPError, match="pause your previous Spaces") as caught:
            world.api.restart_space("me/second")
        assert caught.value.response.status_code == 403
        world.api.restart_space(SPACE)
