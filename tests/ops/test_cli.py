from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import click
import pytest
import running_ops
from fakes.asgi_server import serving
from fakes.embedding_server import APP_KEY, Fault, Served, embedding_app
from fakes.runner import FakeRunner
from hub_world import READ, SPACE, WRITE, hub_world
from running_ops import promised, promised_failure
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ops.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub_world import World
    from starlette.datastructures import Headers
    from starlette.requests import Request

PROJECT = Path(__file__).parents[2]
HEAVY = {"docker", "git", "huggingface_hub", "httpx2", "jinja2", "pydantic", "rich", "starlette"}

LOOKS_ONLY = {
    *("config show", "config validate", "config schema", "doctor", "plan", "releases"),
    *("status", "logs", "open", "connect", "bench", "hub fault list"),
    *("settings show", "settings secrets list", "settings variables list"),
}
ON_THIS_MACHINE_ONLY = {
    *("build", "smoke-test", "rehearse", "hub serve", "hub fault add", "hub fault clear")
}
"""What these do is the try itself; nothing of a user's is written over."""


def run(
    *arguments: str, folder: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `ops` as a person would."""
    return running_ops.run(folder, *arguments, **(env or {}))


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command and group with its full name."""
    for name, command in group.commands.items():
        yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a space.toml for me/app."""
    (tmp_path / "space.toml").write_text(f'[space]\nrepo_id = "{SPACE}"\n')
    return tmp_path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub whose Spaces are small embedding servers."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    runner = FakeRunner(lambda _: embedding_app())
    mirrors = {"BAAI/bge-base-en-v1.5": model}
    with hub_world(tmp_path / "hub", runner, mirrors=mirrors) as world:
        yield world


def hub_environment(world: World, token: str = WRITE) -> dict[str, str]:
    """What a person exports to reach the Hub."""
    return {"HF_ENDPOINT": world.hub.endpoint, "HF_TOKEN": token}


@pytest.mark.parametrize(("name", "command"), list(commands(cli)), ids=str)
def test_every_command_has_help_with_an_example(name: str, command: click.Command) -> None:
    """The help says what the command does, in a line that fits, and how it is called."""
    assert command.help
    assert len(command.help.splitlines()[0]) <= 72
    assert f"ops {name}" in command.help or f"ops --env staging {name}" in command.help


def test_a_start_imports_nothing_heavy() -> None:
    """Help and completion wait for none of the libraries that commands need."""
    code = "import ops.cli, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    assert HEAVY & set(done.stdout.split()) == set()


def test_no_config_says_what_to_do(tmp_path: Path) -> None:
    """Without space.toml every command that needs it ends with exit code 2."""
    for command in (["config", "show"], ["render"], ["rehearse"], ["deploy"]):
        done = run(*command, folder=tmp_path)
        assert done.returncode == 2
        assert "There is no space.toml." in done.stderr
        assert "ops init" in done.stderr


def test_an_error_is_json_for_machines(tmp_path: Path) -> None:
    """With --json a failure is one document on stdout, with its exit code."""
    done = run("--json", "config", "show", folder=tmp_path)
    assert json.loads(done.stdout)["error"]["exit_code"] == done.returncode == 2


def test_a_letter_that_a_terminal_has_not_ends_nothing(folder: Path, world: World) -> None:
    """It is shown by its number; JSON stays JSON."""
    env = hub_environment(world) | {"PYTHONIOENCODING": "latin-1"}
    done = run("deploy", "--dry-run", folder=folder, env=env)
    assert (done.returncode, done.stdout) == (0, "Nothing was touched: --dry-run.\n")
    assert done.stderr.startswith(rf"\u2022 {SPACE} on ")
    shown = run("--json", "config", "show", folder=folder, env=env).stdout
    assert json.loads(shown)["space"]["emoji"] == "🧭"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_as_none(folder: Path, world: World, closed: str) -> None:
    """Whoever starts ops without one, as some schedulers do, gets the same exit code."""
    wanted = "settings secrets set KEY --stdin"
    for command, code in (("config show", 0), ("plan --exit-code", 3), (wanted, 2)):
        done = subprocess.run(
            ["sh", "-c", f"exec {shlex.quote(sys.executable)} -m ops {command} {closed}"],
            cwd=folder,
            env=os.environ | hub_environment(world) | {"PYTHONPATH": str(PROJECT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "Unexpected" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_not_a_mistake_of_ops(folder: Path) -> None:
    """What cannot be written is said once, on stderr, as JSON cannot go where it should."""
    for options in ([], ["--json"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "ops", *options, "config", "show"],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(PROJECT)},
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=120,
                check=False,
            )
        assert done.returncode == 1
        assert done.stderr.startswith("Error: This machine refused something: [Errno 28]")
        assert "Traceback" not in done.stderr


def test_an_option_in_the_wrong_place_is_told_its_own(folder: Path) -> None:
    """One that goes before the command, behind it; any other is an option that is not there."""
    for option in ("--yes", "--json", "--env", "-v"):
        done = run("plan", option, folder=folder)
        assert done.returncode == 2
        assert f"It goes before the command: ops {option} ..." in done.stderr
    assert "before the command" not in run("plan", "--nothing", folder=folder).stderr
    error = promised_failure(run("--json", "settings", "show", "--yes", folder=folder).stdout)
    assert error["message"].endswith("It goes before the command: ops --yes ...")


def test_verbose_shows_the_traceback(tmp_path: Path) -> None:
    """A traceback is for those who ask for it."""
    assert "Traceback" not in run("config", "show", folder=tmp_path).stderr
    assert "Traceback" in run("-v", "config", "show", folder=tmp_path).stderr


def test_init_validate_and_render(tmp_path: Path) -> None:
    """The author's commands work one after another, and --check finds an edit."""
    assert run("init", "my-embeddings", folder=tmp_path).returncode == 0
    assert run("config", "validate", folder=tmp_path).returncode == 0
    assert run("render", "--check", folder=tmp_path).returncode == 3
    assert run("render", folder=tmp_path).returncode == 0
    assert run("render", "--check", folder=tmp_path).returncode == 0
    (tmp_path / "build" / "space" / "Dockerfile").write_text("edited")
    done = run("render", "--check", folder=tmp_path)
    assert done.returncode == 3
    assert "changed: Dockerfile" in done.stdout


def test_what_writes_can_be_tried_without() -> None:
    """Each command has --dry-run, but those that only look, and those that are a try themselves."""
    lacking = {
        name
        for name, command in commands(cli)
        if not isinstance(command, click.Group)
        and "--dry-run" not in {opt for parameter in command.params for opt in parameter.opts}
    }
    assert lacking == LOOKS_ONLY | ON_THIS_MACHINE_ONLY


@pytest.mark.parametrize(
    "line",
    [
        "--config new.toml init me/new",
        "init --github-actions --toolkit me/tool@main",
        "--config new.toml init me/new --github-actions --toolkit me/tool@main",
        "render",
        "render --out rendered",
        "hub reset --data hub",
    ],
)
def test_a_dry_run_writes_nothing(folder: Path, line: str) -> None:
    """Every file stays as it is and none is added; without --dry-run that is not so."""
    (folder / "hub").mkdir()
    (folder / "hub" / "hub.lock").write_text("1\n")
    (folder / "rendered").mkdir()
    (folder / "rendered" / "model.toml").write_text("old")
    before = files(folder)
    tried = run("--yes", *line.split(), "--dry-run", folder=folder)
    assert (tried.returncode, tried.stdout.splitlines()[0]) == (
        0,
        "Nothing was touched: --dry-run.",
    ), tried.stderr
    assert files(folder) == before
    assert run("--yes", *line.split(), folder=folder).returncode == 0
    assert files(folder) != before


@pytest.mark.parametrize("line", ["init me/app", "--env staging --config new.toml init me/new"])
def test_a_dry_run_fails_as_the_real_one(folder: Path, line: str) -> None:
    """What cannot be done is found before anything would be written."""
    before = files(folder)
    for options in (["--dry-run"], []):
        assert run(*line.split(), *options, folder=folder).returncode == 2
        assert files(folder) == before


@pytest.mark.parametrize(
    "command",
    [
        *("deploy", "destroy", "logs", "open", "pause", "plan", "releases", "restart", "rollback"),
        *("status", "wake"),
    ],
)
def test_no_token_is_said_in_one_line(folder: Path, command: str) -> None:
    """What is missing is in the first line; the exit code is 9."""
    done = run(command, folder=folder)
    assert done.returncode == 9
    assert "no Hugging Face token: set HF_TOKEN" in done.stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("env", "exit_code", "said"),
    [
        ({"HF_ENDPOINT": "localhost:7850"}, 2, "'localhost:7850', which is no address of a Hub"),
        ({"HF_ENDPOINT": "http://"}, 2, "'http:', which is no address of a Hub"),
        ({"HF_TOKEN": "hf_«abc»"}, 9, "The Hugging Face token has characters"),
    ],
    ids=["no scheme", "no host", "no token"],
)
def test_what_cannot_be_meant_is_said(
    folder: Path, env: dict[str, str], exit_code: int, said: str
) -> None:
    """An endpoint or a token that cannot be one is named as such, not as a lost network."""
    given = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": WRITE} | env
    done = run("status", folder=folder, env=given)
    assert done.returncode == exit_code
    assert said in done.stderr
    assert "Next: " in done.stderr
    assert "hf_" not in done.stderr


