"""`ops status`: what the Space is doing now, and whether it answers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx2

from ops import releases
from ops.errors import Exit, OpsError
from ops.find_space import find_space
from ops.plan import HOURS_A_MONTH
from ops.probe import Access, Probe
from ops.refusals import is_health, quoted
from ops.stages import IDLE, REFUSED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.adapters.hf_hub import Hub, Runtime


@dataclass(frozen=True)
class Status:
    """A Space at one moment. `healthy` is None when it does not run, so was not asked.

    `newest_commit` is the one that is wanted, `release_commit` that of the last release,
    `release_time` when that was proven, None where no record of it is kept. Costs are dollars while
    it runs, for a month without sleep; None where the Hub tells no price. `running_since` is when
    the app that runs wrote the first line that its log has, `cost_this_month` what it has cost
    since then in this calendar month (UTC), without what ran earlier; both None where it is free or
    does not run, or the log cannot be read. Times are in ISO 8601. `sleep_time` is seconds without
    a request, None or -1 for never. `latency_ms` is that of one GET /health, None when nothing
    answered; `answer` is what it said where that was not healthy.
    """

    repo_id: str
    url: str
    private: bool
    stage: str
    hardware: str | None
    running_commit: str | None
    newest_commit: str
    error_message: str | None
    healthy: bool | None
    latency_ms: float | None
    answer: str | None
    sleep_time: int | None
    cost_per_hour: float | None
    cost_per_month: float | None
    running_since: str | None
    cost_this_month: float | None
    release: str | None
    release_commit: str | None
    release_time: str | None

    @property
    def idle(self) -> bool:
        """Whether it does not run because it was stopped, and costs nothing."""
        return self.stage in IDLE

    @property
    def exit_code(self) -> Exit:
        """0 only when it runs the newest commit and answers."""
        if self.stage in REFUSED:
            return Exit.SPACE_CONFIG
        if self.stage == "BUILD_ERROR":
            return Exit.BUILD
        if self.idle:
            return Exit.NOT_RUNNING
        return Exit.DONE if self.healthy else Exit.UNHEALTHY


def status(hub: Hub, repo_id: str) -> Status:
    """Ask the Hub and, when it runs, the Space itself.

    Raises:
        ConfigError: there is no such Space.
    """
    return _status(hub, repo_id, hub.flavours())


def statuses(hub: Hub, repo_id: str, *, every: float = 2) -> Iterator[Status]:
    """Look again and again, `every` so many seconds. Prices are asked for once.

    Raises:
        ConfigError: there is no such Space, or no longer.
    """
    prices = hub.flavours()
    name, before = repo_id, None
    while True:
        before = _status(hub, name, prices, before)
        name = before.repo_id
        yield before
        time.sleep(every)


def _status(
    hub: Hub,
    repo_id: str,
    prices: Mapping[str, float | None],
    before: Status | None = None,
) -> Status:
    space = find_space(hub, repo_id)
    name = space.repo_id
    runtime = hub.runtime(name)
    release, release_commit, release_time = _last_release(hub, name, before)
    hourly = prices.get(runtime.hardware) if runtime.hardware else None
    since = _running_since(hub, name, runtime, before) if hourly else None
    healthy, latency, answer = None, None, None
    if runtime.stage.startswith("RUNNING"):
        # The token goes only where it is needed: the app may be anybody's.
        access = Access(hub.token if space.private else None)
        healthy, latency, answer = _probed(space.url, access)
    return Status(
        repo_id=name,
        url=space.url,
        private=space.private,
        stage=runtime.stage,
        hardware=runtime.hardware,
        running_commit=runtime.commit,
        newest_commit=space.commit,
        error_message=runtime.error_message,
        healthy=healthy,
        latency_ms=latency,
        answer=answer,
        sleep_time=runtime.sleep_time,
        cost_per_hour=hourly,
        cost_per_month=None if hourly is None else hourly * HOURS_A_MONTH,
        running_since=None if since is None else since.isoformat(),
        cost_this_month=None
        if since is None or hourly is None
        else round(hourly * hours_this_month(since, datetime.now(UTC)), 4),
        release=release,
        release_commit=release_commit,
        release_time=release_time,
    )


def _last_release(
    hub: Hub, repo_id: str, before: Status | None
) -> tuple[str, str, str | None] | tuple[None, None, None]:
    """Name, commit and time of the newest release; its record is read once."""
    tags = hub.tags(repo_id)
    name = next(reversed(releases.names(tags)), None)
    if name is None:
        return None, None, None
    if before is not None and (before.release, before.release_commit) == (name, tags[name]):
        return name, tags[name], before.release_time
    last = releases.read(hub, repo_id).last
    record = last.record if last is not None else None
    return name, tags[name], record.time.isoformat() if record is not None else None


def _running_since(
    hub: Hub, repo_id: str, runtime: Runtime, before: Status | None
) -> datetime | None:
    """When the app that runs wrote the first line that its log has; only the newest are kept.

    The Hub tells no time of start. Moved to other hardware it starts again, so only an app of the
    hardware that was asked for last is looked at.
    """
    if runtime.stage != "RUNNING":
        return None
    if before and before.running_since and before.running_commit == runtime.commit:
        return datetime.fromisoformat(before.running_since)
    try:
        with hub.log(repo_id, build=False, follow=False) as lines:
            first = next(lines, None)
    except OpsError:
        return None  # a token that may only read, or a log that is not to be had just now
    return first.time if first is not None else None


def hours_this_month(since: datetime, now: datetime) -> float:
    """Hours of the calendar month of `now` that have passed since then."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return max((now - max(since, month)).total_seconds() / 3600, 0)


def _probed(url: str, access: Access) -> tuple[bool, float | None, str | None]:
    """Whether it is healthy, the milliseconds that its answer took, and what else it said."""
    try:
        with Probe(url, access, timeout=10) as probe:
            probe.choose_header()
            started = time.monotonic()
            reply = probe.look("/health")
    except httpx2.RequestError as error:
        return False, None, f"no answer ({type(error).__name__})"
    healthy = is_health(reply)
    took = round((time.monotonic() - started) * 1000, 1)
    return healthy, took, None if healthy else quoted(reply)
