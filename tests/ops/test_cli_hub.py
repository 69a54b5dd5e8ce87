from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import running_ops
from click.testing import CliRunner
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from running_ops import command, environment

from ops.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVERYWHERE = "0.0.0.0"  # noqa: S104 -- what is warned of


def run(*arguments: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    return running_ops.run(folder, *arguments, **env)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which commands of this process run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[dict[str, Any]]:
    """`ops hub serve` in a process of its own; yields what it says with --json."""
    process = subprocess.Popen(
        command("--json", "hub", "serve", "--runner", "process", "--port", "0", *arguments),
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        while (line := process.stdout.readline()) not in ("}\n", ""):
            said += line
        if not line:
            pytest.fail(f"it did not start: {process.communicate()[1]}")
        yield json.loads(said + line) | {"process": process}
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def client(hub: dict[str, Any], folder: Path, user: str = "me", role: str = "write") -> HfApi:
    """The real client with somebody's token, read from its file as a person would."""
    file = folder / hub["token_files"][user][role]
    return HfApi(endpoint=hub["endpoint"], token=file.read_text().strip())


def test_it_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    """Repositories and tokens of the owner are there again after a SIGTERM and a new start."""
    with serving(tmp_path) as hub:
        api = client(hub, tmp_path)
        assert api.whoami()["isPro"]
        api.create_repo("me/model")
        process = hub["process"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    with serving(tmp_path) as hub:
        assert client(hub, tmp_path).token == api.token
        assert client(hub, tmp_path, role="read").repo_exists("me/model")


def test_what_it_prints_can_be_pasted(tmp_path: Path) -> None:
    """A shell that evaluates it has the endpoint and the token; the output shows no token."""
    process = subprocess.Popen(
        command("hub", "serve", "--runner", "process", "--port", "0", "--data", "a folder"),
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = process.stdout.readline() + process.stdout.readline()
    finally:
        process.terminate()
        _, said = process.communicate()
    shell = subprocess.run(
        ["sh", "-c", f'{lines}\necho "$HF_ENDPOINT $HF_TOKEN"'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    token = (tmp_path / "a folder" / "tokens" / "me.write").read_text().strip()
    assert re.fullmatch(rf"http://127\.0\.0\.1:[0-9]+ {token}\n", shell.stdout)
    assert token not in lines + said


def test_people_and_plans_are_as_the_options_say(tmp_path: Path) -> None:
    """Users, organisations, and the owner's token in a file of its own."""
    with serving(
        tmp_path,
        *("--user", "ann:free", "--user", "bob", "--org", "acme:team=ann:write,bob:read"),
        *("--token", "own/token"),
    ) as hub:
        assert hub["token_file"] == "own/token"
        ann, bob = client(hub, tmp_path, "ann"), client(hub, tmp_path, "bob")
        who = ann.whoami()
        assert (who["name"], who["isPro"]) == ("ann", False)
        assert [(o["name"], o["plan"], o["roleInOrg"]) for o in who["orgs"]] == [
            ("acme", "team", "write")
        ]
        ann.create_repo("acme/model", private=True)
        assert bob.repo_exists("acme/model")
        with pytest.raises(HfHubHTTPError) as caught:
            ann.create_repo("ann/app", repo_type="space", space_sdk="docker")
        assert caught.value.response.status_code == 402


def test_rules_and_faults_are_as_the_options_say(tmp_path: Path) -> None:
    """A plan that is not asked for, a limit that is, and a first request that fails."""
    with serving(
        tmp_path,
        *("--user", "me:free", "--allow-free-docker", "--rate-limit", "3"),
        *("--fault", "status 503 GET /api/whoami-v2"),
    ) as hub:
        api = client(hub, tmp_path)
        with pytest.raises(HfHubHTTPError) as caught:
            api.whoami()
        assert caught.value.response.status_code == 503
        api.create_repo("me/app", repo_type="space", space_sdk="docker")
        api.list_spaces_hardware()
        api.list_spaces_hardware()
        with pytest.raises(HfHubHTTPError, match="0/3 requests remaining"):
            api.list_spaces_hardware()


def test_a_folder_is_served_as_a_model(tmp_path: Path) -> None:
    """By either name of the option."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}")
    options = ("--mirror", "org/one=folder", "--model", "org/two=folder")
    with serving(tmp_path, *options) as hub:
        for name in ("org/one", "org/two"):
            assert client(hub, tmp_path).list_repo_files(name) == ["config.json"]


def test_a_running_hub_is_told_about_faults(tmp_path: Path) -> None:
    """`ops hub fault` adds, lists and clears them, by the environment that serve prints."""
    with serving(tmp_path) as hub:
        api = client(hub, tmp_path)
        env = {"HF_ENDPOINT": hub["endpoint"], "HF_TOKEN": str(api.token)}
        order = ("status", "500", "times=2", "GET", "/api/whoami-v2")
        added = run("hub", "fault", "add", *order, folder=tmp_path, **env)
        assert added.returncode == 0, added.stderr
        with pytest.raises(HfHubHTTPError):
            api.whoami()
        listed = run("--json", "hub", "fault", "list", folder=tmp_path, **env)
        assert json.loads(listed.stdout) == [{"number": 1, "fault": " ".join(order), "taken": 1}]
        wrong = run("hub", "fault", "add", "explode", folder=tmp_path, **env)
        assert wrong.returncode == 2
        assert "'explode'" in wrong.stderr
        assert "hang-start" in wrong.stderr
        cleared = run("hub", "fault", "clear", folder=tmp_path, **env)
        assert cleared.stdout == "No faults are to come.\n"
        assert api.whoami()["name"] == "me"
        stranger = run("hub", "fault", "list", folder=tmp_path, HF_ENDPOINT=hub["endpoint"])
        assert stranger.returncode == 9
        assert str(api.token) not in added.stdout + listed.stdout + wrong.stderr


def test_a_reset_asks_and_waits_for_the_hub_to_end(here: Path) -> None:
    """Only a folder whose Hub has ended is deleted, when its name was typed or --yes given."""
    data = here / "build" / "hub"
    with serving(here):
        busy = run("--yes", "hub", "reset", folder=here)
        assert busy.returncode == 2
        assert "process" in busy.stderr
        second = run("hub", "serve", "--runner", "process", "--port", "0", folder=here)
        assert second.returncode == 2
        assert "A Hub serves" in second.stderr
    reset = ["hub", "reset"]
    assert CliRunner().invoke(cli, reset, input="no\n").exit_code == 2
    assert (data / "tokens").is_dir()
    assert CliRunner().invoke(cli, reset, input="hub\n").exit_code == 0
    assert not data.exists()
    assert CliRunner().invoke(cli, ["--yes", *reset]).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--user", "a/b"), "NAME:free"),
        (("--user", "../x"), "NAME:free"),
        (("--user", "me:rich"), "NAME:free"),
        (("--user", "me", "--user", "Me"), "twice"),
        (("--org", "acme"), "NAME[:PLAN]=USER"),
        (("--org", "acme:gold=me"), "enterprise"),
        (("--org", "acme=me:king"), "'king'"),
        (("--org", "acme=you"), "'you'"),
        (("--org", "me=me"), "'me'"),
        (("--fault", "explode"), "'explode'"),
        (("--host", "example.org"), "IP address"),
        (("--host", "192.0.2.1"), "192.0.2.1"),
        (("--rate-limit", "0"), "--rate-limit"),
    ],
)
def test_a_wrong_option_is_said_so(here: Path, arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2, with what could stand there."""
    serve = ("hub", "serve", "--runner", "process", "--port", "0", "--data", str(here / "data"))
    done = CliRunner().invoke(cli, [*serve, *arguments])
    assert done.exit_code == 2
    assert said in done.stderr


def test_who_lets_others_in_is_warned(tmp_path: Path) -> None:
    """Listening on every address says what that means."""
    process = subprocess.Popen(
        command("hub", "serve", "--runner", "process", "--port", "0", "--host", EVERYWHERE),
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        host, port = endpoint.removeprefix("export HF_ENDPOINT=http://").split(":")
        socket.create_connection((host, int(port)), 5).close()
    finally:
        process.terminate()
        _, said = process.communicate()
    assert "WARNING" in said
    assert EVERYWHERE in said