def test_what_might_be_a_secret_is_asked_about(folder: Path, world: World) -> None:
    """Its place is shown with the plan, its value nowhere; after a no there is no Space."""
    random = "Zq3vN8rT1xWm5LbY7cHd2FgJ"
    with (folder / "space.toml").open("a") as file:
        file.write(f'short_description = "At {random}."\n[variables]\nSALT = "{random}"\n')
    env = hub_environment(world)
    code, shown = running_ops.on_a_terminal(folder, "deploy", typed="n\n", **env)
    assert code == 1
    for place in ("README.md:", "variables.SALT"):
        assert f"might be a secret, and would be published: {place}" in shown
    assert not world.api.repo_exists(SPACE, repo_type="space")
    checked = run("doctor", folder=folder, env=env)
    rendered = run("render", folder=folder)
    assert "Might be a secret: variables.SALT" in rendered.stderr
    for output in (shown, checked.stdout, checked.stderr, rendered.stdout, rendered.stderr):
        assert random not in output


def test_deploy_and_status(folder: Path, world: World) -> None:
    """A deploy by the command ends proven, and status agrees; the token is in no output."""
    (folder / "space.toml").write_text(
        f'[space]\nrepo_id = "{SPACE}"\n[secrets]\nEMBED_API_KEYS = {{ env = "KEYS" }}\n'
    )
    env = hub_environment(world) | {"KEYS": f"mem0={APP_KEY}"}
    deployed = run("--json", "--yes", "deploy", folder=folder, env=env)
    assert deployed.returncode == 0, deployed.stderr
    report = promised("deploy", deployed.stdout)
    assert (report["repo_id"], report["release"]) == (SPACE, "release-1")
    status = run("--json", "status", folder=folder, env=env)
    assert status.returncode == 0
    assert json.loads(status.stdout)["running_commit"] == report["commit"]
    for done in (deployed, status):
        assert WRITE not in done.stdout + done.stderr
        assert APP_KEY not in done.stdout + done.stderr


