"""What a person or a machine sees: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.live import Live
from rich.spinner import Spinner
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from ops.safe_text import safe_line
from ops.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

    from ops.bench import Benched, Latency, Throughput
    from ops.connect import Connected
    from ops.doctor import Finding
    from ops.errors import OpsError
    from ops.runner import Log
    from ops.smoke_test import CheckResult, Report
    from ops.status import Status
    from ops.watch import View

_HEARTBEAT = 10.0
"""Seconds between lines of a long job's log where there is no terminal to draw on."""

_REDRAWS = 8
"""How often a second a line is drawn anew."""

_STYLES = {
    "passed": "green",
    "ok": "green",
    "failed": "bold red",
    "failure": "bold red",
    "warning": "yellow",
    "skipped": "yellow",
}


class Output:
    """The one printer of the command line; colours and spinners on a terminal only."""

    def __init__(self, *, as_json: bool = False, verbose: bool = False):
        self.as_json = as_json
        self.verbose = verbose
        self._out = Terminal()
        self._err = Terminal(stderr=True)

    def result(self, text: str, data: Any) -> None:
        """The command's result: text for people, `data` with --json."""
        if self.as_json:
            self.document(data)
        else:
            self._out.out(text)

    def document(self, data: Any) -> None:
        """A result that is JSON for people as well."""
        self._out.document(data, indent=2)

    def line(self, text: str, data: Any) -> None:
        """A line of a result that has no end: text for people, an object a line with --json."""
        if self.as_json:
            self._out.document(data)
        else:
            self._out.out(text)

    def say(self, text: str) -> None:
        """One line of progress."""
        self._err.print(Text.assemble(("• ", "cyan"), safe_line(text)))

    @contextmanager
    def working(self, title: str) -> Iterator[Log]:
        """A job of more than two seconds; yields where its log lines go."""
        started = time.monotonic()
        if self.verbose or not self._draws:
            self.say(title)
        with self._job(title) as job:
            yield job.log
        self.say(f"{title}: done in {time.monotonic() - started:.1f} s")

    @contextmanager
    def waiting(self) -> Iterator[View]:
        """A wait for a Space, whose stages are said one by one; yields what is seen meanwhile."""
        with self._job("Waiting") as job:
            yield job

    @contextmanager
    def _job(self, title: str) -> Iterator[_Job]:
        job = _Job(self._err, title, verbose=self.verbose, draws=self._draws)
        if self._draws:
            with Live(job, console=self._err, transient=True, refresh_per_second=_REDRAWS):
                yield job
        else:
            yield job

    @property
    def _draws(self) -> bool:
        """Whether a line can be drawn anew; FORCE_COLOR alone makes no terminal of a CI's log."""
        forced = os.environ.get("TTY_INTERACTIVE") == "1"
        return self._err.is_interactive and (self._err.file.isatty() or forced)

    def check(self, result: CheckResult) -> None:
        """A check's line, as soon as it is known."""
        line = Text(f"  {result.name:<14} ")
        line.append(f"{result.outcome:<8}", style=_STYLES[result.outcome])
        line.append(f"{safe_line(result.detail)}  ")
        line.append(f"{result.seconds * 1000:.0f} ms", style="dim")
        self._err.print(line)

    def finding(self, finding: Finding) -> None:
        """What the doctor found, as soon as it is known; what to do about it below."""
        line = Text(f"  {finding.name:<10} ")
        line.append(f"{finding.outcome:<8}", style=_STYLES[finding.outcome])
        line.append(f" {_indented(finding.detail)}")
        self._err.print(line)
        if finding.fix:
            self._err.print(Text(f"{'':<22}{_indented(finding.fix)}", style="dim"))

    def examined(self, findings: Sequence[Finding], exit_code: int) -> None:
        """The end of an examination: how many of each for people, everything with --json."""
        counts = Counter(finding.outcome for finding in findings)
        self.result(
            ", ".join(f"{number} {outcome}" for outcome, number in counts.items()),
            {"findings": [finding.data() for finding in findings], "exit_code": exit_code},
        )

    def report(self, report: Report) -> None:
        """The end of a smoke test: measurements for people, everything with --json."""
        if self.as_json:
            self.result("", report_data(report))
            return
        # Text, not str: rich reads markup and emoji names such as ":x:" in a str.
        table = Table(title=Text(f"{report.target}: {_counted(report)}"))
        table.add_column("measured")
        table.add_column("value", justify="right")
        for name, value in _measured(report):
            table.add_row(name, Text(value))
        self._out.print(table)

    def benched(self, benched: Benched) -> None:
        """How fast a server is: a row for each load."""
        if self.as_json:
            self.result("", asdict(benched))
            return
        table = Table(title=Text(benched.url), box=SIMPLE)
        table.add_column("load")
        for column in ("p50", "p95", "requests/s", "tokens/s", "refused"):
            table.add_column(column, justify="right")
        for row in _loads(benched):
            table.add_row(*map(Text, row))
        self._out.print(table)

    def status(self, status: Status) -> None:
        """What a Space is doing, a fact a line."""
        if self.as_json:
            self.result("", asdict(status))
            return
        self._out.print(_table(status))

    def watching(self, statuses: Iterable[Status]) -> None:
        """A Space again and again: drawn anew on a terminal, what changes a line elsewhere."""
        if self._out.is_terminal and not self.as_json:
            with Live(console=self._out, auto_refresh=False) as live:
                for status in statuses:
                    live.update(_table(status), refresh=True)
            return
        before: Status | None = None
        for status in statuses:
            now = _steady(status)
            if now != before:
                self._changed(status, before)
            before = now

    def _changed(self, status: Status, before: Status | None) -> None:
        if self.as_json:
            self.line("", asdict(status))
            return
        known = set(_facts(before)) if before is not None else set()
        for name, value in _facts(status if before is None else _steady(status)):
            if (name, value) not in known:
                self.line(f"{name:<14} {_indented(value)}", None)

    def snippets(self, connected: Connected, **more: Any) -> None:
        """What to paste on stdout, as it is; what to know about it on stderr."""
        if self.as_json:
            self.result("", {**connected.data(), **more})
            return
        for file in connected.files:
            if len(connected.files) > 1:
                self._out.print(Text(f"# --- {file.name} ---", style="bold"))
            if self._out.is_terminal:
                lexer = Syntax.guess_lexer(file.name, file.content)
                self._out.print(Syntax(file.content, lexer, background_color="default"))
            else:
                self._out.out(file.content, end="")
        for note in connected.notes:
            self.say(note)

    def error(self, error: OpsError) -> None:
        """What happened, why, and what to do; as JSON on stdout with --json."""
        if self.as_json:
            # On one line, which may be the last of a result that has an object a line.
            self.line("", {"error": _error_data(error)})
            return
        for line in error.log_tail:
            self._err.print(Text(f"  {safe_line(line)}", style="dim"))
        self._err.print(Text("Error: ", style="bold red") + Text(_indented(error.message)))
        for label, text in (
            ("Why: ", error.cause),
            ("Since then: ", error.aftermath),
            ("Next: ", error.next_step),
        ):
            if text:
                self._err.print(Text(label, style="bold") + Text(_indented(text)))


