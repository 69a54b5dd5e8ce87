from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len

from ops.connect import Connected, File, Target
from ops.errors import BuildFailed, Exit
from ops.output import Output
from ops.probe import ServerInfo
from ops.smoke_test import CheckResult, Measurements, Report
from ops.status import Status

INFO = ServerInfo("me/[m]", 3, "", "", 10, 2048, 512, "f" * 64, api_key_required=False)
PASSED = CheckResult("page", "passed", "40 bytes of HTML", 0.012)
FAILED = CheckResult("batch", "failed", "[red]differs[/red]", 0.5)
REPORT = Report("docker:x", INFO, (PASSED, FAILED), Measurements(1.25, 10.0, 20.0, 300_000_000))
STATUS = Status(
    repo_id="me/[app]",
    url="http://x",
    private=True,
    stage="RUNNING",
    hardware="cpu-upgrade",
    running_commit="a" * 40,
    newest_commit="b" * 40,
    error_message=None,
    healthy=True,
    latency_ms=12.3,
    answer=None,
    sleep_time=5400,
    cost_per_hour=0.03,
    cost_per_month=21.9,
    running_since="2026-11-27T05:40:00+00:00",
    cost_this_month=0.8312,
    release="release-2",
    release_commit="a" * 40,
    release_time=None,
)
ERROR = BuildFailed(
    "The build failed at [RUN pip].",
    cause="No [network].",
    next_step="ops build [-v]",
    log_tail=("step 1", "[error] step 2"),
)


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def test_result_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """The result is on stdout as it is, long lines and brackets included."""
    text = "[bold]Built[/bold] " + "x" * 500
    Output().result(text, {"unused": 1})
    assert capsys.readouterr() == (f"{text}\n", "")


def test_result_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json stdout is one JSON document, which no width of a terminal breaks."""
    data = {"path": "[bold]" + "x" * 500, "emoji": "🧭", "none": None}
    Output(as_json=True).result("unused", data)
    out, err = capsys.readouterr()
    assert json.loads(out) == data
    assert "🧭" in out
    assert err == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_progress_is_not_a_result(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    """Progress and checks go to stderr, so that stdout can be piped."""
    output = Output(as_json=as_json)
    output.say("[1/2] Building")
    output.check(FAILED)
    with output.working("Waiting") as log:
        log("a line")
    out, err = capsys.readouterr()
    assert out == ""
    assert "[1/2] Building" in err
    assert "Waiting: done in " in err


def test_check_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A check's line has its name, its outcome, what it found and how long it took."""
    Output().check(PASSED)
    Output().check(FAILED)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].split() == ["page", "passed", "40", "bytes", "of", "HTML", "12", "ms"]
    assert lines[1].split() == ["batch", "failed", "[red]differs[/red]", "500", "ms"]


def test_verbose_shows_the_whole_log(capsys: pytest.CaptureFixture[str]) -> None:
    """With -v every line of a job's log is shown, as it is."""
    with Output(verbose=True).working("Building") as log:
        log("[1/9] FROM python")
        log("x" * 300)
    err = capsys.readouterr().err
    assert "  [1/9] FROM python\n" in err
    assert f"  {'x' * 300}\n" in err


def test_quiet_log_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Without -v and without a terminal a quick job's log is not shown, only its start and end."""
    with Output().working("Building") as log:
        for number in range(100):
            log(f"line {number}")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "• Building"
    assert len(lines) == 2


@pytest.mark.parametrize("verbose", [False, True])
def test_failed_job_is_not_called_done(
    capsys: pytest.CaptureFixture[str], *, verbose: bool
) -> None:
    """A job that fails ends with its error, not with a line that says it is done."""
    with pytest.raises(BuildFailed), Output(verbose=verbose).working("Building"):
        raise ERROR
    assert "done" not in capsys.readouterr().err


def test_terminal_shows_the_latest_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal a job has one line that changes, never one that is wider than the screen."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TTY_INTERACTIVE", "1")
    monkeypatch.setenv("COLUMNS", "40")
    with Output().working("Building [x]") as log:
        log("[1/9] " + "y" * 300)
    err = capsys.readouterr().err
    assert "Building [x]" in err
    assert "y" * 40 not in err
    assert "Building [x]: done in " in err


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard error is taken for a terminal of 60 columns."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TTY_INTERACTIVE", "1")
    monkeypatch.setenv("COLUMNS", "60")


def drawn(err: str) -> list[str]:
    """Each line as it was drawn, one after the other, without colours."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", err))


@pytest.mark.usefixtures("terminal")
def test_a_wait_is_one_line_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Stage, seconds and the log's newest line, in its width; what is said stays above it."""
    with Output().waiting() as view:
        view.stage("me/app BUILDING")
        view.log("\x1b[32mCollecting\x1b[0m [numpy]")
        view.log("日本語" * 100)
        view.log(" ")
    lines = drawn(capsys.readouterr().err)
    assert any(re.fullmatch(r". me/app BUILDING  0 s  日本語.*…", line) for line in lines)
    assert max(map(cell_len, lines)) < 60


