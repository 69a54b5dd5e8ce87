"""What a server said instead of what it was asked for, as the error to report."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

import httpx2

from ops.errors import NotAllowed, OpsError, TimedOut, Unhealthy
from ops.stages import WAKES_ON_A_VISIT, ended

if TYPE_CHECKING:
    from ops.probe import Access

_STAGE = "x-space-stage"
"""The local Hub's proxy names the stage of a Space that doesn't serve in this header."""

_INVALID_KEY = "invalid_api_key"
_LONGEST = 200
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.DOTALL | re.IGNORECASE)
_SET_KEY = (
    "Set EMBED_API_KEY to one of the keys in EMBED_API_KEYS, without its name, and try again."
)


def is_page(reply: httpx2.Response) -> bool:
    """Whether a browser was meant: our own routes, `GET /` aside, answer in JSON."""
    return reply.headers.get("content-type", "").startswith("text/html")


def led_away(reply: httpx2.Response) -> bool:
    """Whether it came from another server, where the one that was asked redirected to."""
    return bool(reply.history) and reply.url.origin != reply.history[0].url.origin


def is_health(reply: httpx2.Response) -> bool:
    """Whether an app says that it is well, rather than a page that stands in for it meanwhile."""
    return reply.is_success and not (led_away(reply) or is_page(reply))


def quoted(reply: httpx2.Response) -> str:
    """What was answered, on one line."""
    if led_away(reply):
        return f"a redirect to {reply.url.copy_with(query=None, fragment=None)}"
    words = said(reply)
    return f"status {reply.status_code}" + (f": {words}" if words else "")


def raise_if_ended(reply: httpx2.Response, url: str) -> None:
    """Raise the error of a Space whose stage waiting doesn't help, where the answer names it."""
    stage = reply.headers.get(_STAGE, "")
    if stage not in WAKES_ON_A_VISIT and (error := ended(url, stage)) is not None:
        raise error


def refusal(reply: httpx2.Response, url: str, access: Access) -> OpsError:
    """The error for an answer that is of no use."""
    if (error := ended(url, reply.headers.get(_STAGE, ""))) is not None:
        return error
    if _code(reply) == _INVALID_KEY:
        return _key_needed(url, access)
    answered = f"{url} answered with {quoted(reply)}"
    if led_away(reply):
        return NotAllowed(
            f"{answered}.",
            cause="A proxy in front of it wants somebody to log in, or the server has moved.",
            next_step=f"Open {url} in a browser to see what it shows.",
        )
    if reply.is_success:
        return Unhealthy(
            f"{answered}, which is not what an embedding server says.",
            cause="Another app answers there.",
            next_step=f"Check the address: open {url} in a browser.",
        )
    return _by_status(reply, answered, access)


def _by_status(reply: httpx2.Response, answered: str, access: Access) -> OpsError:
    match reply.status_code:
        case httpx2.codes.UNAUTHORIZED | httpx2.codes.FORBIDDEN:
            return NotAllowed(f"{answered}.", cause=_sent(access), next_step=_token_step(access))
        case httpx2.codes.NOT_FOUND:
            # A private Space doesn't exist for a stranger; what answers in JSON is an app.
            hidden = _json(reply) is None
            return (NotAllowed if hidden else Unhealthy)(
                f"{answered}.",
                cause=f"It is a private Space, or another app. {_sent(access)}",
                next_step=_token_step(access),
            )
        case httpx2.codes.TOO_MANY_REQUESTS:
            return TimedOut(
                f"{answered}.",
                cause="It takes no more requests at the moment.",
                next_step=f"Try again in {reply.headers.get('retry-after', '60')} seconds.",
            )
    return Unhealthy(
        f"{answered}.",
        cause="The server is starting, stopping or broken.",
        next_step="Read its log: `ops logs` shows a Space's.",
    )


def _key_needed(url: str, access: Access) -> OpsError:
    if access.app_key is None:
        return NotAllowed(
            f"The server at {url} needs an API key.",
            cause="EMBED_API_KEY is not set.",
            next_step=_SET_KEY,
        )
    return NotAllowed(
        f"The server at {url} refused the API key.",
        cause="The key is not one of those in its EMBED_API_KEYS.",
        next_step=_SET_KEY,
    )


def _sent(access: Access) -> str:
    if access.hub_token:
        return "The Hugging Face token was sent; it may not be allowed to read this Space."
    return "No Hugging Face token was sent."


def _token_step(access: Access) -> str:
    if access.hub_token:
        return "Check the address, and set HF_TOKEN to a token that may read the Space."
    return "Check the address; for a private Space, set HF_TOKEN to a token that may read it."


def said(reply: httpx2.Response) -> str:
    """The message in an error, a page's title, or the first words of a text."""
    if is_page(reply):
        title = _TITLE.search(reply.text)
        return f"the page “{_one_line(html.unescape(title[1]))}”" if title else "a page"
    body = _json(reply)
    if isinstance(body, dict):
        error = body.get("error")
        inner = error.get("message") if isinstance(error, dict) else error
        found = [inner, body.get("message"), body.get("detail"), body.get("status")]
        return next((_one_line(text) for text in found if isinstance(text, str) and text), "")
    is_text = reply.headers.get("content-type", "").startswith("text/")
    return _one_line(reply.text) if is_text else ""


def _code(reply: httpx2.Response) -> object:
    """The code of an error in OpenAI's shape."""
    body = _json(reply)
    error = body.get("error") if isinstance(body, dict) else None
    return error.get("code") if isinstance(error, dict) else None


def _json(reply: httpx2.Response) -> Any:
    try:
        return reply.json()
    except (ValueError, RecursionError):
        return None


def _one_line(text: str) -> str:
    return " ".join(text[: 10 * _LONGEST].split())[:_LONGEST].rstrip(".")
