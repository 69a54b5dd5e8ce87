"""Who may run: as many Spaces of an owner at the same time as the Hub's rules allow."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.hub.rules import Rules
    from ops.hub.store import Repo


class Slots:
    """Claimed by a Space that starts, given back when it serves no more."""

    def __init__(self, rules: Rules):
        self._rules = rules
        self._taken: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def check(self, repo: Repo) -> None:
        """Raise HubError (403) when the Space may not start."""
        with self._lock:
            self._check(repo)

    def claim(self, repo: Repo) -> None:
        """Let it start; again is nothing. Raises HubError (403) when it may not."""
        with self._lock:
            self._check(repo)
            self._taken.add((repo.owner, repo.name))

    def release(self, repo: Repo) -> None:
        """It serves no more; again is nothing."""
        with self._lock:
            self._taken.discard((repo.owner, repo.name))

    def _check(self, repo: Repo) -> None:
        others = self._taken - {(repo.owner, repo.name)}
        self._rules.check_running(sum(owner == repo.owner for owner, _ in others))