@pytest.mark.usefixtures("terminal")
def test_a_wait_scrolls_by_when_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    """With -v every line of the log stays, whole, and the stage below it."""
    with Output(verbose=True).waiting() as view:
        view.stage("me/app BUILDING")
        for number in range(20):
            view.log(f"{number} " + "x" * 100)
    lines = drawn(capsys.readouterr().err)
    assert [line for line in lines if "x" in line] == [f"  {n} " + "x" * 100 for n in range(20)]
    assert any(line.endswith("me/app BUILDING  0 s  ") for line in lines)


@pytest.mark.parametrize("forced", [False, True])
def test_a_wait_is_plain_lines_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, forced: bool
) -> None:
    """A line of the log now and then; a CI that wants colours is no terminal to draw on."""
    if forced:
        monkeypatch.setenv("FORCE_COLOR", "1")
    with Output().waiting() as view:
        view.stage("me/app BUILDING")
        view.log("so soon after the start it is left out")
        monkeypatch.setattr("ops.output._HEARTBEAT", 0)
        view.log("Collecting numpy")
    assert capsys.readouterr().err == "      0 s  Collecting numpy\n"


def test_a_log_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """Sequences are taken out of what others wrote, and single characters made visible."""
    with Output(verbose=True).waiting() as view:
        view.log("\x1b[31mred\x1b[0m \x1b[2K\x1b[1Aup\x1b]0;title\x1b\\ \x07bell\tend \x1b")
        view.log(" 10 %\r 99 %")
    shown = capsys.readouterr().err
    assert shown.splitlines() == ["  red up \\u0007bell end \\u001b", "   10 %  99 %"]


def test_no_colour_where_none_is_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Colours are for terminals, and NO_COLOR turns them off there too."""
    Output().error(ERROR)
    assert "\x1b" not in capsys.readouterr().err
    monkeypatch.setenv("FORCE_COLOR", "1")
    Output().error(ERROR)
    assert "\x1b[1;31m" in capsys.readouterr().err
    monkeypatch.setenv("NO_COLOR", "1")
    Output().error(ERROR)
    assert not [code for code in ("31m", "32m", "36m") if code in capsys.readouterr().err]


def test_error_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """An error is the log's tail, what happened, why, and what to do next."""
    Output().error(ERROR)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "  step 1",
        "  [error] step 2",
        "Error: The build failed at [RUN pip].",
        "Why: No [network].",
        "Next: ops build [-v]",
    ]


def test_error_says_what_was_done_since(capsys: pytest.CaptureFixture[str]) -> None:
    """What was done after the failure stands between its cause and the next step."""
    error = BuildFailed("Failed.", cause="A.", next_step="B")
    error.aftermath = "The release before is back."
    Output().error(error)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "Error: Failed.",
        "Why: A.",
        "Since then: The release before is back.",
        "Next: B",
    ]


def test_error_without_a_cause(capsys: pytest.CaptureFixture[str]) -> None:
    """A part that an error does not have has no empty line."""
    Output().error(BuildFailed("Failed."))
    assert capsys.readouterr().err == "Error: Failed.\n"


def test_error_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json an error is a document on stdout, its exit code included."""
    Output(as_json=True).error(ERROR)
    assert json.loads(capsys.readouterr().out) == {
        "error": {
            "message": "The build failed at [RUN pip].",
            "cause": "No [network].",
            "aftermath": None,
            "next_step": "ops build [-v]",
            "exit_code": Exit.BUILD,
            "log_tail": ["step 1", "[error] step 2"],
        }
    }


CONNECTED = Connected(
    "mem0",
    Target("http://127.0.0.1", "m-embed", 3, private=False, keyed=False, asked=True),
    (File(".env", "A=[b]1[/b]\n"), File("x.yaml", "a: " + "x" * 300 + "\n")),
    ("A [note].",),
)


def test_snippets_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    """Several files are told apart by a line; each is as it is, and notes are beside them."""
    Output().snippets(CONNECTED)
    out, err = capsys.readouterr()
    first, second = CONNECTED.files
    assert out == f"# --- .env ---\n{first.content}# --- x.yaml ---\n{second.content}"
    assert "A [note]." in err


def test_one_snippet_is_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """One file alone is nothing but its content, so that stdout may go into it."""
    Output().snippets(replace(CONNECTED, files=CONNECTED.files[1:]))
    assert capsys.readouterr().out == CONNECTED.files[1].content


def test_snippets_have_colours_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal shows YAML as YAML, and not a character is lost."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "400")
    Output().snippets(CONNECTED)
    out = capsys.readouterr().out
    assert "\x1b[" in out
    plain = re.sub(r"\x1b\[[\d;]*m", "", out)
    assert all(file.content.strip() in plain for file in CONNECTED.files)


def test_snippets_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json files and notes are fields, and checks where there were any."""
    Output(as_json=True).snippets(CONNECTED, checks=[])
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert [file["name"] for file in data["files"]] == [".env", "x.yaml"]
    assert (data["notes"], data["checks"], err) == (["A [note]."], [], "")


