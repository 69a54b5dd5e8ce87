from __future__ import annotations

import json
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
import running_ops
from fakes.embedding_server import embedding_app
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world
from running_ops import command, environment, on_a_terminal
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a Space that is a small embedding server."""
    runner = FakeRunner(lambda _: embedding_app())
    with hub_world(tmp_path_factory.mktemp("hub"), runner) as world:
        world.create()
        world.push({})
        yield world


@pytest.fixture
def world(shared: World) -> World:
    """The shared Hub, its Space running whatever a test did before."""
    if shared.api.get_space_runtime(SPACE).stage == "PAUSED":
        shared.api.restart_space(SPACE)
    shared.wait_for_stage("RUNNING")
    return shared


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a space.toml for me/app."""
    (tmp_path / "space.toml").write_text(f'[space]\nrepo_id = "{SPACE}"\n')
    return tmp_path


def exported(world: World) -> dict[str, str]:
    """What a person exports to reach the Hub."""
    return {"HF_ENDPOINT": world.hub.endpoint, "HF_TOKEN": WRITE, "TERM": "xterm"}


def run(
    world: World, folder: Path, *arguments: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """One command to its end, without a terminal."""
    done = running_ops.run(folder, *arguments, **(exported(world) | more))
    assert WRITE not in done.stdout + done.stderr
    return done


def interrupted(world: World, folder: Path, *arguments: str, lines: int) -> tuple[int, str, str]:
    """A command that is sent Ctrl-C after so many lines: exit code, lines, stderr."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env=environment(folder, **exported(world)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        shown = "".join(process.stdout.readline() for _ in range(lines))
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return process.returncode, shown + rest, said


def test_logs_are_plain_lines(world: World, folder: Path) -> None:
    """What the app wrote is on stdout and nothing else; -n cuts it."""
    whole = run(world, folder, "logs")
    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.splitlines() == ["===== Application Startup =====", "Listening on 7860"]
    assert run(world, folder, "logs", "-n", "1").stdout == "Listening on 7860\n"
    assert "Build Queued" in run(world, folder, "logs", "--build").stdout
    assert run(world, folder, "logs", "-n", "0").returncode == 2


def test_logs_since(world: World, folder: Path) -> None:
    """Only what is as new; what is no time is exit code 2, and says what would be."""
    assert run(world, folder, "logs", "--since", "1h").stdout.endswith("Listening on 7860\n")
    assert run(world, folder, "logs", "--since", "2100-01-01T00:00Z").stdout == ""
    wrong = run(world, folder, "logs", "--since", "yesterday")
    assert wrong.returncode == 2
    assert "'yesterday' is neither 30s, 10m" in wrong.stderr


def test_logs_as_json_are_an_object_a_line(world: World, folder: Path) -> None:
    """With the Hub's time for each."""
    done = run(world, folder, "--json", "logs")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["text"] for line in lines][-1] == "Listening on 7860"
    assert all(line.keys() == {"time", "text"} for line in lines)


def test_following_ends_quietly(world: World, folder: Path) -> None:
    """Ctrl-C is exit code 130, without a word."""
    code, shown, said = interrupted(world, folder, "logs", "-f", lines=2)
    assert (code, said) == (130, "")
    assert shown.splitlines()[-1] == "Listening on 7860"


def test_pause_wake_and_restart(world: World, folder: Path) -> None:
    """One after the other, each says what became of the Space, for people or machines."""
    paused = run(world, folder, "--json", "pause")
    assert paused.returncode == 0, paused.stderr
    assert json.loads(paused.stdout)["stage_after"] == "PAUSED"
    assert run(world, folder, "status").returncode == 8
    woken = run(world, folder, "wake")
    assert woken.returncode == 0, woken.stderr
    assert f"{SPACE} answers after" in woken.stdout
    restarted = run(world, folder, "--json", "restart")
    assert restarted.returncode == 0, restarted.stderr
    assert json.loads(restarted.stdout)["seconds"] > 0


@pytest.mark.parametrize("verb", ["restart", "wake"])
def test_a_wait_is_drawn_on_a_terminal(world: World, folder: Path, verb: str) -> None:
    """One line with the seconds, drawn anew, then what became of it."""
    code, shown = on_a_terminal(folder, verb, **exported(world))
    assert code == 0
    assert "Waiting  0 s" in shown
    assert re.search(r"\d s  RUNNING [0-9a-f]{8}", shown)


