"""`ops smoke-test`: proves a server from outside, started here or running elsewhere."""

from __future__ import annotations

import secrets
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import httpx2

from ops import checks
from ops.config import API_KEYS
from ops.errors import Unhealthy
from ops.http_client import OutOfTime, within
from ops.probe import Access, Probe, ServerInfo
from ops.runner import CPU_BASIC, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.runner import Image, Log, Runner, Running

START_LIMIT = 180.0
"""Seconds until a server started here must be healthy; a Space has 30 minutes by default."""

_CHECK_LIMIT = 300.0
"""Seconds for all that one check asks."""

_TIMED_REQUESTS = 40
_WARM_UP_REQUESTS = 5
_TAIL_LINES = 30


@dataclass(frozen=True)
class CheckResult:
    """One line of the table."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str
    seconds: float


@dataclass(frozen=True)
class Measurements:
    """What was measured; None where it cannot be known from here.

    `start_seconds` is from the start of the server to healthy; latencies are of one short query
    after another, over HTTP.
    """

    start_seconds: float | None
    p50_ms: float | None
    p95_ms: float | None
    resident_bytes: int | None


@dataclass(frozen=True)
class Report:
    """The whole outcome of a smoke test."""

    target: str
    info: ServerInfo
    checks: tuple[CheckResult, ...]
    measured: Measurements

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(check.name for check in self.checks if check.outcome == "failed")

    def require_passed(self) -> None:
        """Raise Unhealthy, naming the checks that failed."""
        if self.failed:
            raise Unhealthy(
                f"{self.target} failed {len(self.failed)} of {len(self.checks)} checks: "
                f"{', '.join(self.failed)}.",
                next_step="The table above says what each of them found.",
            )


OnCheck = Callable[[CheckResult], None]
"""Called with each result as soon as there is one."""


def smoke_test_image(
    runner: Runner,
    image: Image,
    *,
    environment: Mapping[str, str],
    log: Log,
    on_check: OnCheck,
    app_port: int = 7860,
    limits: Limits = CPU_BASIC,
    start_limit: float = START_LIMIT,
) -> Report:
    """Start what was built under a Space's rules, prove it, and remove it whatever happens.

    The server is given an API key for this run alone, so that refusing a wrong one is checked too.

    Raises:
        Unhealthy: it ended before it was healthy.
        TimedOut: it was not healthy within `start_limit` seconds.
    """
    key = secrets.token_urlsafe(24)
    tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def keep(line: str) -> None:
        tail.append(line)
        log(line)

    running = runner.start(
        image,
        environment={**environment, API_KEYS: f"smoke-test={key}"},
        log=keep,
        limits=limits,
        app_port=app_port,
    )
    try:
        with Probe(running.url, Access(app_key=key)) as probe:
            start = probe.wait_until_healthy(
                limit=start_limit, still_running=lambda: _require_running(running, tail)
            )
            return _prove(probe, f"{runner.name}:{image.reference}", on_check, start, running)
    finally:
        running.stop()


def smoke_test_url(
    url: str,
    access: Access,
    *,
    on_check: OnCheck,
    limit: float = 60,
    still_running: Callable[[], None] = lambda: None,
) -> Report:
    """Prove a server that already runs; a sleeping Space has `limit` seconds to wake.

    `still_running` is asked until it answers, and raises when there is nothing to wait for.
    """
    with Probe(url, access) as probe:
        probe.choose_header()
        probe.wait_until_healthy(limit=limit, still_running=still_running)
        return _prove(probe, url, on_check, None, None)


def _prove(
    probe: Probe,
    target: str,
    on_check: OnCheck,
    start_seconds: float | None,
    running: Running | None,
) -> Report:
    info = probe.info()
    results = []
    for check in checks.ALL:
        result = _run(check, probe, info)
        on_check(result)
        results.append(result)
    p50, p95 = _latency(probe)
    resident = running.resident_bytes() if running is not None else None
    return Report(target, info, tuple(results), Measurements(start_seconds, p50, p95, resident))


def _latency(probe: Probe) -> tuple[float | None, float | None]:
    """Median and 95th percentile in milliseconds; None when queries are not answered."""
    times = []
    try:
        for number in range(_WARM_UP_REQUESTS + _TIMED_REQUESTS):
            started = time.perf_counter()
            checks.latency_request(probe)
            if number >= _WARM_UP_REQUESTS:
                times.append((time.perf_counter() - started) * 1000)
    except (checks.CheckFailed, httpx2.HTTPError):
        return None, None
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def _run(check: Callable[[Probe, ServerInfo], str], probe: Probe, info: ServerInfo) -> CheckResult:
    name = check.__name__.replace("_", "-")
    started = time.monotonic()
    outcome: Literal["passed", "failed", "skipped"] = "failed"
    try:
        detail, outcome = within(_CHECK_LIMIT, lambda: check(probe, info)), "passed"
    except checks.CheckFailed as failure:
        detail = str(failure)
    except checks.Skipped as skipped:
        detail, outcome = str(skipped), "skipped"
    except httpx2.HTTPError as error:
        detail = f"no answer ({type(error).__name__})"
    except OutOfTime:
        detail = f"no answer within {_CHECK_LIMIT:.0f} s"
    return CheckResult(name, outcome, detail, time.monotonic() - started)


def _require_running(running: Running, tail: deque[str]) -> None:
    code = running.exit_code()
    if code is not None:
        raise Unhealthy(
            f"The server ended with exit code {code} before it was healthy.",
            cause="Its last lines say why.",
            next_step="Correct it, then run ops smoke-test again.",
            log_tail=tuple(tail),
        )
