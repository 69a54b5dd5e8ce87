from __future__ import annotations

import math
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from fakes.asgi_server import serving
from fakes.embedding_server import (
    APP_KEY,
    DIMENSIONS,
    Fault,
    PrivateProxy,
    Served,
    embedding_app,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from ops.errors import ConfigError, Exit, NotRunning, TimedOut, Unhealthy
from ops.probe import Access, Probe, cosine, is_space_or_local, shows_itself

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

TOKEN = "hf_madeuptokenmadeuptoken"
KEYED = Access(app_key=APP_KEY)


class Recorder:
    """An ASGI app that keeps the headers of every request and answers with an empty object."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        self.seen.append(dict(Request(scope).headers))
        await JSONResponse({})(scope, receive, send)


def answering(path: str, response: Response) -> ASGIApp:
    """An app with the one route."""

    async def route(_: Request) -> Response:
        return response

    return Starlette(routes=[Route(path, route)])


@contextmanager
def private_space(header: str) -> Iterator[str]:
    """The URL of a Space whose proxy takes the token from this header."""
    with serving(PrivateProxy(embedding_app(), TOKEN, header)) as url:
        yield url


def nowhere() -> str:
    """A URL on loopback where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


# --- keys --------------------------------------------------------------------------------------


def test_keys_are_not_in_the_repr() -> None:
    """Whatever prints an Access prints no key."""
    shown = repr(Access(hub_token=TOKEN, app_key=APP_KEY))
    assert TOKEN not in shown
    assert APP_KEY not in shown


def test_keys_have_a_header_each() -> None:
    """The Hub's token and the app's key are sent side by side, out of each other's way."""
    recorder = Recorder()
    with (
        serving(recorder) as url,
        Probe(url, Access(hub_token=TOKEN, app_key=APP_KEY)) as probe,
    ):
        probe.request("GET", "/")
    assert recorder.seen[0]["x-hf-authorization"] == f"Bearer {TOKEN}"
    assert recorder.seen[0]["x-api-key"] == APP_KEY
    assert "authorization" not in recorder.seen[0]


def test_no_keys_no_headers() -> None:
    """Without keys a request says nothing about who asks."""
    recorder = Recorder()
    with serving(recorder) as url, Probe(url) as probe:
        probe.request("GET", "/")
    assert not recorder.seen[0].keys() & {"authorization", "x-hf-authorization", "x-api-key"}


@pytest.mark.parametrize("header", ["X-HF-Authorization", "Authorization"])
def test_token_goes_where_the_proxy_takes_it(header: str) -> None:
    """Whichever of the two headers a Space's proxy takes the token from, it ends up there."""
    access = Access(hub_token=TOKEN, app_key=APP_KEY)
    with private_space(header) as url, Probe(url, access) as probe:
        probe.choose_header()
        assert probe.info().dimensions == DIMENSIONS
        reply = probe.request("POST", "/embed", json={"text": "bread"})
        assert reply.status_code == 200


@pytest.mark.parametrize("header", ["X-HF-Authorization", "Authorization"])
def test_waiting_finds_the_header_too(header: str) -> None:
    """A Space that woke only after the header was chosen is found all the same."""
    with private_space(header) as url, Probe(url, Access(hub_token=TOKEN)) as probe:
        probe.wait_until_healthy(limit=30)
        assert probe.request("GET", "/livez").status_code == 200


def test_token_is_in_one_header_only() -> None:
    """After the fallback the token is no longer sent in the first header."""
    recorder = Recorder()
    proxied = PrivateProxy(recorder, TOKEN, "Authorization")
    with serving(proxied) as url, Probe(url, Access(hub_token=TOKEN)) as probe:
        probe.choose_header()
        probe.request("GET", "/")
    assert "x-hf-authorization" not in recorder.seen[0]


def test_choosing_a_header_waits_for_nobody() -> None:
    """A Space that does not answer yet is no failure: waiting for it comes next."""
    with Probe(nowhere(), Access(hub_token=TOKEN)) as probe:
        probe.choose_header()


@pytest.mark.parametrize("in_authorization", [False, True])
def test_redirect_elsewhere_goes_without_keys(*, in_authorization: bool) -> None:
    """Who redirects a request to a server of his own gets no key with it."""
    elsewhere = Recorder()
    header = "Authorization" if in_authorization else "X-HF-Authorization"
    with serving(elsewhere) as other:
        space = PrivateProxy(answering("/livez", RedirectResponse(other)), TOKEN, header)
        with serving(space) as url, Probe(url, Access(TOKEN, APP_KEY)) as probe:
            probe.choose_header()
            assert probe.request("GET", "/livez").status_code == 200
    assert TOKEN not in str(elsewhere.seen)
    assert APP_KEY not in str(elsewhere.seen)


def test_redirect_at_home_keeps_the_keys() -> None:
    """A redirect within the server is followed as the same client."""
    recorder = Recorder()

    async def to_page(_: Request) -> Response:
        return RedirectResponse("/page")

    app = Starlette(routes=[Route("/", to_page), Route("/page", recorder)])
    with serving(app) as url, Probe(url, Access(TOKEN, APP_KEY)) as probe:
        probe.request("GET", "/")
    assert recorder.seen[0]["x-hf-authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "url", ["", "localhost:7860", "me-space.hf.space", "ftp://x", "http://a:b"]
)
def test_no_url(url: str) -> None:
    """What is no URL of a server is refused at once, not waited for."""
    with pytest.raises(ConfigError, match="no URL of a server") as caught:
        Probe(url)
    assert "https://" in str(caught.value.next_step)


def test_no_password_in_a_url() -> None:
    """A URL with a password in it is refused, and the refusal does not repeat it."""
    with pytest.raises(ConfigError) as caught:
        Probe("https://me:secret-word@example.org")
    assert "secret-word" not in f"{caught.value} {caught.value.next_step}"


def test_trailing_slash_is_dropped(server: Served) -> None:
    """A URL as browsers show it, with its last slash, is the same server."""
    with Probe(f"{server.url}/", KEYED) as probe:
        assert probe.url == server.url
        assert probe.info().model == "counted-words"


# --- waiting -----------------------------------------------------------------------------------


def test_waits_until_healthy(server: Served) -> None:
    """A server that says it is still loading is asked again until it is not."""
    server.switches.fault = Fault.STILL_LOADING
    asked = 0

    def still_running() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            server.switches.fault = None

    with Probe(server.url) as probe:
        probe.wait_until_healthy(limit=60, still_running=still_running)
    assert asked == 3


def test_never_healthy(server: Served) -> None:
    """A time limit ends in its exit code, naming the limit and the last answer."""
    server.switches.fault = Fault.STILL_LOADING
    with Probe(server.url) as probe, pytest.raises(TimedOut) as caught:
        probe.wait_until_healthy(limit=0.5)
    assert caught.value.exit_code is Exit.TIMED_OUT
    assert "its last answer was status 503" in caught.value.message
    assert server.url in caught.value.message


def test_nothing_listens() -> None:
    """A server that is not there is named as such, after the time limit."""
    with Probe(nowhere()) as probe, pytest.raises(TimedOut) as caught:
        probe.wait_until_healthy(limit=0.3)
    assert "its last answer was ConnectError" in caught.value.message
    assert "does not listen" in str(caught.value.cause)


def test_token_is_refused() -> None:
    """A private Space that refuses the token is told apart from a server that does not start."""
    access = Access(hub_token="hf_another")
    with (
        private_space("X-HF-Authorization") as url,
        Probe(url, access) as probe,
        pytest.raises(TimedOut) as caught,
    ):
        probe.wait_until_healthy(limit=0.3)
    assert "it may not be allowed to read this Space" in str(caught.value.cause)
    assert "hf_another" not in f"{caught.value.message}{caught.value.cause}"


def test_nothing_to_wait_for(server: Served) -> None:
    """When the server is known to have ended, nobody waits for the time limit."""
    server.switches.fault = Fault.STILL_LOADING

    def ended() -> None:
        raise NotRunning("It ended.")

    with Probe(server.url) as probe, pytest.raises(NotRunning):
        probe.wait_until_healthy(limit=60, still_running=ended)


def test_endless_redirect_is_no_crash() -> None:
    """A server that sends clients round in circles is not healthy, and that is all."""
    circle = answering("/health", RedirectResponse("/health"))
    with serving(circle) as url, Probe(url) as probe, pytest.raises(TimedOut) as caught:
        probe.wait_until_healthy(limit=0.3)
    assert "TooManyRedirects" in caught.value.message


# --- /info -------------------------------------------------------------------------------------


def test_info(server: Served) -> None:
    """What the server says of itself is read, limits included."""
    with Probe(server.url, KEYED) as probe:
        info = probe.info()
    assert (info.model, info.dimensions, info.max_payload_mb) == ("counted-words", DIMENSIONS, 1)
    assert info.api_key_required is True


@pytest.mark.parametrize(
    "response",
    [
        JSONResponse(["model"]),
        JSONResponse({"model": "x", "limits": None}),
        JSONResponse({"model": "x", "limits": {"max_inputs": "many"}}),
    ],
    ids=["list", "no limits", "wrong types"],
)
def test_another_app_answers(response: Response) -> None:
    """An app that is no embedding server is said to be none."""
    with (
        serving(answering("/info", response)) as url,
        Probe(url) as probe,
        pytest.raises(Unhealthy, match="does not describe an embedding server"),
    ):
        probe.info()


def test_info_of_nobody() -> None:
    """No answer at all is no embedding server either."""
    with Probe(nowhere()) as probe, pytest.raises(Unhealthy):
        probe.info()


# --- cosine ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1.0, 0.0], [2.0, 0.0], 1.0),
        ([1.0, 0.0], [0.0, 3.0], 0.0),
        ([1.0, 1.0], [-2.0, -2.0], -1.0),
        ([1.0, 0.0], [1.0, 1.0], math.sqrt(0.5)),
        ([0.0, 0.0], [1.0, 0.0], 0.0),
        ([1.0], [1.0, 0.0], 0.0),
        ([1.0, math.nan], [1.0, 0.0], 0.0),
        ([1.0, math.inf], [1.0, 0.0], 0.0),
    ],
)
def test_cosine(a: list[float], b: list[float], expected: float) -> None:
    """Cosine looks at directions; vectors that cannot be compared have nothing in common."""
    assert cosine(a, b) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://me-app.hf.space", True),
        ("http://127.0.0.1:7850", True),
        ("http://me-app.hf.space", False),
        ("https://hf.space.example.com", False),
        ("https://example.com/.hf.space", False),
        ("https://evilhf.space", False),
    ],
)
def test_a_stored_token_is_not_for_every_server(url: str, *, may: bool) -> None:
    """The Hub's token goes to Spaces over https and to this machine, and nowhere else."""
    assert is_space_or_local(url) is may


def test_a_key_that_cannot_be_sent_is_told() -> None:
    """One that no header can carry is a mistake of whoever gave it, and is not repeated."""
    with pytest.raises(ConfigError, match="no header can carry") as caught:
        Access(app_key="clé")
    assert "clé" not in str(caught.value)


@pytest.mark.parametrize(
    ("reply", "open_to_all"),
    [
        (Response("a page"), True),
        (Response(status_code=404), False),
        (RedirectResponse("/login"), False),
        (Response(status_code=503), False),
    ],
    ids=["a page", "refused", "led to log in", "not up"],
)
def test_only_a_page_of_its_own_shows_a_server(reply: Response, *, open_to_all: bool) -> None:
    """Whoever shows strangers anything else, or nothing, may want the Hub's token."""

    async def login(_: Request) -> Response:
        return Response("Log in")

    async def home(_: Request) -> Response:
        return reply

    with serving(Starlette(routes=[Route("/login", login), Route("/", home)])) as url:
        assert shows_itself(url) is open_to_all
    assert not shows_itself(nowhere())
