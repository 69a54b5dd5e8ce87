"""How the Hub refuses: a status, a message, and the code that its client decides by."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.responses import Response


@dataclass
class HubError(Exception):
    """A refusal; `code` is sent as X-Error-Code, `extra` in the body, `headers` as they are."""

    status: int
    message: str
    code: str | None = None
    extra: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """The reply that the Hub's client parses."""
        message = self.message.encode("unicode_escape").decode("ascii").strip()
        headers = {"X-Error-Message": message, **self.headers}
        if self.code is not None:
            # Over http the client takes a missing repository for one by this header only.
            headers["X-Error-Code"] = self.code
        body = {"error": self.message, **self.extra}
        return JSONResponse(body, self.status, headers)


_ASKS_FOR_TOKEN = {"WWW-Authenticate": 'Basic realm="Authentication required", charset="UTF-8"'}
"""By which git asks its credential helpers; the Hub's own client does not look at it."""


def not_logged_in() -> HubError:
    """Nobody may do this without a token."""
    return HubError(401, "Invalid username or password.", headers=dict(_ASKS_FOR_TOKEN))


def unknown_token() -> HubError:
    """A token of nobody's: wrong, revoked or expired.

    The client tells it from a repository that is not there by these words (its `_http.py`).
    """
    message = "Invalid credentials in Authorization header"
    return HubError(401, message, headers=dict(_ASKS_FOR_TOKEN))


def no_repository() -> HubError:
    """There is none of that name, or the caller may not know that there is."""
    return HubError(404, "Repository not found", "RepoNotFound")


def moved(target: str) -> HubError:
    """The repository has another name now; the client follows, with method, body and token."""
    return HubError(307, "The repository has another name now", headers={"Location": target})


def no_revision(revision: str) -> HubError:
    """No branch, tag or commit of that name."""
    return HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def no_entry(path: str) -> HubError:
    """No file or folder of that path at the revision."""
    return HubError(404, f"Entry not found: {path}", "EntryNotFound")


def gated(repo_id: str, *, logged_in: bool) -> HubError:
    """Everybody sees that the repository is there; its files are for those who were let in."""
    message = f"Access to {repo_id} is restricted: ask its owner for access."
    return HubError(403 if logged_in else 401, message, "GatedRepo")


def disk_full() -> HubError:
    """There is no room for what was sent: its client does not try that again and again."""
    return HubError(507, "No space is left on the disk that the Hub keeps its data on")


def is_disk_full(error: OSError) -> bool:
    """Whether that is why the system refused."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def bad_request(message: str) -> HubError:
    """The request does not fit the protocol."""
    return HubError(400, message)
