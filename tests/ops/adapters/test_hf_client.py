"""The client library with a Hub that leads elsewhere, or is none: hf_client and hf_errors."""

from __future__ import annotations

import itertools
import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import running_ops
from fakes.runner import FakeRunner
from fakes.stranger import asking_for_a_password, chunk, forwarding, redirect, reply, stranger
from hub_world import SPACE, hub_world
from huggingface_hub import constants

from ops.adapters import hf_hub, hf_log
from ops.adapters.hf_hub import Hub
from ops.adapters.retries import Retries
from ops.errors import Exit, NotAHub, OpsError
from ops.http_client import Limits
from ops.logs import Reconnecting, follow, logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fakes.stranger import Asked
    from hub_world import World

TOKEN = "hf_of_this_test_alone_and_no_other"
SECRET = "the-value-of-a-secret"
ONCE = Retries(tries=1)


@pytest.fixture(scope="module", name="world")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a Space."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        world.create()
        world.push({"large.bin": os.urandom(20) + b"\0"})
        yield world


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect"])
@pytest.mark.parametrize(
    "write",
    [
        lambda hub: hub.set_secret(SPACE, "KEY", SECRET),
        lambda hub: hub.set_variable(SPACE, "KEY", SECRET),
        lambda hub: hub.create_space(
            SPACE, visibility="private", hardware="cpu-basic", sleep_time=None,
            secrets={"KEY": SECRET}, variables={},
        ),
        lambda hub: hub.commit(
            SPACE, add={"a": SECRET.encode()}, delete=[], title="t", description="", parent="0" * 40
        ),
        lambda hub: hub.unset_secret(SPACE, "KEY"),
        lambda hub: hub.delete_space(SPACE),
    ],
)  # fmt: skip
def test_a_write_is_not_sent_elsewhere(write: Callable[[Hub], object], status: str) -> None:
    """It ends with where it should have gone; nothing of it is there."""
    with (
        stranger(asking_for_a_password()) as thief,
        stranger(lambda asked: redirect(thief.origin + asked.path, status)) as server,
    ):
        with pytest.raises(NotAHub, match="redirected it to another address") as raised:
            write(Hub(server.origin, TOKEN, retries=ONCE))
        assert thief.origin in raised.value.message
        assert (raised.value.exit_code, bool(raised.value.next_step)) == (Exit.UNHEALTHY, True)
        assert not [asked for asked in thief.asked if asked.body]
        assert TOKEN not in thief.everything
        assert SECRET not in thief.everything


def test_the_next_page_is_asked_for_without_the_token() -> None:
    """The library would send it to whatever address the Hub gives for the next page."""
    with stranger(lambda _: reply(b"[]")) as thief:
        link = f'<{thief.origin}/next>; rel="next"'
        with stranger(lambda _: reply(b"[]", Link=link)) as server:
            Hub(server.origin, TOKEN).files(SPACE, "main")
        assert len(thief.asked) == 1
        assert TOKEN in server.everything
        assert TOKEN not in thief.everything


def test_pages_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hub that always has one more is none."""
    monkeypatch.setattr(hf_hub, "_LIMIT", 0.5)
    with (
        stranger(lambda _: reply(b"[]", Link=f'<{server.origin}/next>; rel="next"')) as server,
        pytest.raises(NotAHub),
    ):
        Hub(server.origin, TOKEN, retries=ONCE).files(SPACE, "main")


@pytest.mark.filterwarnings("ignore:Use 'content")  # the library's own, without Xet
@pytest.mark.parametrize(
    ("part", "xet"),
    [
        ("/preupload/", True),
        ("-token/", True),
        ("/xorbs/", True),
        ("/shards", True),
        ("/commit/", True),
        ("/objects/batch", False),
        ("/_lfs/", False),
    ],
)
def test_an_upload_is_led_to_nobody_else(
    world: World, monkeypatch: pytest.MonkeyPatch, part: str, *, xet: bool
) -> None:
    """Wherever one of its steps leads: the token stays with the Hub."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", not xet)
    monkeypatch.setattr(hf_hub, "_LIMIT", 5)
    token = str(world.api.token)
    parent = str(world.api.space_info(SPACE).sha)
    with stranger(asking_for_a_password(1000)) as thief:

        def answer(asked: Asked) -> bytes:
            if part in asked.path:
                return redirect(thief.origin + asked.path)
            return forwarding(world.hub.endpoint)(asked)

        with stranger(answer) as server, suppress(OpsError):
            Hub(server.origin, token, retries=ONCE).commit(
                SPACE, add={"new.bin": os.urandom(2000) + b"\0"}, delete=[],
                title="t", description="", parent=parent,
            )  # fmt: skip
    assert token in server.everything
    assert token not in thief.everything


