from __future__ import annotations

from typing import Any

import httpx2
import pytest
from fakes.embedding_server import APP_KEY, Fault, Served, embedding_app
from fakes.runner import FakeRunner

from ops.errors import TimedOut, Unhealthy
from ops.probe import Access
from ops.runner import Image
from ops.smoke_test import smoke_test_image, smoke_test_url


def prove(runner: FakeRunner, files: str = "{}", **options: Any) -> Any:
    """Start what the fake runner builds and prove it."""
    return smoke_test_image(
        runner, Image(files, 1), environment={}, log=print, on_check=print, **options
    )


def require_gone(runner: FakeRunner) -> None:
    """Everything that was started has ended."""
    assert runner.started
    for running in runner.started:
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(running.url)


def test_never_healthy_ends_with_the_limit() -> None:
    """A server that loads for ever is given up, removed, and reported with exit code 7."""
    runner = FakeRunner(lambda _: embedding_app(Fault.STILL_LOADING))
    with pytest.raises(TimedOut, match="not healthy within 1 s") as caught:
        prove(runner, start_limit=1)
    assert caught.value.exit_code == 7
    require_gone(runner)


def test_dying_at_start_is_noticed_at_once() -> None:
    """A server that ends is not waited for; its last lines are shown."""
    runner = FakeRunner()
    with pytest.raises(Unhealthy, match="exit code 3") as caught:
        prove(runner, '{"CRASH": "no model"}', start_limit=60)
    assert "no model" in caught.value.log_tail


def test_an_interrupt_removes_what_was_started() -> None:
    """Ctrl-C in the middle of the checks leaves nothing running."""
    runner = FakeRunner(lambda _: embedding_app(Fault.ANY_KEY))

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        smoke_test_image(runner, Image("{}", 1), environment={}, log=print, on_check=interrupt)
    require_gone(runner)


def test_every_check_is_told_as_it_is_known(server: Served) -> None:
    """Results come one by one, and the report holds the same, with what was measured."""
    told: list[Any] = []
    report = smoke_test_url(server.url, Access(app_key=APP_KEY), on_check=told.append)
    assert tuple(told) == report.checks
    assert report.failed == ()
    assert report.measured.p50_ms is not None
    assert report.measured.p95_ms is not None
    assert report.measured.p50_ms <= report.measured.p95_ms
    assert report.measured.start_seconds is None


def test_a_broken_answer_fails_its_check_and_no_other(server: Served) -> None:
    """One broken thing is one failed check; the rest is still asked."""
    server.switches.fault = Fault.NO_HEAD
    report = smoke_test_url(server.url, Access(app_key=APP_KEY), on_check=print)
    assert report.failed == ("page-head",)
    with pytest.raises(Unhealthy, match="1 of 19 checks: page-head"):
        report.require_passed()
