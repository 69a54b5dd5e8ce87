"""The short-lived tokens by which Xet's client sends xorbs and shards for one repository.

Nothing is kept of them: a token says what it allows, signed with a key of this run. The client
asks for another one when its own has ended, and after a restart.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from ops.hub.store import Kind, Repo

Scope = Literal["read", "write"]
VALID_FOR = 3600
_KEY = secrets.token_bytes(32)
_MARK = "xet"


@dataclass(frozen=True)
class Access:
    """What a token allows, in which repository, until when in seconds since 1970."""

    scope: Scope
    kind: Kind
    owner: str
    name: str
    until: int

    @property
    def token(self) -> str:
        """Says all this to whoever has the key."""
        subject = f"{_MARK}:{self.scope}:{self.kind}:{self.owner}:{self.name}:{self.until}"
        return f"{subject}:{_signature(subject)}"


def access_to(repo: Repo, scope: Scope) -> Access:
    """To a repository, from now on."""
    return Access(scope, repo.kind, repo.owner, repo.name, int(time.time()) + VALID_FOR)


def access_by(token: str | None) -> Access | None:
    """What a token allows; None for one that was not made here, or is too old."""
    subject, _, signature = (token or "").rpartition(":")
    if not hmac.compare_digest(_signature(subject).encode(), signature.encode()):
        return None
    _, scope, kind, owner, name, until = subject.split(":")
    access = Access(cast("Scope", scope), cast("Kind", kind), owner, name, int(until))
    return access if access.until >= time.time() else None


def _signature(subject: str) -> str:
    return hmac.new(_KEY, subject.encode(), hashlib.sha256).hexdigest()
