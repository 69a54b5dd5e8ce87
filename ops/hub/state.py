"""What a Hub holds while it runs: repositories, people, and the Spaces with their origins."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ops.hub.faults import Faults
from ops.hub.faulty import Faulty
from ops.hub.means import Means
from ops.hub.proxy import WAKE_LIMIT, create_proxy
from ops.hub.rules import Rules
from ops.hub.server import LOOPBACK, Served
from ops.hub.slots import Slots
from ops.hub.space import Space
from ops.hub.visitors import Visitors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.hub.accounts import Accounts
    from ops.hub.store import Repo, Store
    from ops.runner import Runner


@dataclass
class HubState:
    """Shared by all handlers. `build_args` are given to every build of a Space."""

    store: Store
    accounts: Accounts
    runner: Runner
    build_args: Mapping[str, str]
    faults: Faults = field(default_factory=Faults)
    rules: Rules = field(default_factory=Rules)
    address: str = LOOPBACK
    wake_limit: float = WAKE_LIMIT
    visitors: Visitors = field(default_factory=Visitors)
    _spaces: dict[str, tuple[Space, Served]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """What every Space gets."""
        self._means = Means(
            self.store, self.runner, self.build_args, self.faults, Slots(self.rules)
        )

    def space(self, repo: Repo) -> Space:
        """The Space of a repository; its thread and its origin begin with the first call.

        Raises:
            HubError: the repository is gone meanwhile (404).
        """
        with self._lock:
            if repo.id not in self._spaces:
                self.store.find(repo.kind, repo.owner, repo.name)
                self._spaces[repo.id] = self._begin(repo)
            return self._spaces[repo.id][0]

    def committed(self, repo: Repo) -> None:
        """Main of a repository has moved: a Space builds."""
        if repo.kind == "spaces":
            self.space(repo).committed()

    def resume(self) -> None:
        """Bring every Space to what it was when the Hub last ended."""
        for repo in self.store.all("spaces"):
            self.space(repo).resume()

    @contextmanager
    def without(self, repo: Repo) -> Iterator[None]:
        """Stop a Space and its origin, as its repository goes away inside the context."""
        self._end_space(repo)
        yield
        self._end_space(repo)  # one that a request has begun meanwhile

    def _end_space(self, repo: Repo) -> None:
        with self._lock:
            entry = self._spaces.pop(repo.id, None)
        if entry is not None:
            _end(*entry)

    def close(self) -> None:
        """Stop every Space, all at the same time: an app may take a while to end."""
        with self._lock:
            entries, self._spaces = list(self._spaces.values()), {}
        with ThreadPoolExecutor(max(len(entries), 1)) as pool:
            list(pool.map(lambda entry: _end(*entry), entries))

    def _begin(self, repo: Repo) -> tuple[Space, Served]:
        served = Served(address=self.address)
        space = Space(repo, self._means, host=served.origin)
        proxy = create_proxy(
            space,
            self.accounts,
            lambda: self.store.settings(repo).visibility == "private",
            wake_limit=self.wake_limit,
        )
        served.start(Faulty(proxy, self, origin="space"))
        return space, served


def _end(space: Space, served: Served) -> None:
    served.end()
    space.close()
    served.stop()
