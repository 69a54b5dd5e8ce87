"""A Hub that is killed, again and again: nothing acknowledged is lost, nothing of it is left."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import docker
import httpx2
import loopback
import psutil
import pytest
from fakes import killable_hub
from fakes.processes import wait_until_ended
from hub_world import CARD, WRITE
from waiting import wait_until

from ops.adapters.free_port import LOOPBACK
from ops.adapters.watchdog import WATCHDOG
from ops.hub.git_command import Git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker import DockerClient

KILLS = 50
SEED = 20
BASE_IMAGE = "python:3.11-slim"
HEADERS = {"Authorization": f"Bearer {WRITE}"}
APP = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
EXPORT = """
import pathlib, sys, time
time.sleep(0.05)
pathlib.Path(sys.argv[2]).mkdir()
"""
SPACE = {
    "README.md": CARD.decode(),
    "Dockerfile": "FROM python:3.11-slim\nARG KILL_TEST\n",
    "space_app/__init__.py": "",
    "space_app/__main__.py": APP,
    "space_app/export.py": EXPORT,
}


@dataclass
class Hub:
    """The one that runs now; `marked` is in the environment of all that it starts."""

    data: Path
    starter: subprocess.Popen[str]
    marked: str = field(default_factory=lambda: uuid.uuid4().hex)
    pid: int = 0
    endpoint: str = ""

    def start(self) -> None:
        """Start the next one."""
        _of(self.starter.stdin).write("\n")
        _of(self.starter.stdin).flush()
        told = json.loads(_of(self.starter.stdout).readline())
        self.pid, self.endpoint = told["pid"], told["endpoint"]

    def kill(self) -> None:
        """Kill it, and wait until nothing is left of what it had started."""
        hub, started = psutil.Process(self.pid), self.started()
        hub.kill()
        wait_until_ended([hub, *started])
        wait_until_ended(self.started())  # what began at the last moment

    def started(self) -> list[psutil.Process]:
        """Every process with the mark in its environment."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if self.marked in process.environ().values():
                    found.append(process)
        return found

    def git(self, kind: str, name: str, *words: str) -> str:
        """What git says of a repository on disk."""
        folder = self.data / kind / "me" / name / "git"
        done = subprocess.run(
            ["git", f"--git-dir={folder}", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _of(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A Hub with a Space that can really be built and run, without Docker."""
    root = Path(killable_hub.__file__).parents[2]
    command = [sys.executable, killable_hub.__file__, str(tmp_path / "hub"), str(tmp_path / "kept")]
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as starter:
        hub = Hub(tmp_path / "hub", starter)
        hub.start()
        yield hub
        with suppress(psutil.NoSuchProcess):
            hub.kill()
        _of(starter.stdin).close()


@dataclass
class Writer:
    """Somebody who commits for as long as there is a Hub; `acknowledged` is what it said yes to."""

    kind: str
    name: str
    commit: Callable[[str, str], str | None]
    acknowledged: list[str] = field(default_factory=list)

    def write(self, endpoint: str, until: threading.Event) -> None:
        """Commit until told, or until nobody answers."""
        while not until.is_set() and self.write_once(endpoint):
            pass

    def write_once(self, endpoint: str) -> bool:
        """Commit; False when nobody answers."""
        try:
            commit = self.commit(endpoint, f"/{self.kind}/me/{self.name}")
        except httpx2.TransportError:
            return False
        if commit is not None:
            self.acknowledged.append(commit)
        return commit is not None


def by_api(files: dict[str, str]) -> Callable[[str, str], str | None]:
    """Commits with these files, and one that is never the same."""

    def commit(endpoint: str, path: str) -> str | None:
        whole = files | {"CHANGED.md": uuid.uuid4().hex, "model.toml": f'id = "{uuid.uuid4()}"\n'}
        lines = [{"key": "header", "value": {"summary": "change"}}] + [
            {"key": "file", "value": {"path": name, "content": _base64(text), "encoding": "base64"}}
            for name, text in whole.items()
        ]
        reply = loopback.post(
            f"{endpoint}/api{path}/commit/main",
            content="\n".join(json.dumps(line) for line in lines),
            headers=HEADERS | {"Content-Type": "application/x-ndjson"},
            timeout=30,
        )
        assert reply.status_code == 200, reply.text
        return str(reply.json()["commitOid"])

    return commit


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def by_git(folder: Path) -> Callable[[str, str], str | None]:
    """Pushes of one commit each, from a clone."""
    environment = os.environ | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
    }

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        author = ("-c", "user.name=me", "-c", "user.email=me@localhost")
        return subprocess.run(
            ["git", *author, *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def commit(endpoint: str, path: str) -> str | None:
        repository = f"{endpoint.replace('//', f'//me:{WRITE}@')}{path.removeprefix('/models')}"
        if not (folder / ".git").exists():
            done = git("clone", "--quiet", repository, ".")
            assert done.returncode == 0, done.stderr
        (folder / "CHANGED.md").write_text(uuid.uuid4().hex)
        git("add", "CHANGED.md")
        git("commit", "--quiet", "--message", "change")
        pushed = git("push", "--quiet", repository, "HEAD:main")
        head = git("rev-parse", "HEAD").stdout.strip()
        return head if pushed.returncode == 0 else None

    return commit


@contextmanager
def at_work(writers: list[Writer], hub: Hub) -> Iterator[None]:
    """All of them write inside the context."""
    until = threading.Event()
    threads = [threading.Thread(target=w.write, args=(hub.endpoint, until)) for w in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        until.set()
        for thread in threads:
            thread.join()


def test_killed_fifty_times(hub: Hub, tmp_path: Path) -> None:
    """After each kill every acknowledged commit is there, sound, and the next one succeeds.

    It is killed at random moments of commits, pushes, builds and starts; of what it had started
    itself nothing is left.
    """
    (tmp_path / "clone").mkdir()
    writers = [
        Writer("spaces", "app", by_api(SPACE)),
        Writer("models", "data", by_api({})),
        Writer("models", "pushed", by_git(tmp_path / "clone")),
    ]
    create(hub, "app", type="space", sdk="docker", variables=[mark(hub)])
    create(hub, "data", type="model")
    create(hub, "pushed", type="model")
    moments = random.Random(SEED)  # noqa: S311 -- no secret
    for kill in range(KILLS):
        with ThreadPoolExecutor() as pool:
            done = pool.map(lambda writer: writer.write_once(hub.endpoint), writers)
        assert all(done), "a commit after a kill"
        with at_work(writers, hub):
            time.sleep(moments.uniform(0, 0.2))
            if kill % 5 == 4:  # on a busy machine hardly any moment is one of a build
                wait_until(lambda: hub.started() != [])
            hub.kill()
        hub.start()
        for writer in writers:
            kept = hub.git(writer.kind, writer.name, "rev-list", "main").split()
            assert set(writer.acknowledged) <= set(kept), f"{writer.name} lost a commit"
            if kill % 10 == 9:  # what is damaged stays so
                hub.git(writer.kind, writer.name, "fsck", "--no-dangling", "--no-progress")


def git_environment(hub: Hub) -> dict[str, str]:
    """Of a git that the Hub runs now; empty when there is none, as most end at once."""
    for child in psutil.Process(hub.pid).children():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if child.name() == "git" and (environment := child.environ()):
                return environment
    return {}


def test_git_is_marked(hub: Hub) -> None:
    """What git does for the API and for a push can be found, and ended, when the Hub is gone."""
    create(hub, "pushed", type="model")
    host, _, port = hub.endpoint.removeprefix("http://").partition(":")
    token = _base64(f"me:{WRITE}")
    opened = (
        "POST /me/pushed/git-receive-pack HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Basic {token}",
        "Content-Type: application/x-git-receive-pack-request",
        "Transfer-Encoding: chunked",
    )
    with socket.create_connection((host, int(port))) as pushing:
        pushing.sendall("\r\n".join((*opened, "", "1\r\n0\r\n")).encode())
        until = time.monotonic() + 20
        while not (environment := git_environment(hub)):
            assert time.monotonic() < until, "git has not been started"
    [mark] = [name for name in WATCHDOG.mark if name in environment]
    assert environment[mark].startswith(f"{hub.pid}-")
    shown = Git(hub.data).run("-c", "alias.show-environment=!env", "show-environment")
    assert f"{mark}={WATCHDOG.mark[mark]}".encode() in shown.splitlines()


@contextmanager
def served(folder: Path, runner: str) -> Iterator[Hub]:
    """`ops hub serve`, which is killed in the end if not before."""
    serve = ["--json", "hub", "serve", "--runner", runner, "--port", "0", "--data", "hub"]
    environment = os.environ | {
        "PYTHONPATH": str(Path(killable_hub.__file__).parents[2]),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    (folder / "token").write_text(WRITE)
    with subprocess.Popen(
        [sys.executable, "-m", "ops", *serve, "--token", "token"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as starter:
        said = "".join(iter(_of(starter.stdout).readline, "}\n")) + "}"
        hub = Hub(folder / "hub", starter, pid=starter.pid, endpoint=json.loads(said)["endpoint"])
        try:
            yield hub
        finally:
            hub.kill()


def test_the_command_serves_on_and_leaves_nothing(tmp_path: Path) -> None:
    """`ops hub serve` goes on when a process of its own ends; killed, it takes its apps along."""
    (tmp_path / "clone").mkdir()
    with served(tmp_path, "process") as hub:
        create(hub, "app", type="space", sdk="docker", variables=[mark(hub)])
        create(hub, "pushed", type="model")
        pushes = Writer("models", "pushed", by_git(tmp_path / "clone"))
        assert pushes.write_once(hub.endpoint)
        assert Writer("spaces", "app", by_api(SPACE)).write_once(hub.endpoint)
        until = time.monotonic() + 60
        while not any("space_app" in process.cmdline() for process in hub.started()):
            assert time.monotonic() < until, hub.started()
            time.sleep(0.05)
        with at_work([pushes], hub):
            for _ in range(500):  # as at a push's end, when that meets the thread which waits
                hub.starter.send_signal(signal.SIGCHLD)
                time.sleep(0.001)
        assert pushes.write_once(hub.endpoint), "it has ended"


@pytest.mark.docker
def test_no_docker_build_outlives_it(tmp_path: Path) -> None:
    """Killed within a step of a build, it leaves neither step nor container; the next one builds.

    The step waits for a word of ours, over a connection that ends with it.
    """
    client = docker.from_env()
    try:
        with socket.create_server((LOOPBACK, 0)) as gate:
            gate.settimeout(60)
            step = f"assert socket.create_connection({gate.getsockname()}).recv(1)"
            files = {
                "README.md": CARD.decode(),
                "Dockerfile": f'FROM {BASE_IMAGE}\nCOPY app.py .\nRUN python -c "import socket; '
                f'{step}"\nENV HOST=0.0.0.0 PORT=7860\nCMD ["python", "app.py"]\n',
                "app.py": APP,
            }
            with served(tmp_path, "docker") as hub:
                create(hub, "app", type="space", sdk="docker", hardware="cpu-upgrade")
                assert Writer("spaces", "app", by_api(files)).write_once(hub.endpoint)
                building, _ = gate.accept()
                assert containers(client, step)
                hub.kill()
                with building:
                    building.settimeout(60)
                    assert building.recv(1) == b"", "the step goes on"
            wait_until(lambda: not containers(client, step))
            with served(tmp_path, "docker") as hub:
                building, _ = gate.accept()
                with building:
                    building.send(b"x")
                    wait_until(lambda: stage(hub) == "RUNNING")
            wait_until(lambda: not containers(client, "app.py"))
    finally:
        for image in client.images.list("embedding-space-hub/me/app"):
            client.images.remove(image.id, force=True)
        client.close()


def containers(client: DockerClient, text: str) -> list[str]:
    """Those that run a command with this text in it, or did."""
    found = client.api.containers(all=True, trunc=False)
    return [each["Id"] for each in found if text in each["Command"]]


def stage(hub: Hub) -> str:
    """What the Space is doing."""
    reply = loopback.get(f"{hub.endpoint}/api/spaces/me/app/runtime", headers=HEADERS)
    return str(reply.json()["stage"])


def create(hub: Hub, name: str, **asked: object) -> None:
    """Make a repository."""
    url, body = f"{hub.endpoint}/api/repos/create", {"name": name, **asked}
    reply = loopback.post(url, json=body, headers=HEADERS)
    assert reply.status_code == 200, reply.text


def mark(hub: Hub) -> dict[str, str]:
    """A variable that all processes of a Space have."""
    return {"key": "KILL_TEST", "value": hub.marked}
