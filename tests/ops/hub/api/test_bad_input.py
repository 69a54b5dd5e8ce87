"""Every route of the Hub, asked for what nobody should ask for."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING

import httpx2
import pytest
from fakes.runner import FakeRunner
from hub_world import WRITE, hub_world

from ops.hub.api.app import _MODULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub_world import World


def everything(value: object) -> bytes:
    """One value for whatever any handler may read."""
    names = (
        *("name", "organization", "type", "tag", "message", "repository", "fromRepo", "toRepo"),
        *("paths", "files", "content", "key", "value", "flavor", "seconds", "visibility"),
        *("gated", "volumes", "startingPoint", "secrets", "variables", "hardware", "fault"),
    )
    return json.dumps(dict.fromkeys(names, value)).encode()


BODIES = (
    *(b"", b"{}", b"[]", b'{"a":', b"\xff", b"[" * 10_000),
    *map(everything, (None, 5, 1e30, True, [], {}, [None], [{"path": 1}], {"a": [1]})),
    *map(everything, ("", "a\0b", "\ud800", "me/\ud800", "../..", "x" * 10_000)),
    everything([{"path": "\ud800", "size": 1, "sample": "ä", "key": "K", "value": "\ud800"}]),
)
PARTS = (
    *("none", "a%2Fb", "%00", "%ff", "..%2F..", "main%7E1", "-x", "%F0%9F%98%80"),
    *("x" * 300, "9" * 5000),
)
_ANSWERED = {
    (handler, method): (path, method)
    for module in _MODULES
    for path, methods, handler in sorted(module.routes(), key=lambda route: route[0].count("{"))
    for method in methods
}
ROUTES = sorted(_ANSWERED.values())
"""One for each handler, that with the most to fill in."""
KNOWN = {
    "owner": "me",
    "name": "app",
    "rev": "main",
    "path": "README.md",
    "revisions": "main..main",
    "oid": "0" * 64,
}
_LIVE = ("/logs/{which}", "/events")
"""They answer for as long as one listens."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a Space and a model of the same name."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        world.create()
        world.api.create_repo("me/app")
        yield world


def filled(route: str, **parts: str) -> str:
    """An address of a route."""
    kind = "spaces" if "space_kind" in route or "page_kind" in route else "models"
    values = {**KNOWN, "kind": kind, **parts}
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda match: values.get(match[1], "1"), route)


def named(route: str) -> list[str]:
    """The parts of a route that anybody may fill in."""
    return [name for name in re.findall(r"\{(\w+)", route) if name != "kind"]


@pytest.fixture(scope="module")
def http(world: World) -> Iterator[httpx2.Client]:
    """The Hub's owner, who keeps one connection."""
    headers = {"Authorization": f"Bearer {WRITE}"}
    with httpx2.Client(base_url=world.hub.endpoint, headers=headers, timeout=30) as http:
        yield http


def ask(http: httpx2.Client, method: str, address: str, body: bytes = b"") -> int:
    """The status of a reply."""
    return http.request(method, address, content=body).status_code


@pytest.mark.parametrize(("path", "method"), [r for r in ROUTES if r[1] != "GET"])
def test_no_body_is_too_strange_for_an_answer(http: httpx2.Client, path: str, method: str) -> None:
    """Whatever is sent is refused or done, and nothing that is kept is damaged by it."""
    for body in BODIES:
        status = ask(http, method, filled(path), body)
        assert status < 500 or status == 501, body
    for kind in ("spaces", "models"):
        ask(http, "POST", "/api/repos/create", b'{"name":"app","type":"space","sdk":"docker"}')
        ask(http, "POST", "/api/repos/create", b'{"name":"app"}')
        assert ask(http, "GET", f"/api/{kind}/me/app") == 200


@pytest.mark.parametrize(
    ("path", "method"), [r for r in ROUTES if named(r[0]) and not r[0].endswith(_LIVE)]
)
def test_no_address_is_too_strange_for_an_answer(
    http: httpx2.Client, path: str, method: str
) -> None:
    """Names, revisions, numbers and signatures that cannot be are not found, or refused."""
    query = "?limit=%F0%9F&p=1e9&cursor=%2F&expand=%00&recursive=%FF&search=%00&sort=%D9%A4"
    for name, part in itertools.product(named(path), PARTS):
        status = ask(http, method, filled(path, **{name: part}) + query, b"{}")
        assert status < 500 or status == 501, (name, part[:20])


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
@pytest.mark.parametrize("token", ["ä", "hf_wri te", "x" * 10_000, '"'])
def test_a_strange_token_is_nobodys(http: httpx2.Client, scheme: str, token: str) -> None:
    """As the client sends it, or as git does."""
    headers = {b"Authorization": f"{scheme} {token}".encode("latin-1")}
    assert http.get("/api/whoami-v2", headers=headers).status_code == 401
