"""What a server or the Hub's proxy says is what is told, each with its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import running_ops
from fakes.asgi_server import serving
from fakes.embedding_server import APP_KEY, embedding_app
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

from ops.errors import Exit, OpsError
from ops.probe import Access, Probe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

LOGIN = "/login?next=secret"


def openai_error(status: int, code: str, message: str) -> Response:
    """An error as the server itself answers it."""
    return JSONResponse({"error": {"message": message, "type": "x", "code": code}}, status)


def staged(stage: str) -> Response:
    """How the local Hub's proxy answers for a Space that doesn't serve."""
    return PlainTextResponse(f"This Space is {stage}.", 503, {"X-Space-Stage": stage})


def answering(response: Response) -> ASGIApp:
    """An app that always answers the same, whatever it is asked."""

    async def answer(_: Request) -> Response:
        return response

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


KEY = openai_error(401, "invalid_api_key", "An API key is needed.")
TABLE = {
    "no key": (KEY, Access(), Exit.NOT_ALLOWED, "needs an API key", "Set EMBED_API_KEY"),
    "wrong key": (KEY, Access(None, "k"), Exit.NOT_ALLOWED, "refused the API key", "EMBED_API_KEY"),
    "proxy's 401": (
        PlainTextResponse("Invalid credentials", 401),
        Access(),
        Exit.NOT_ALLOWED,
        "status 401: Invalid credentials",
        "set HF_TOKEN",
    ),
    "403": (
        JSONResponse({"error": "Forbidden: no read access."}, 403),
        Access("hf_x"),
        Exit.NOT_ALLOWED,
        "status 403: Forbidden: no read access",
        "a token that may read the Space",
    ),
    "private": (
        HTMLResponse("<title>404 &middot; Sorry</title>", 404),
        Access(),
        Exit.NOT_ALLOWED,
        "status 404: the page “404 · Sorry”",
        "set HF_TOKEN",
    ),
    "another app's 404": (
        JSONResponse({"detail": "Not Found"}, 404),
        Access(),
        Exit.UNHEALTHY,
        "status 404: Not Found",
        "Check the address",
    ),
    "rate limit": (
        PlainTextResponse("Too many requests", 429, {"Retry-After": "7"}),
        Access(),
        Exit.TIMED_OUT,
        "status 429: Too many requests",
        "in 7 seconds",
    ),
    "stopping": (
        openai_error(503, "stopping", "The server is stopping."),
        Access(),
        Exit.UNHEALTHY,
        "status 503: The server is stopping",
        "ops logs",
    ),
    "starting page": (
        HTMLResponse("<TITLE>Space is\nstarting</TITLE>", 503),
        Access(),
        Exit.UNHEALTHY,
        "status 503: the page “Space is starting”",
        "ops logs",
    ),
    "broken": (
        PlainTextResponse("Internal Server Error", 500),
        Access(),
        Exit.UNHEALTHY,
        "status 500: Internal Server Error",
        "ops logs",
    ),
    "HTML": (
        HTMLResponse("<title>My blog</title>"),
        Access(),
        Exit.UNHEALTHY,
        "the page “My blog”, which is not what an embedding server says",
        "in a browser",
    ),
    "JSON of another app": (
        JSONResponse(["hello"]),
        Access(),
        Exit.UNHEALTHY,
        "does not describe an embedding server",
        "in a browser",
    ),
    "paused": (staged("PAUSED"), Access(), Exit.NOT_RUNNING, "is paused", "`ops wake`"),
    "asleep": (staged("SLEEPING"), Access(), Exit.NOT_RUNNING, "is sleeping", "`ops wake`"),
    "stopped": (staged("STOPPED"), Access(), Exit.NOT_RUNNING, "is stopped", "`ops wake`"),
    "not built": (staged("BUILD_ERROR"), Access(), Exit.BUILD, "failed", "ops logs --build"),
    "misconfigured": (staged("CONFIG_ERROR"), Access(), Exit.SPACE_CONFIG, "refuses", "space.toml"),
    "crashed": (staged("RUNTIME_ERROR"), Access(), Exit.UNHEALTHY, "does not run", "ops logs"),
    "being built": (staged("BUILDING"), Access(), Exit.UNHEALTHY, "503: This Space is", "ops logs"),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_was_said_is_told(case: str) -> None:
    """Whoever asks what a server is learns what it answered instead, why, and what to do."""
    response, access, code, message, next_step = TABLE[case]
    with (
        serving(answering(response)) as url,
        Probe(url, access) as probe,
        pytest.raises(OpsError) as caught,
    ):
        probe.info()
    assert caught.value.exit_code is code
    assert message in caught.value.message
    assert next_step in str(caught.value.next_step)


@pytest.mark.parametrize("case", ["proxy's 401", "403", "paused", "stopped", "not built"])
def test_waiting_ends_early_where_it_would_not_help(case: str) -> None:
    """A server that says itself that it won't come up, or won't let us in, isn't waited for."""
    response, access, code, message, _ = TABLE[case]
    with (
        serving(answering(response)) as url,
        Probe(url, access) as probe,
        pytest.raises(OpsError) as caught,
    ):
        probe.wait_until_healthy(limit=60 if "X-Space-Stage" in response.headers else 0.3)
    assert caught.value.exit_code is code
    assert message in caught.value.message