class _Job:
    """A job that lasts: how long it has, and its log.

    On a terminal that is one line, drawn anew; verbose, the whole log goes by (above that line).
    Elsewhere a line of the log is shown now and then.
    """

    def __init__(self, console: Terminal, title: str, *, verbose: bool, draws: bool):
        self._console = console
        self._title = title
        self._verbose = verbose
        self._draws = draws
        self._newest = ""
        self._started = self._shown = time.monotonic()
        self._spinner = Spinner("dots", style="cyan")

    def stage(self, text: str) -> None:
        """It goes by another name from now on."""
        self._title, self._newest = text, ""

    def log(self, line: str) -> None:
        """A line of its log."""
        line, now = safe_line(line), time.monotonic()
        if self._verbose:
            self._console.print(Text(f"  {line}", style="dim"))
        elif self._draws:
            self._newest = line.strip() or self._newest
        elif now - self._shown >= _HEARTBEAT:
            self._shown = now
            self._console.print(Text(f"  {now - self._started:5.0f} s  {line}"))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        frame = self._spinner.render(time.monotonic())
        assert isinstance(frame, Text)  # noqa: S101 -- it is, for a spinner without a text
        text = Text(no_wrap=True, overflow="ellipsis").append_text(frame)
        text.append(f" {self._title}  {time.monotonic() - self._started:.0f} s  ")
        text.append(self._newest, style="dim")
        # The last column stays free: some terminals wrap as soon as something is in it.
        yield from console.render(text, options.update(width=options.max_width - 1))


def _indented(text: str) -> str:
    """A text whose further lines can't pass for lines of ours."""
    return re.sub(r"[\r\n]+(?=\S)", "\n  ", text)


def report_data(report: Report) -> dict[str, Any]:
    """A smoke test's report as JSON has it."""
    return {**asdict(report), "passed": not report.failed}


def _error_data(error: OpsError) -> dict[str, Any]:
    return {
        "message": error.message,
        "cause": error.cause,
        "aftermath": error.aftermath,
        "next_step": error.next_step,
        "exit_code": int(error.exit_code),
        "log_tail": list(error.log_tail),
    }


