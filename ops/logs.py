"""`ops logs`: what a Space's build or its app wrote, and what it goes on to write."""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ops.adapters.hang_up import HangUp
from ops.errors import HubUnreachable
from ops.find_space import find_space

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.adapters.hf_hub import Hub
    from ops.adapters.hf_log import LogLine
    from ops.runner import Log


@dataclass(frozen=True)
class Reconnecting:
    """How long to wait, in seconds, between connections, and how long to do without one."""

    first_wait: float = 1
    longest_wait: float = 10
    limit: float = 120


_DURATION = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str, now: datetime) -> datetime:
    """A time given as ISO 8601 has it, or as how long ago it was: 30s, 10m, 2h, 1d.

    One without a zone is in this machine's.

    Raises:
        ValueError: it is neither.
        OverflowError: no calendar goes back so far.
    """
    if found := _DURATION.fullmatch(text):
        return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
    given = datetime.fromisoformat(text)
    return given if given.tzinfo is not None else given.astimezone()


def logs(
    hub: Hub,
    repo_id: str,
    *,
    build: bool = False,
    last: int | None = None,
    since: datetime | None = None,
) -> list[LogLine]:
    """The log as it is now, or its `last` lines; without those from before `since`.

    Raises:
        ConfigError: there is no such Space.
    """
    name = find_space(hub, repo_id).repo_id
    with hub.log(name, build=build, follow=False, tail=last) as lines:
        kept = (line for line in lines if since is None or line.time >= since)
        return list(deque(kept, maxlen=last))


def follow(
    hub: Hub,
    repo_id: str,
    *,
    say: Log,
    build: bool = False,
    last: int | None = None,
    since: datetime | None = None,
    reconnecting: Reconnecting | None = None,
    hang_up: HangUp | None = None,
) -> Iterator[LogLine]:
    """The log from its beginning, or its `last` lines, and then whatever comes, each line once.

    Lines from before `since` are left out. It has no end but `hang_up`, called by another thread.

    Raises:
        ConfigError: there is no such Space, or no longer.
        HubUnreachable: nobody answered for too long.
    """
    reconnecting, hang_up = reconnecting or Reconnecting(), hang_up or HangUp()
    name = find_space(hub, repo_id).repo_id
    seen = _Seen()
    lost: float | None = None
    is_first, wait = True, reconnecting.first_wait
    while not hang_up.is_done:
        try:
            if not is_first:
                find_space(hub, name)  # the Hub also ends the log of a Space that is removed
            is_first = False
            with hub.log(
                name, build=build, follow=True, tail=seen.ask_for(last), hang_up=hang_up
            ) as lines:
                seen.begin()
                lost = None
                for line in lines:
                    if seen.is_new(line):
                        wait = reconnecting.first_wait
                        if since is None or line.time >= since:
                            yield line
        except HubUnreachable:
            if hang_up.is_done:
                return
            lost = time.monotonic() if lost is None else lost
            if time.monotonic() - lost > reconnecting.limit:
                raise
            say("The connection was lost; connecting again.")
        hang_up.wait(wait)
        wait = min(wait * 2, reconnecting.longest_wait)


class _Seen:
    """Tells new lines from those that the Hub tells again, as it does on every connection.

    Times have milliseconds, so several lines share one: of the newest time, texts are counted.
    """

    def __init__(self) -> None:
        self._newest: datetime | None = None
        self._texts: Counter[str] = Counter()
        self._repeated: Counter[str] = Counter()
        self._is_replay = False

    def ask_for(self, last: int | None) -> int | None:
        """How many lines to ask for: all, once there were any, to go on from there."""
        return last if self._newest is None else None

    def begin(self) -> None:
        """A connection begins, and the log with it."""
        self._repeated = self._texts.copy()
        self._is_replay = self._newest is not None

    def is_new(self, line: LogLine) -> bool:
        """Whether this line was not told before; it is from now on."""
        if self._is_replay and self._newest is not None:
            if line.time < self._newest:
                return False
            if line.time == self._newest and self._repeated[line.text]:
                self._repeated[line.text] -= 1
                return False
            self._is_replay = line.time == self._newest
        if line.time != self._newest:
            self._newest = line.time
            self._texts.clear()
        self._texts[line.text] += 1
        return True
