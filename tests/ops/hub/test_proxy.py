from __future__ import annotations

import loopback
import pytest
from hub_world import OTHER, READ, SPACE, WRITE, World

from ops.hub import Fault, Grant


@pytest.fixture
def url(world: World) -> str:
    """The origin of a private Space that runs."""
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    return world.url()


def bearer(token: str) -> str:
    """A header's value."""
    return f"Bearer {token}"


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-HF-Authorization": bearer("hf_nobody")}, {"X-HF-Authorization": bearer(OTHER)}],
    ids=["no token", "unknown token", "somebody else"],
)
def test_a_private_space_does_not_exist_for_strangers(url: str, headers: dict[str, str]) -> None:
    """Without a token of its owner, every path of a private Space is a 404."""
    assert loopback.get(f"{url}/health", headers=headers).status_code == 404


def test_the_hubs_token_is_taken_off(url: str) -> None:
    """X-HF-Authorization opens the Space and never reaches the app; Authorization does."""
    headers = {"X-HF-Authorization": bearer(READ), "Authorization": "Bearer app-key"}
    seen = loopback.get(url, headers=headers).json()["headers"]
    assert seen["authorization"] == "Bearer app-key"
    assert "x-hf-authorization" not in seen


def test_authorization_opens_it_too(url: str) -> None:
    """A client with room for one key only sends the Hub's token in Authorization."""
    assert loopback.get(url, headers={"Authorization": bearer(READ)}).status_code == 200


def test_public_and_protected_apps_are_open(world: World, url: str) -> None:
    """Visibility decides at once, without a restart."""
    for visibility, status in (("protected", 200), ("public", 200), ("private", 404)):
        world.api.update_repo_settings(SPACE, repo_type="space", visibility=visibility)
        assert loopback.get(url).status_code == status


def test_requests_pass_through_unchanged(url: str) -> None:
    """Method, path, query and body reach the app as they were sent."""
    reply = loopback.post(
        f"{url}/a%20b/c?x=1&x=2",
        content="grüße".encode(),
        headers={"X-HF-Authorization": bearer(WRITE)},
    ).json()
    assert (reply["path"], reply["query"], reply["body"]) == ("/a b/c", "x=1&x=2", "grüße")


def test_replies_are_streamed_with_their_headers(url: str) -> None:
    """A reply without a length arrives whole, with the app's own headers."""
    reply = loopback.get(f"{url}/stream", headers={"X-HF-Authorization": bearer(WRITE)})
    assert reply.text == "one two"
    assert reply.headers["x-own"] == "kept"


@pytest.mark.parametrize("chunked", [False, True])
def test_more_than_10_mb_is_refused(url: str, *, chunked: bool) -> None:
    """A larger payload is a 413, whether or not it says its length."""
    body = b"x" * (10 * 1024 * 1024 + 1)
    content = iter([body[:100], body[100:]]) if chunked else body
    reply = loopback.post(url, content=content, headers={"X-HF-Authorization": bearer(WRITE)})
    assert reply.status_code == 413


def test_no_app_is_a_503(world: World) -> None:
    """Where nothing runs, the owner is told the stage."""
    world.create()
    world.wait_for_stage("NO_APP_FILE")
    reply = loopback.get(world.url(), headers={"X-HF-Authorization": bearer(WRITE)})
    assert reply.status_code == 503
    assert "NO_APP_FILE" in reply.text


def test_waking_has_a_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A visitor of a sleeping Space that does not come up in time is told that it starts."""
    monkeypatch.setattr(world.hub._state, "wake_limit", 0.2)
    world.create(space_hardware="cpu-upgrade", space_sleep_time=3600)
    world.push({})
    world.wait_for_stage("RUNNING")
    world.api.set_space_sleep_time(SPACE, 0)
    world.wait_for_stage("SLEEPING")
    world.hub.faults.add(Fault("hang-start"))
    reply = loopback.get(world.url(), headers={"X-HF-Authorization": bearer(WRITE)})
    assert reply.status_code == 503
    assert reply.headers["x-space-stage"] in ("BUILDING", "APP_STARTING")


def test_a_revoked_token_opens_nothing(world: World, url: str) -> None:
    """What the Hub does not know any more is no token from the next request on."""
    world.hub.accounts.grant("me", "hf_short", Grant("read"))
    opens = {"X-HF-Authorization": bearer("hf_short")}
    assert loopback.get(url, headers=opens).status_code == 200
    world.hub.accounts.revoke("hf_short")
    assert loopback.get(url, headers=opens).status_code == 404