def _counted(report: Report) -> str:
    """Such as "17 checks passed, 1 failed, 1 skipped"; what did not happen is left out."""
    outcomes = Counter(check.outcome for check in report.checks)
    others = (f"{outcomes[o]} {o}" for o in ("failed", "skipped") if outcomes[o])
    return ", ".join([f"{outcomes['passed']} checks passed", *others])


def _loads(benched: Benched) -> Iterator[tuple[str, ...]]:
    yield "short query", *_times(benched.idle)
    yield "mixed clients", *_times(benched.mixed.latency), *_rates(benched.mixed)
    if benched.beside is not None and benched.bulk is not None:
        yield "query beside bulk", *_times(benched.beside)
        yield "the bulk", *_times(benched.bulk.latency), *_rates(benched.bulk)


def _times(latency: Latency) -> Iterator[str]:
    for milliseconds in (latency.p50_ms, latency.p95_ms):
        yield f"{milliseconds:,.1f} ms"


def _rates(found: Throughput) -> Iterator[str]:
    yield f"{found.requests_per_second:,.1f}"
    yield "?" if found.tokens_per_second is None else f"{found.tokens_per_second:,.0f}"
    yield str(found.refused)


def _table(status: Status) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in _facts(status):
        table.add_row(Text(name, style="bold"), Text(value))
    return table


def _steady(status: Status) -> Status:
    """Without what is another number each time: latency, cost so far, age of the release."""
    return replace(status, latency_ms=None, cost_this_month=None, release_time=None)


def _facts(status: Status) -> Iterator[tuple[str, str]]:
    yield "Space", f"{status.repo_id} ({'private' if status.private else 'not private'})"
    yield "stage", status.stage
    if status.error_message:
        yield "error", status.error_message
    if status.healthy is not None:
        took = "" if status.latency_ms is None else f" in {status.latency_ms:.0f} ms"
        said = "" if status.answer is None else f" ({status.answer})"
        yield "answers", ("healthy" if status.healthy else "not healthy") + took + said
    yield "URL", status.url
    yield "hardware", status.hardware or "none yet"
    yield "cost", _cost(status)
    if status.running_since is not None and status.cost_this_month is not None:
        yield (
            "so far",
            _so_far(status.cost_this_month, datetime.fromisoformat(status.running_since)),
        )
    yield "sleeps", _sleeps(status.sleep_time)
    yield "runs commit", (status.running_commit or "none")[:8]
    yield "wanted commit", status.newest_commit[:8]
    yield "last release", _release(status)


def _cost(status: Status) -> str:
    """The price of the hardware, which runs without sleep; what is idle is not billed."""
    if status.cost_per_hour is None or status.cost_per_month is None:
        return "the Hub does not tell"
    if not status.cost_per_hour:
        return "free"
    idle = f"nothing while {status.stage}; else " if status.idle else ""
    hour, month = f"${status.cost_per_hour:.2f}", f"${status.cost_per_month:,.2f}"
    return f"{idle}{hour} an hour, {month} a month"


def _so_far(cost: float, since: datetime) -> str:
    local = since.astimezone()
    return f"${cost:,.2f} this month, if it has run since {local:%Y-%m-%d %H:%M %Z}"


def _sleeps(seconds: int | None) -> str:
    if seconds is None or seconds < 0:
        return "never"
    minutes, rest = divmod(seconds, 60)
    shown = f"{seconds} s" if rest else f"{minutes // 60} h {minutes % 60} min"
    return f"after {shown.removesuffix(' 0 min').removeprefix('0 h ')} without a request"


def _release(status: Status) -> str:
    if status.release is None or status.release_commit is None:
        return "none"
    known = [status.release_commit[:8]]
    if status.release_time is not None:
        known.append(_ago(datetime.now(UTC) - datetime.fromisoformat(status.release_time)))
    if status.release_commit != status.newest_commit:
        known.append("not the wanted commit")
    return f"{status.release} ({', '.join(known)})"


def _ago(age: timedelta) -> str:
    for unit, seconds in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if (number := int(age.total_seconds() // seconds)) > 0:
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"


def _measured(report: Report) -> Iterator[tuple[str, str]]:
    measured = report.measured
    if measured.start_seconds is not None:
        yield "start to healthy", f"{measured.start_seconds:.1f} s"
    if measured.p50_ms is not None and measured.p95_ms is not None:
        yield "one short query, p50", f"{measured.p50_ms:.1f} ms"
        yield "one short query, p95", f"{measured.p95_ms:.1f} ms"
    if measured.resident_bytes is not None:
        yield "resident memory", f"{measured.resident_bytes / 1e6:.0f} MB"
    yield "model", report.info.model
    yield "dimensions", str(report.info.dimensions)
    yield "fingerprint", report.info.fingerprint[:16]