def shown(report: Report, capsys: pytest.CaptureFixture[str]) -> str:
    """The table that people see."""
    Output().report(report)
    return " ".join(capsys.readouterr().out.split())


def test_report_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """The end of a smoke test says how many passed and what was measured."""
    text = shown(REPORT, capsys)
    assert "docker:x: 1 checks passed, 1 failed" in text
    for line in ("start to healthy │ 1.2 s", "p50 │ 10.0 ms", "p95 │ 20.0 ms", "300 MB", "me/[m]"):
        assert line in text


def test_report_leaves_out_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be measured from here has no line."""
    text = shown(replace(REPORT, measured=Measurements(None, None, None, None)), capsys)
    assert "healthy" not in text
    assert "None" not in text
    assert "p50" not in text
    assert "memory" not in text


def test_report_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the whole report is there, with one field that says how it ended."""
    Output(as_json=True).report(REPORT)
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert data["passed"] is False
    assert [check["name"] for check in data["checks"]] == ["page", "batch"]
    assert data["measured"]["p50_ms"] == 10.0
    assert data["info"]["model"] == "me/[m]"
    Output(as_json=True).report(replace(REPORT, checks=(PASSED,)))
    assert json.loads(capsys.readouterr().out)["passed"] is True


def test_status_says_what_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    """Costs, times and commits in words; what is not known is not made up."""
    Output().status(STATUS)
    shown = capsys.readouterr().out
    assert "me/[app] (private)" in shown
    assert "healthy in 12 ms" in shown
    assert "  $0.03 an hour, $21.90 a month" in shown
    local = datetime.fromisoformat("2026-11-27T05:40:00+00:00").astimezone()
    assert f"$0.83 this month, if it has run since {local:%Y-%m-%d %H:%M}" in shown
    assert "after 1 h 30 min without a request" in shown
    assert "release-2 (aaaaaaaa, not the wanted commit)" in shown
    Output().status(
        replace(STATUS, stage="PAUSED", healthy=None, sleep_time=-1, release_commit="b" * 40)
    )
    shown = capsys.readouterr().out
    assert "nothing while PAUSED; else $0.03 an hour" in shown
    assert re.search(r"sleeps +never", shown)
    assert "release-2 (bbbbbbbb)" in shown
    Output().status(
        replace(
            STATUS,
            cost_per_hour=None,
            cost_per_month=None,
            running_since=None,
            cost_this_month=None,
            release=None,
        )
    )
    shown = capsys.readouterr().out
    assert "this month" not in shown
    assert "the Hub does not tell" in shown
    assert "none" in shown


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(days=3, hours=5), "3 days ago"),
        (timedelta(hours=25), "1 day ago"),
        (timedelta(minutes=119), "1 hour ago"),
        (timedelta(minutes=2, seconds=30), "2 minutes ago"),
        (timedelta(seconds=30), "just now"),
        (timedelta(hours=-1), "just now"),
    ],
)
def test_status_says_how_old_the_release_is(
    capsys: pytest.CaptureFixture[str], age: timedelta, said: str
) -> None:
    """In words, where it is known; a clock that is behind makes no release of the future."""
    Output().status(replace(STATUS, release_time=(datetime.now(UTC) - age).isoformat()))
    assert f"release-2 (aaaaaaaa, {said}, not the wanted commit)" in capsys.readouterr().out


@pytest.mark.parametrize("as_json", [False, True])
def test_watching_prints_what_changes(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    """Neither latency nor cost so far is a change; with --json a change is the whole, on a line."""
    slower = replace(STATUS, latency_ms=99.9, cost_this_month=0.9)
    ended = replace(STATUS, stage="RUNTIME_ERROR", healthy=None, latency_ms=None)
    output = Output(as_json=as_json)
    output.watching([STATUS, slower, slower])
    whole = capsys.readouterr().out.splitlines()
    assert len(whole) == (1 if as_json else 11)
    output.watching([STATUS, slower, ended, ended])
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(whole)] == whole
    fresh = lines[len(whole) :]
    if as_json:
        assert [json.loads(line)["stage"] for line in fresh] == ["RUNTIME_ERROR"]
    else:
        assert [line.split() for line in fresh] == [["stage", "RUNTIME_ERROR"]]


def test_watching_draws_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the whole is drawn anew each time, in place."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    Output().watching([STATUS, replace(STATUS, stage="PAUSED")])
    shown = capsys.readouterr().out
    assert shown.count("wanted commit") >= 2
    assert "PAUSED" in shown
    assert "\x1b[" in shown
