"""Browsers that opened the Hub's page by a link that it gave to somebody, and see what they may.

A browser has no token, and a token in an address would be kept in its history. So the link holds a
code that opens once, and the browser gets a cookie for this run of the Hub. Cookies know no ports:
the proxy takes this one off, so that no Space sees it; and all it opens is a page to look at.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading

COOKIE = "local_hub_page"
_NAMED = re.compile(rb"(?:^|;)\s*" + COOKIE.encode() + rb"[^=;]*=[^;]*")


class Visitors:
    """Codes that were given out, and browsers that came with one."""

    def __init__(self) -> None:
        self._codes: dict[str, str] = {}
        self._sessions: dict[str, str] = {}
        self._lock = threading.Lock()

    def invite(self, user: str) -> str:
        """A new code for somebody."""
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._codes[code] = user
        return code

    def admit(self, code: str) -> str | None:
        """The cookie's value for whoever has a code, which is used up; None for others."""
        with self._lock:
            user = _find(code, self._codes)
            if user is None:
                return None
            del self._codes[code]
            session = secrets.token_urlsafe(24)
            self._sessions[session] = user
            return session

    def user(self, session: str) -> str | None:
        """Who was let in with this cookie; None for nobody."""
        with self._lock:
            return _find(session, self._sessions)


def without_session(cookies: bytes) -> bytes:
    """A Cookie header without this Hub's, or another local Hub's."""
    return _NAMED.sub(b"", cookies).strip(b"; ")


def _find(value: str, known: dict[str, str]) -> str | None:
    """Compared with all, so that timing tells nothing."""
    found = None
    for other, user in known.items():
        if hmac.compare_digest(value.encode(), other.encode()):
            found = user
    return found