def test_a_release_is_listed_and_put_back(folder: Path, world: World) -> None:
    """Two deploys, the list of them, and back to the first; each asks, or wants --yes."""
    env = hub_environment(world) | {"KEYS": f"mem0={APP_KEY}"}
    for title in ("First", "Second"):
        (folder / "space.toml").write_text(
            f'[space]\nrepo_id = "{SPACE}"\ntitle = "{title}"\n'
            '[secrets]\nEMBED_API_KEYS = { env = "KEYS" }\n'
        )
        assert run("--yes", "deploy", folder=folder, env=env).returncode == 0
    listed = run("releases", folder=folder, env=env)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["release-2", "release-1"]
    refused = run("rollback", folder=folder, env=env)
    assert refused.returncode == 2
    assert "ops --yes" in refused.stderr
    looked = run("rollback", "--dry-run", folder=folder, env=env)
    assert "~ README.md" in looked.stderr
    assert looked.stdout == "Nothing was touched: --dry-run.\n"
    done = run("--yes", "--json", "rollback", "1", folder=folder, env=env)
    assert promised("rollback", done.stdout)["release"] == "release-3"
    assert run("plan", "--exit-code", folder=folder, env=env).returncode == 3


def test_a_read_token_is_refused(folder: Path, world: World) -> None:
    """A deploy with a token that only reads ends with exit code 9 before anything is made."""
    done = run("--yes", "deploy", folder=folder, env=hub_environment(world, READ))
    assert done.returncode == 9
    assert "can only read" in done.stderr
    assert not world.api.repo_exists(SPACE, repo_type="space")


def test_smoke_test_of_a_url(server: Served, tmp_path: Path) -> None:
    """A running server is proven from outside, as a table for people and as JUnit for CI."""
    done = run(
        "smoke-test",
        "--url",
        server.url,
        "--junit",
        "report.xml",
        folder=tmp_path,
        env={"EMBED_API_KEY": APP_KEY},
    )
    assert done.returncode == 0, done.stderr
    assert "19 checks passed" in done.stdout
    suite = ET.parse(tmp_path / "report.xml").getroot()  # noqa: S314 -- our own
    assert suite.get("failures") == "0"


