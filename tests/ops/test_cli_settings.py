from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from fakes.embedding_server import embedding_app
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world
from running_ops import command, environment, on_a_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World

MANY = """
import json, sys
from click.testing import CliRunner
from ops.cli import cli
done = [CliRunner().invoke(cli, words, input=given) for words, given in json.load(sys.stdin)]
print(json.dumps([[one.exit_code, one.stdout, one.stderr] for one in done]))
"""
"""Runs several commands in one process, which starts sooner than a process for each."""
SECRET = "Zq3vN8rT1xWm5LbY7cHd2FgJ"
"""Planted wherever a value can be; it must never come out."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a Space that runs."""
    runner = FakeRunner(lambda _: embedding_app())
    with hub_world(tmp_path_factory.mktemp("hub"), runner) as world:
        world.create()
        world.push({})
        yield world


@pytest.fixture
def world(shared: World) -> World:
    """The shared Hub, its Space running and without any setting."""
    for name in shared.api.get_space_variables(SPACE):
        shared.api.delete_space_variable(SPACE, name)
    for name in shared.api.get_space_secrets(SPACE):
        shared.api.delete_space_secret(SPACE, name)
    shared.wait_for_stage("RUNNING")
    shared.hub.faults.mark()
    return shared


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a space.toml for me/app."""
    (tmp_path / "space.toml").write_text(f'[space]\nrepo_id = "{SPACE}"  # ours\n')
    return tmp_path


def exported(world: World) -> dict[str, str]:
    """What a person exports to reach the Hub."""
    return {"HF_ENDPOINT": world.hub.endpoint, "HF_TOKEN": WRITE, "TERM": "xterm"}


def run_all(
    world: World, folder: Path, *calls: tuple[str, ...], stdin: str = "", **more: str
) -> list[tuple[int, str, str]]:
    """Whole commands, one after the other; exit code, stdout and stderr of each."""
    done = subprocess.run(
        [sys.executable, "-c", MANY],
        cwd=folder,
        env=environment(folder, **(exported(world) | more)),
        input=json.dumps([(words, stdin) for words in calls]),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [(code, out, err) for code, out, err in json.loads(done.stdout)]


def writes(world: World) -> int:
    """How many requests would have changed something."""
    return sum(seen.method not in ("GET", "HEAD") for seen in world.hub.faults.seen)


def test_no_value_comes_out(world: World, folder: Path) -> None:
    """Whichever way a secret goes in, and whatever goes wrong: no output has it, nor any file."""
    (folder / "key").write_text(f"{SECRET}file\n")
    (folder / ".env").write_text(f"A={SECRET}one\nB='{SECRET}two'\n")
    (folder / "bad.env").write_text(f"A=1\n{SECRET}\n")
    world.api.add_space_variable(SPACE, "TAKEN", "1")
    secrets, variables = ("-v", "settings", "secrets"), ("-v", "settings", "variables")
    calls: dict[tuple[str, ...], int] = {
        (*secrets, "set", "A", "--stdin", "--no-wait", "--save"): 0,
        (*secrets, "set", "B", "--from-env", "FROM", "--no-wait", "--save"): 0,
        (*secrets, "set", "C", "--from-file", "key", "--save"): 0,
        (*secrets, "import", ".env", "--no-wait", "--save"): 0,
        ("--json", *secrets, "import", ".env", "--dry-run"): 0,
        (*secrets, "list"): 0,
        ("--json", "-v", "settings", "show"): 0,
        (*secrets, "set", f"A={SECRET}"): 2,
        (*secrets, "set", "A", SECRET): 2,
        (*secrets, "set", "A", f"--{SECRET}"): 2,
        (*secrets, "set", "A", f"-{SECRET}"): 2,
        (*secrets, "set", SECRET): 2,
        (*secrets, "set", "A", "--from-env", SECRET): 2,
        (*secrets, "set", "A", "--from-file", SECRET): 2,
        (*secrets, "set", "TAKEN", "--stdin"): 2,
        (*secrets, "import", "bad.env"): 2,
        (*secrets, "import", ".env", "--only", SECRET): 2,
        (*secrets, "unset", SECRET): 2,
        ("--json", *secrets, "import", "bad.env"): 2,
        (*variables, "set", f"A={SECRET}"): 2,
        (*variables, "set", f"A=sk-{SECRET}"): 2,
        (*variables, "set", SECRET, "A=1"): 2,
        (*variables, "import", ".env"): 2,
    }
    done = run_all(world, folder, *calls, stdin=f"{SECRET}in\n", FROM=f"{SECRET}env")
    for (words, expected), (code, out, err) in zip(calls.items(), done, strict=True):
        output = out + err
        assert code == expected, (words, output)
        assert SECRET not in output, words
        assert ("Traceback" in output) == (code == 2), words
    assert set(world.api.get_space_secrets(SPACE)) == {"A", "B", "C"}
    given = {folder / name for name in ("key", ".env", "bad.env")}
    for path in folder.rglob("*"):
        assert path in given or not path.is_file() or SECRET not in path.read_text()
    assert (folder / "space.toml").read_text() == (
        f'[space]\nrepo_id = "{SPACE}"  # ours\n\n[secrets]\nA = {{ env = "A" }}\n'
        'B = { env = "FROM" }\nC = { file = "key" }\n'
    )


def test_a_secret_is_typed_unseen(world: World, folder: Path) -> None:
    """On a terminal it is asked for, and not shown; without one, it is said what to do."""
    words = ("secrets", "set", "KEYS", "--no-wait", "--save")
    code, shown = on_a_terminal(folder, "settings", *words, hidden=f"{SECRET}\n", **exported(world))
    assert code == 0, shown
    assert "KEYS:" in shown
    assert SECRET not in shown
    assert set(world.api.get_space_secrets(SPACE)) == {"KEYS"}
    assert "KEYS = { prompt = true }" in (folder / "space.toml").read_text()
    ((code, _, said),) = run_all(world, folder, ("settings", "secrets", "set", "KEYS"))
    assert (code, "--stdin" in said) == (2, True)


def test_variables_from_set_to_plan(world: World, folder: Path) -> None:
    """Set, waited for, listed, saved, and then `ops settings show` says that all agree."""
    words = ("settings", "variables", "set", "A=1", "B=two words", "--save")
    done, listed, shown, page = run_all(
        world,
        folder,
        words,
        ("settings", "variables", "list"),
        ("--json", "settings", "show"),
        ("settings", "show"),
    )
    assert done[0] == 0, done
    assert f"{SPACE} answers again after" in done[1]
    assert "Saved in space.toml." in done[1]
    assert listed[1] == "A=1\nB=two words\n"
    assert {one["verdict"] for one in json.loads(shown[1])["settings"]} == {"agrees"}
    assert "variable B" in page[1]
    world.hub.faults.mark()
    ((_, again, _),) = run_all(world, folder, ("--json", "settings", "variables", "set", "A=1"))
    assert json.loads(again) == {
        "repo_id": SPACE,
        "url": world.url(),
        "changes": [],
        "unchanged": ["A"],
        "saved": None,
        "seconds": None,
        "dry_run": False,
    }
    assert writes(world) == 0


def test_one_variable_from_elsewhere(world: World, folder: Path) -> None:
    """Stdin, the environment and files give a value to one name; - is stdin."""
    (folder / "f").write_text("a file\n")
    variables, quick = ("settings", "variables"), ("--no-wait",)
    done = run_all(
        world,
        folder,
        (*variables, "set", "A", "--stdin", *quick),
        (*variables, "set", "B", "--from-env", "FROM", *quick),
        (*variables, "set", "C", "--from-file", "f", *quick),
        (*variables, "set", "D", "--from-file", "-", *quick),
        (*variables, "import", "-", "--only", "E", *quick),
        (*variables, "unset", "D", *quick),
        (*variables, "set", "A", "B", "--stdin"),
        (*variables, "set", "A", "--stdin", "--from-env", "FROM"),
        (*variables, "set", "A"),
        stdin="E=1\n",
        FROM="env",
    )
    assert [code for code, _, _ in done] == [0, 0, 0, 0, 0, 0, 2, 2, 2]
    live = {name: one.value for name, one in world.api.get_space_variables(SPACE).items()}
    assert live == {"A": "E=1", "B": "env", "C": "a file", "E": "1"}


def test_what_has_to_be_agreed_to(world: World, folder: Path) -> None:
    """Without a terminal it needs --yes, on one a yes; a dry run asks nobody."""
    asked = (
        ("hardware", "t4-small"),
        ("visibility", "public"),
        ("variables", "set", f"A={SECRET}"),
    )
    alone = run_all(world, folder, *(("settings", *words) for words in asked))
    assert [code for code, _, _ in alone] == [2, 2, 2]
    assert all("nobody to ask" in err for _, _, err in alone)
    dry = run_all(world, folder, *(("settings", *words, "--dry-run") for words in asked))
    assert [done[:2] for done in dry] == [(0, "Nothing was touched: --dry-run.\n")] * 3
    code, shown = on_a_terminal(
        folder, "settings", "hardware", "t4-small", typed="n\n", **exported(world)
    )
    assert (code, "Go on? [y/N]" in shown) == (1, True)
    assert writes(world) == 0


def test_several_at_once_all_save(world: World, folder: Path) -> None:
    """Three commands at the same moment: each is done on the Hub, and all are in the file."""
    (folder / "victim").write_text("mine")
    (folder / ".space.toml.part").symlink_to("victim")
    words = ("settings", "variables", "set", "--no-wait", "--save")
    commands = [
        subprocess.Popen(
            command(*words, f"N{number}={number}"),
            cwd=folder,
            env=environment(folder, **exported(world)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for process in commands:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    with (folder / "space.toml").open("rb") as file:
        assert tomllib.load(file)["variables"] == {"N0": "0", "N1": "1", "N2": "2"}
    assert set(world.api.get_space_variables(SPACE)) == {"N0", "N1", "N2"}
    assert (folder / "victim").read_text() == "mine"


def test_hardware_sleep_time_and_visibility(tmp_path: Path, folder: Path) -> None:
    """With --yes each is done and saved, and JSON says what was done."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        world.create()
        words = ("--yes", "--json", "settings")
        done = run_all(
            world,
            folder,
            (*words, "hardware", "t4-small", "--no-wait", "--save"),
            (*words, "sleep-time", "5m", "--save"),
            (*words, "visibility", "public", "--save"),
            (*words, "hardware", "t5"),
            (*words, "sleep-time", "soon"),
        )
        assert [code for code, _, _ in done] == [0, 0, 0, 2, 2]
        told = [json.loads(out) for _, out, _ in done]
        made = [(c["field"], c["before"], c["after"]) for one in told[:3] for c in one["changes"]]
        assert made == [
            ("hardware", "cpu-basic", "t4-small"),
            ("sleep time", None, "300"),
            ("visibility", "private", "public"),
        ]
        assert {(one["saved"], one["dry_run"]) for one in told[:3]} == {("space.toml", False)}
        assert "t4-small (" in told[3]["error"]["cause"]
        runtime = world.api.get_space_runtime(SPACE)
        assert (runtime.requested_hardware, runtime.sleep_time) == ("t4-small", 300)
        assert not world.api.space_info(SPACE).private