@pytest.mark.parametrize("case", ["rate limit", "starting page", "HTML", "asleep", "being built"])
def test_what_may_pass_is_waited_for(case: str) -> None:
    """A page that stands in for the app is no health; the limit's error quotes the last answer."""
    with (
        serving(answering(TABLE[case][0])) as url,
        Probe(url) as probe,
        pytest.raises(OpsError) as caught,
    ):
        probe.wait_until_healthy(limit=0.3)
    assert caught.value.exit_code is Exit.TIMED_OUT
    assert "its last answer was status" in caught.value.message


def test_a_redirect_to_log_in_is_no_health() -> None:
    """The page that it leads to answers 200; it is the redirect that is told, without its query."""
    with serving(answering(PlainTextResponse("Log in"))) as elsewhere:
        redirect = RedirectResponse(elsewhere + LOGIN)
        with serving(answering(redirect)) as url, Probe(url) as probe:
            for ask in (probe.info, lambda: probe.wait_until_healthy(limit=0.3)):
                with pytest.raises(OpsError) as caught:
                    ask()
                assert caught.value.exit_code is Exit.NOT_ALLOWED
                assert f"a redirect to {elsewhere}/login." in caught.value.message
                assert "secret" not in caught.value.message


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a private Space that wants a key of its own."""
    runner = FakeRunner(lambda _: embedding_app())
    with hub_world(tmp_path_factory.mktemp("hub"), runner) as world:
        world.create()
        world.push({})
        world.wait_for_stage("RUNNING")
        yield world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a space.toml for the Space."""
    (tmp_path / "space.toml").write_text(f'[space]\nrepo_id = "{SPACE}"\n')
    return tmp_path


URL_COMMANDS = (("smoke-test",), ("bench",), ("connect", "curl"))


@pytest.mark.parametrize("words", URL_COMMANDS, ids=lambda words: words[0])
def test_a_private_space_with_keys(world: World, folder: Path, words: tuple[str, ...]) -> None:
    """Without EMBED_API_KEY it says that the server needs one; with it, smoke-test passes."""
    environment = {"HF_ENDPOINT": world.hub.endpoint, "HF_TOKEN": WRITE}
    done = running_ops.run(folder, *words, "--url", world.url(), **environment)
    assert done.returncode == Exit.NOT_ALLOWED, done.stderr
    assert "needs an API key" in done.stderr
    assert "Set EMBED_API_KEY to one of the keys in EMBED_API_KEYS" in done.stderr
    if words == ("smoke-test",):
        environment["EMBED_API_KEY"] = APP_KEY
        done = running_ops.run(folder, *words, "--url", world.url(), **environment)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", URL_COMMANDS, ids=lambda words: words[0])
def test_a_paused_space(world: World, folder: Path, words: tuple[str, ...]) -> None:
    """It is said to be paused at once, with the command that starts it."""
    world.api.pause_space(SPACE)
    world.wait_for_stage("PAUSED")
    environment = {"HF_ENDPOINT": world.hub.endpoint, "HF_TOKEN": WRITE}
    done = running_ops.run(folder, *words, "--url", world.url(), **environment)
    assert done.returncode == Exit.NOT_RUNNING, done.stderr
    assert f"{SPACE} is paused: it answers no requests." in done.stderr
    assert "`ops wake`" in done.stderr
