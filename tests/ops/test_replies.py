from __future__ import annotations

import json
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import click
import jsonschema_rs
import pytest
from deploying import app
from fakes.embedding_server import APP_KEY, embedding_server
from fakes.runner import FakeRunner
from hub_world import READ, SPACE, WRITE, hub_world
from pydantic import BaseModel, TypeAdapter
from running_ops import command, environment, promised, promised_failure, run

from ops.cli import cli
from ops.replies import REPLIES
from ops.runner import Image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World

ELSEWHERE = {"build", "rehearse"}
"""Commands that take long: the first is below, the other in tests/e2e/test_rehearse.py."""

NOT_READ_HERE = {"logs", "config show"}
"""An object a line; a model that reads TOML's types."""

SPACE_TOML = f"""\
[space]
repo_id = "{SPACE}"
[secrets]
EMBED_API_KEYS = {{ env = "KEYS" }}
[variables]
SAMPLE_TOKEN = "none"
[environments.staging.space]
repo_id = "me/staging"
"""


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command by its full name; groups are none."""
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))
        else:
            yield " ".join((*path, name)), found


COMMANDS = dict(commands(cli))


@dataclass
class Machine:
    """A folder and what `ops` printed in it, by the command's name, in the order of the calls."""

    folder: Path
    environment: dict[str, str]
    printed: dict[str, list[subprocess.CompletedProcess[str]]] = field(default_factory=dict)

    def ops(self, line: str, exit_code: int = 0) -> None:
        """Run a command line with --json."""
        name = max((n for n in COMMANDS if f"{line} ".startswith(f"{n} ")), key=len)
        done = run(self.folder, "--yes", "--json", *line.split(), **self.environment)
        assert done.returncode == exit_code, (line, done.stdout, done.stderr)
        self.printed.setdefault(name, []).append(done)

    def at_once(self, *lines: str) -> None:
        """Run several that do not disturb each other."""
        with ThreadPoolExecutor(3) as several:
            list(several.map(self.ops, lines))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a model, whose Spaces are small embedding servers."""
    folder = tmp_path_factory.mktemp("hub")
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    mirrors = {"BAAI/bge-base-en-v1.5": model}
    with hub_world(folder / "data", FakeRunner(app), mirrors=mirrors) as world:
        yield world


@pytest.fixture(scope="module")
def machine(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[subprocess.CompletedProcess[str]]]:
    """The whole life of a Space, with every command."""
    folder = tmp_path_factory.mktemp("machine")
    own = {"HF_ENDPOINT": world.hub.endpoint, "HF_TOKEN": WRITE}
    keys = {"KEYS": f"mem0={APP_KEY}", "EMBED_API_KEY": APP_KEY}
    machine = Machine(folder, own | keys)
    _authors(machine)
    _releases(machine, world)
    _runs(machine)
    _has_a_hub(machine)
    machine.ops("destroy --dry-run")
    machine.ops(f"destroy --name {SPACE}")
    return machine.printed


def _authors(machine: Machine) -> None:
    machine.ops("init me/app --dry-run")
    machine.ops("init me/app")
    (machine.folder / "space.toml").write_text(SPACE_TOML)
    machine.at_once(
        "init --github-actions --toolkit me/tool@main",
        "config show",
        "config validate",
        "config schema",
        "render --dry-run",
        "doctor",
    )
    machine.ops("render --check", 3)


def _releases(machine: Machine, world: World) -> None:
    machine.at_once("plan", "deploy --dry-run")
    with embedding_server() as server:
        machine.at_once("deploy", *_uses(server.url))
    # A release of which nothing is known but its tag.
    world.api.create_tag(SPACE, tag="release-0", repo_type="space")
    world.api.add_space_variable(SPACE, "BY_HAND", "1")
    machine.ops("plan --exit-code", 3)
    machine.at_once("rollback --dry-run", "releases")


def _runs(machine: Machine) -> None:
    (machine.folder / "public.env").write_text("GREETING=hello\n")
    (machine.folder / "secret.env").write_text("OTHER_KEY=its-value\n")
    machine.at_once("status", "logs", "open", "restart --dry-run", "clone copy", "settings show")
    machine.ops("settings variables set --no-wait GREETING=hello")
    machine.ops("settings hardware --no-wait cpu-upgrade")
    machine.at_once(
        *("settings secrets list", "settings variables list"),
        *("settings sleep-time --dry-run 2d", "settings visibility --dry-run public"),
        "settings variables unset --dry-run GREETING",
        "settings secrets set --dry-run --save EMBED_API_KEYS --from-env KEYS",
        "settings secrets unset --dry-run EMBED_API_KEYS",
        *("settings secrets import --dry-run secret.env", "settings variables import public.env"),
    )
    machine.ops("pause")
    machine.ops("wake")


def _uses(url: str) -> list[str]:
    return [
        "connect",
        f"connect python --url {url}",
        f"connect python --check --url {url}",
        f"smoke-test --url {url}",
        f"bench --seconds 0.1 --clients 2 --bulk 8 --url {url}",
    ]


def _has_a_hub(machine: Machine) -> None:
    machine.ops("hub fault add delay seconds=1 GET /never")
    machine.ops("hub fault list")
    machine.ops("hub fault clear")
    with subprocess.Popen(
        command("--json", "hub", "serve", "--runner", "process", "--port", "0"),
        cwd=machine.folder,
        env=environment(machine.folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as hub:
        assert hub.stderr is not None
        for line in hub.stderr:
            if "Ctrl-C" in line:
                break
        hub.send_signal(signal.SIGINT)
        done = subprocess.CompletedProcess("", hub.wait(60), *hub.communicate())
    machine.printed["hub serve"] = [done]
    machine.ops("hub reset --dry-run")
    machine.ops("hub reset")


def test_every_command_has_a_promise() -> None:
    """What the table promises is what there is, no command more and none less."""
    assert REPLIES.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", sorted(REPLIES.keys() - ELSEWHERE))
def test_a_command_keeps_its_promise(
    machine: dict[str, list[subprocess.CompletedProcess[str]]], name: str
) -> None:
    """Each call printed one document, with the keys and types of its model and no others."""
    for done in machine[name]:
        for document in done.stdout.splitlines() if name == "logs" else [done.stdout]:
            promised(name, document)


def test_every_alternative_was_seen(
    machine: dict[str, list[subprocess.CompletedProcess[str]]],
) -> None:
    """A promise that nothing keeps would be found by nobody."""
    seen = {
        type(part).__name__
        for name, calls in machine.items()
        if name not in NOT_READ_HERE
        for done in calls
        for part in _models(TypeAdapter(REPLIES[name]).validate_json(done.stdout, strict=True))
    }
    promised = {
        model
        for name in REPLIES.keys() - ELSEWHERE - NOT_READ_HERE
        for model in TypeAdapter(REPLIES[name]).json_schema().get("$defs", {})
    }
    assert promised - seen == set()


def test_a_build_keeps_its_promise() -> None:
    """What is known of an image is what is promised."""
    promised("build", json.dumps({"runner": "process", **asdict(Image("folder", 1))}))


def test_watching_prints_an_object_a_line(world: World, tmp_path: Path) -> None:
    """Each is what `ops status` prints; that it is gone is the last."""
    world.create()
    (tmp_path / "space.toml").write_text(SPACE_TOML)
    env = environment(tmp_path, HF_ENDPOINT=world.hub.endpoint, HF_TOKEN=WRITE)
    with subprocess.Popen(
        command("--json", "status", "--watch"),
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        promised("status", watching.stdout.readline())
        world.api.delete_repo(SPACE, repo_type="space")
        *more, last = watching.stdout.read().splitlines()
        said = watching.stderr.read() if watching.stderr is not None else ""
    for line in more:
        promised("status", line)
    assert promised_failure(last)["exit_code"] == 2
    assert (watching.returncode, said) == (2, "")


@pytest.mark.parametrize(
    ("line", "token", "exit_code"),
    [
        ("no-such-command", WRITE, 2),
        ("render --no-such-option", WRITE, 2),
        ("smoke-test --process --url http://127.0.0.1", WRITE, 2),
        ("--config none.toml config show", WRITE, 2),
        ("logs", WRITE, 2),
        ("deploy", READ, 9),
        ("open", "hf_nobodys", 9),
        ("hub fault add explode", WRITE, 2),
        ("connect curl --url http://127.0.0.1:9", WRITE, 6),
    ],
)
def test_a_failure_keeps_its_promise(
    world: World, tmp_path: Path, line: str, token: str, exit_code: int
) -> None:
    """Whatever fails prints what failed, on one line, with the exit code that it ends with."""
    toml = SPACE_TOML.replace(SPACE, "me/none").replace("[secrets]\nEMBED", "[secrets]\n# EMBED")
    (tmp_path / "space.toml").write_text(toml)
    env = {"HF_ENDPOINT": world.hub.endpoint, "HF_TOKEN": token}
    done = run(tmp_path, "--json", *line.split(), **env)
    (printed,) = done.stdout.splitlines()
    told = promised_failure(printed)["exit_code"]
    assert (done.returncode, told) == (exit_code, exit_code), done.stderr


def test_a_key_more_or_another_type_is_no_promise() -> None:
    """The check itself can fail."""
    document = {"deleted": "x", "dry_run": False}
    promised("hub reset", json.dumps(document))
    for wrong in ({"more": 1}, {"dry_run": "false"}, {"deleted": None}):
        with pytest.raises(jsonschema_rs.ValidationError):
            promised("hub reset", json.dumps(document | wrong))


def _models(value: Any) -> Iterator[BaseModel]:
    """All models in a value."""
    if isinstance(value, BaseModel):
        yield value
        value = dict(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _models(part)
