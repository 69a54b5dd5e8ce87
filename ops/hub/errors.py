"""How the Hub refuses: a status, a message, and the code that its client decides by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.responses import Response


@dataclass
class HubError(Exception):
    """A refusal; `code` is sent as X-Error-Code, `extra` in the body beside the message."""

    status: int
    message: str
    code: str | None = None
    extra: dict[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """The reply that the Hub's client parses."""
        headers = {"X-Error-Message": self.message.encode("unicode_escape").decode("ascii")}
        if self.code is not None:
            # Over http the client takes a missing repository for one by this header only.
            headers["X-Error-Code"] = self.code
        body = {"error": self.message, **self.extra}
        return JSONResponse(body, self.status, headers)


def no_repository() -> HubError:
    """There is none of that name, or the caller may not know that there is."""
    return HubError(404, "Repository not found", "RepoNotFound")


def no_revision(revision: str) -> HubError:
    """No branch, tag or commit of that name."""
    return HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def no_entry(path: str) -> HubError:
    """No file or folder of that path at the revision."""
    return HubError(404, f"Entry not found: {path}", "EntryNotFound")


def bad_request(message: str) -> HubError:
    """The request does not fit the protocol."""
    return HubError(400, message)