def test_what_everybody_sees_gets_no_token(tmp_path: Path) -> None:
    """An address may be misspelt, and another app answer there: it gets no Hub token."""
    seen: list[Headers] = []

    async def page_only(request: Request) -> Response:
        seen.append(request.headers)
        return Response(status_code=200 if request.url.path == "/" else 404)

    with serving(Starlette(routes=[Route("/{path:path}", page_only)])) as url:
        done = run(
            *("smoke-test", "--start-limit", "2", "--url", url),
            folder=tmp_path,
            env={"HF_TOKEN": WRITE, "EMBED_API_KEY": APP_KEY},
        )
    assert done.returncode == 7
    assert seen[-1]["x-api-key"] == APP_KEY
    assert not any(WRITE in value for headers in seen for value in headers.values())


@pytest.mark.parametrize("as_json", [False, True])
def test_a_failed_smoke_test_names_the_check(
    server: Served, tmp_path: Path, *, as_json: bool
) -> None:
    """Exit code 6, and the check that failed by its name, for people and for machines."""
    server.switches.fault = Fault.UNNORMALISED
    options = ["--json"] if as_json else []
    done = run(
        *options,
        "smoke-test",
        "--url",
        server.url,
        folder=tmp_path,
        env={"EMBED_API_KEY": APP_KEY},
    )
    assert done.returncode == 6
    if as_json:
        failed = [c["name"] for c in json.loads(done.stdout)["checks"] if c["outcome"] == "failed"]
        assert failed == ["unit-norm"]
    else:
        assert "unit-norm" in done.stderr.splitlines()[-2]


def test_connect_lists_and_prints(server: Served, tmp_path: Path) -> None:
    """Without a client all are listed; with one, stdout is what to paste and nothing else."""
    listed = json.loads(run("--json", "connect", folder=tmp_path).stdout)
    assert [entry["client"] for entry in listed][:2] == ["mem0", "openai"]
    url = ["--url", server.url]
    printed = run("connect", "openwebui", *url, folder=tmp_path, env={"EMBED_API_KEY": APP_KEY})
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.splitlines()[0] == "RAG_EMBEDDING_ENGINE=openai"
    assert "Authorization carries" in printed.stderr
    assert run("connect", "--check", folder=tmp_path).returncode == 2
    assert run("connect", "no-client", *url, folder=tmp_path).returncode == 2


@pytest.mark.parametrize("as_json", [False, True])
def test_connect_tries_a_client(server: Served, tmp_path: Path, *, as_json: bool) -> None:
    """--check exits 0 when the client would work, 6 when not, 9 without the key that it needs."""
    options = ["--json"] if as_json else []
    arguments = [*options, "connect", "mem0", "--check", "--url", server.url]
    env = {"EMBED_API_KEY": APP_KEY}
    good = run(*arguments, folder=tmp_path, env=env)
    assert good.returncode == 0, good.stderr
    server.switches.fault = Fault.UNNORMALISED
    bad = run(*arguments, folder=tmp_path, env=env)
    assert bad.returncode == 6
    if as_json:
        assert json.loads(bad.stdout)["checks"][0]["outcome"] == "failed"
    else:
        assert "a vector of length 2.000" in bad.stderr
    assert run(*arguments, folder=tmp_path).returncode == 9
    assert APP_KEY not in good.stdout + good.stderr + bad.stdout + bad.stderr


def test_connect_finds_the_space_and_its_key(folder: Path, world: World) -> None:
    """The Space of space.toml by the Hub's own answer, its key from where [secrets] says."""
    (folder / "space.toml").write_text(
        f'[space]\nrepo_id = "{SPACE}"\n[secrets]\nEMBED_API_KEYS = {{ env = "KEYS" }}\n'
    )
    world.create()
    world.push({})
    world.wait_for_stage("RUNNING")
    env = hub_environment(world) | {"KEYS": f"mem0={APP_KEY}"}
    done = run("connect", "python", "--check", folder=folder, env=env)
    assert done.returncode == 0, done.stderr
    assert f"{world.url()}/embed" in done.stdout
    for secret in (WRITE, APP_KEY):
        assert secret not in done.stdout + done.stderr


def test_options_that_exclude_each_other(tmp_path: Path) -> None:
    """One target at a time."""
    done = run("smoke-test", "--process", "--url", "http://127.0.0.1:1", folder=tmp_path)
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


@pytest.mark.parametrize("value", ["no-equals", "=dir", "id="])
def test_a_mirror_is_id_and_folder(folder: Path, value: str) -> None:
    """A malformed option is a usage error that shows the form."""
    done = run("rehearse", "--mirror", value, folder=folder)
    assert done.returncode == 2
    assert "NAME=VALUE" in done.stderr


def test_a_taken_port_is_said_so(tmp_path: Path) -> None:
    """A Hub whose port is in use ends with exit code 2 and the way out."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = run("hub", "serve", "--runner", "process", "--port", port, folder=tmp_path)
    assert done.returncode == 2
    assert f"Port {port} cannot be used" in done.stderr
    assert "--port" in done.stderr