def endless(_: Asked) -> Iterator[bytes]:
    """JSON without an end."""
    yield reply(Content_Type="application/json", Transfer_Encoding="chunked")
    yield chunk(b"[")
    yield from itertools.repeat(chunk(b"1," * 30_000))


def slow(_: Asked) -> Iterator[bytes]:
    """A byte now and then."""
    yield reply(Transfer_Encoding="chunked")
    while True:
        time.sleep(0.05)
        yield chunk(b" ")


def slow_head(_: Asked) -> Iterator[bytes]:
    """A byte of the head now and then."""
    yield b"HTTP/1.1 200 OK\r\nX: "
    while True:
        time.sleep(0.05)
        yield b"x"


STRANGE = {
    "object": lambda _: reply(b"{}"),
    "array": lambda _: reply(b"[]"),
    "nested array": lambda _: reply(b"[[1]]"),
    "number": lambda _: reply(b"5"),
    "null": lambda _: reply(b"null"),
    "empty": lambda _: reply(b""),
    "page": lambda _: reply(b"<h1>Log in", Content_Type="text/html"),
    "deep": lambda _: reply(b"[" * 100_000),
    "digits": lambda _: reply(b"1" * 10_000),
    "bytes": lambda _: reply(bytes(range(256))),
    "names of other types": lambda _: reply(
        b'{"name": 5, "id": 5, "sha": [], "host": {}, "stage": 5, "value": 5, "hardware": []}'
    ),
    "bad gzip": lambda _: reply(b"not zipped", Content_Encoding="gzip"),
    "circle": lambda asked: redirect(asked.path),
    "endless": endless,
    "slow": slow,
    "slow head": slow_head,
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question ends with that, a cause and a next step, whatever came for an answer."""
    monkeypatch.setattr(hf_hub, "_LIMIT", 0.25)
    with stranger(STRANGE[name]) as server:
        hub = Hub(server.origin, TOKEN, retries=Retries(tries=2, first_wait=0))
        for ask in (
            hub.account,
            lambda: hub.space(SPACE),
            lambda: hub.model("org/model", "main"),
            lambda: hub.runtime(SPACE),
            lambda: hub.refs(SPACE),
            lambda: hub.pause(SPACE),
        ):
            with pytest.raises(NotAHub, match="did not answer like a Hugging Face Hub") as raised:
                ask()
            assert raised.value.cause
            assert server.origin in (raised.value.next_step or "")
            assert raised.value.exit_code == Exit.UNHEALTHY


@pytest.mark.parametrize("name", STRANGE)
def test_lists_of_what_is_no_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are empty, or end as everything else does; never a mistake of ours."""
    monkeypatch.setattr(hf_hub, "_LIMIT", 0.25)
    with stranger(STRANGE[name]) as server:
        hub = Hub(server.origin, TOKEN, retries=ONCE)
        for ask in (
            lambda: hub.files(SPACE, "main"),
            lambda: hub.commit_messages(SPACE),
            lambda: hub.variables(SPACE),
            lambda: hub.secret_times(SPACE),
            hub.flavours,
            hub.time,
            lambda: hub.commit(
                SPACE, add={"a": b"1"}, delete=[], title="t", description="", parent="0" * 40
            ),
        ):
            with suppress(NotAHub):
                ask()


EVENT = b'data: {"data": "line\\n", "timestamp": "2026-01-01T00:00:00.000Z"}\n\n'


def log_of(
    *parts: bytes, date: str = "Thu, 01 Jan 2099 00:00:00 GMT", every: float = 0
) -> Callable[[Asked], Iterator[bytes]]:
    """A Hub with a Space, and a log that goes on and on with the last of these parts."""

    def answer(asked: Asked) -> Iterator[bytes]:
        if "/logs/" not in asked.path:
            yield reply(json.dumps({"id": SPACE, "sha": "0" * 40, "private": True}).encode())
            return
        yield reply(Content_Type="text/event-stream", Date=date, Transfer_Encoding="chunked")
        for part in itertools.chain(parts, itertools.repeat(parts[-1])):
            time.sleep(every)
            yield chunk(part)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        log_of(b"data: ", b"x" * 50_000),
        log_of(EVENT * 500),
        log_of(EVENT, every=0.1),
        log_of(b": still there\n\n", every=0.1),
        log_of(EVENT, date="no date", every=0.1),
    ],
    ids=["endless event", "endless log", "never pausing", "comments", "no date"],
)
def test_a_log_that_does_not_end(
    answer: Callable[[Asked], Iterator[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there so far has an end, in size and in time."""
    monkeypatch.setattr(hf_hub, "LOG_SO_FAR", Limits(size=2_000_000, seconds=1))
    monkeypatch.setattr(hf_log, "_LARGEST_EVENT", 500_000)
    with stranger(answer) as server, pytest.raises(NotAHub):
        logs(Hub(server.origin, TOKEN, retries=ONCE), SPACE, last=5)


def test_an_event_without_an_end_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever follows a log keeps no more than a line of it."""
    monkeypatch.setattr(hf_log, "_LARGEST_EVENT", 500_000)
    said: list[str] = []
    reconnecting = Reconnecting(first_wait=0, longest_wait=0, limit=0)
    with stranger(log_of(b"data: ", b"x" * 50_000)) as server:
        lines = follow(
            Hub(server.origin, TOKEN, retries=ONCE),
            SPACE,
            say=said.append,
            reconnecting=reconnecting,
        )
        with pytest.raises(NotAHub):
            list(lines)


def test_events_that_are_no_lines() -> None:
    """They are passed over."""
    odd = [
        b"data: {\n\n", b"data: []\n\n", b"data: 5\n\n", b'data: {"data": 1, "timestamp": 2}\n\n',
        b'data: {"data": 1, "timestamp": "2026-01-01T00:00:00.000Z"}\n\n',
        b"data: " + b"[" * 100_000, b"\n\n", EVENT,
        b'data: {"data": "", "timestamp": "2099-01-02T00:00:00.000Z"}\n\n',
    ]  # fmt: skip
    with stranger(log_of(*odd)) as server:
        found = logs(Hub(server.origin, TOKEN, retries=ONCE), SPACE)
    assert [line.text for line in found] == ["line"]


def test_the_hub_is_asked_for_nothing_but_the_space(world: World, tmp_path: Path) -> None:
    """No telemetry, and no list of programs, junk in which the client would keep for a day."""
    (tmp_path / "space.toml").write_text(f'[space]\nrepo_id = "{SPACE}"\n[model]\nid = "org/m"\n')
    kept = tmp_path / "hf" / ".agent_harnesses.json"
    kept.parent.mkdir()
    kept.write_text('{"harnesses": 5, "standardEnvVars": 5}')
    with stranger(forwarding(world.hub.endpoint)) as server:
        done = running_ops.run(
            tmp_path, "--json", "status",
            HF_ENDPOINT=server.origin, HF_TOKEN=str(world.api.token), AI_AGENT="x",
            HF_HUB_DISABLE_TELEMETRY="0",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {asked.path.split("?")[0] for asked in server.asked} <= {
        f"/api/spaces/{SPACE}{rest}"
        for rest in ("", "/runtime", "/refs", "/logs/run", "/commits/main", "/secrets")
    } | {"/api/spaces/hardware"}
    assert "torch/" not in server.everything