@pytest.mark.parametrize(
    "arguments", [("restart", "--factory"), ("pause",), ("wake",), ("destroy",)], ids=" ".join
)
def test_a_dry_run_touches_nothing(world: World, folder: Path, arguments: tuple[str, ...]) -> None:
    """It says what would happen, exits 0, and the Hub was asked nothing but questions."""
    world.hub.faults.mark()
    done = run(world, folder, *arguments, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "Nothing was touched" in done.stdout
    assert SPACE in done.stderr
    assert {seen.method for seen in world.hub.faults.seen} <= {"GET", "HEAD"}
    as_json = json.loads(run(world, folder, "--json", *arguments, "--dry-run").stdout)
    assert (as_json["repo_id"], as_json["dry_run"]) == (SPACE, True)


def test_status_tells_cost_release_and_latency(world: World, folder: Path) -> None:
    """A fact a line for people; the same as JSON, with what was there before."""
    shown = run(world, folder, "status").stdout
    for fact in ("free", "after 48 h without a request", "healthy in", "wanted commit", "none"):
        assert fact in shown
    found = json.loads(run(world, folder, "--json", "status").stdout)
    assert (found["cost_per_hour"], found["sleep_time"], found["release"]) == (0, 172800, None)
    assert found["running_commit"] == found["newest_commit"]
    assert found["latency_ms"] > 0


def test_status_is_watched(world: World, folder: Path) -> None:
    """Without a terminal, only what has changed is printed again; Ctrl-C is exit code 130."""
    process = subprocess.Popen(
        command("status", "--watch"),
        cwd=folder,
        env=environment(folder, **exported(world)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        first = [process.stdout.readline() for _ in range(10)]
        world.api.pause_space(SPACE)
        after = [process.stdout.readline() for _ in range(2)]
    finally:
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=60)
    assert first[1].split() == ["stage", "RUNNING"]
    assert first[-1].split() == ["last", "release", "none"]
    assert [line.split() for line in after] == [["stage", "PAUSED"], ["runs", "commit", "none"]]
    assert rest == ""
    assert (process.returncode, said) == (130, "")


def test_open_without_a_desktop_prints(world: World, folder: Path) -> None:
    """The address of the page, or of the app, is all."""
    assert run(world, folder, "open").stdout == f"{world.hub.endpoint}/spaces/{SPACE}\n"
    done = run(world, folder, "--json", "open", "--app")
    assert json.loads(done.stdout) == {"repo_id": SPACE, "url": world.url(), "opened": False}


def test_open_on_a_desktop_launches(world: World, folder: Path) -> None:
    """On a terminal of a desktop, the browser is given the address."""
    opener = folder / "browser"
    opener.write_text(f'#!/bin/sh\nenv > "{folder}/env"\necho "$@" > "{folder}/opened"\n')
    opener.chmod(0o755)
    code, shown = on_a_terminal(
        folder, "open", "--app", **exported(world), BROWSER=str(opener), DISPLAY=":99"
    )
    assert code == 0
    assert world.url() in shown
    wait_until(lambda: (folder / "opened").exists() and (folder / "opened").read_text() != "")
    assert (folder / "opened").read_text() == f"{world.url()}\n"
    assert "DISPLAY=:99\n" in (folder / "env").read_text()
    assert "HF_TOKEN" not in (folder / "env").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ("destroy",),
        ("--yes", "destroy"),
        ("destroy", "--name", SPACE),
        ("--yes", "destroy", "--name", "app"),
        ("--yes", "destroy", "--name", "me/other"),
    ],
    ids=" ".join,
)
def test_destroy_is_never_done_by_half_a_word(
    world: World, folder: Path, arguments: tuple[str, ...]
) -> None:
    """Without a terminal it needs --yes and the full name: anything else is exit code 2."""
    done = run(world, folder, *arguments)
    assert done.returncode == 2
    assert "Nothing was touched" in done.stderr
    assert world.api.repo_exists(SPACE, repo_type="space")


def test_destroy_wants_the_name_typed(tmp_path: Path, folder: Path) -> None:
    """On a terminal a wrong name leaves it, the right one removes it; --yes --name does, too."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        world.create(space_secrets=[{"key": "KEYS", "value": "a-secret-value"}])
        code, shown = on_a_terminal(folder, "destroy", typed="app\n", **exported(world))
        assert (code, "secrets: KEYS" in shown) == (2, True)
        assert "a-secret-value" not in shown
        assert world.api.repo_exists(SPACE, repo_type="space")
        code, _ = on_a_terminal(folder, "destroy", typed=f"{SPACE}\n", **exported(world))
        assert code == 0
        assert not world.api.repo_exists(SPACE, repo_type="space")
        world.create()
        done = run(world, folder, "--yes", "--json", "destroy", "--name", SPACE)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["destroyed"]
        assert not world.api.repo_exists(SPACE, repo_type="space")
