from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from textwrap import dedent
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import docker
import pytest
from docker.errors import NotFound
from fakes.registry import registry

from ops.adapters import docker_engine
from ops.adapters.docker_engine import LABEL, DockerEngine
from ops.errors import BaseImageUnavailable, BuildFailed, EngineUnavailable, Unhealthy
from ops.runner import Image, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from docker import DockerClient

IMAGE_LABEL = "embedding-space-tests"
TAG = "embedding-space-tests/tiny:latest"
ENGINE_SOCKET = "/var/run/docker.sock"

SERVER = """
import json, os, pathlib, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

if os.environ.get("DEAF"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

def first(*paths):
    return next((p.read_text().strip() for p in map(pathlib.Path, paths) if p.exists()), "")

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status = dict(l.split(":\\t") for l in open("/proc/self/status").read().splitlines())
        body = json.dumps({
            "uid": os.getuid(),
            "no_new_privileges": status["NoNewPrivs"],
            "cpu": first("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
            "memory": first("/sys/fs/cgroup/memory.max",
                            "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
            "secret": os.environ.get("SECRET"),
            "argv": open("/proc/1/cmdline").read(),
        }).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

print("ready", flush=True)
print("to stderr", file=sys.stderr, flush=True)
HTTPServer(("0.0.0.0", 7860), Handler).serve_forever()
"""


class Cancelled(Exception):
    """What a caller's log raises to end a build."""


@pytest.fixture(scope="module")
def engine(engine: DockerEngine) -> Iterator[DockerEngine]:
    """The engine, without the images of these tests afterwards."""
    yield engine
    client = docker.from_env()
    for image in client.images.list(filters={"label": f"{IMAGE_LABEL}=1"}):
        client.images.remove(image.id, force=True)
    client.close()


@pytest.fixture
def client(engine: DockerEngine) -> Iterator[DockerClient]:
    """The engine without our adapter; depends on `engine` so that it is there."""
    assert engine.name == "docker"
    found = docker.from_env()
    yield found
    found.close()


@pytest.fixture(scope="module")
def server_image(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """A server that says what it was given."""
    tree = tmp_path_factory.mktemp("server")
    (tree / "server.py").write_text(SERVER)
    write(tree, 'FROM python:3.11-slim\nCOPY server.py /\nCMD ["python", "/server.py"]\n')
    return engine.build(tree, tag=TAG, build_args={}, log=lambda _: None)


def write(tree: Path, dockerfile: str) -> None:
    """Make the tree's Dockerfile, of an image that is removed after this module's tests."""
    (tree / "Dockerfile").write_text(f"{dedent(dockerfile)}\nLABEL {IMAGE_LABEL}=1\n")


def wait_for(condition: Callable[[], Any], limit: float = 30) -> Any:
    """What the condition gives, as soon as it gives something."""
    end = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


def answer(url: str) -> dict[str, Any]:
    """What the server says, as soon as it does."""

    def ask() -> dict[str, Any] | None:
        with suppress(OSError), urlopen(url, timeout=5) as reply:  # noqa: S310 -- our own server
            return dict(json.load(reply))
        return None

    return dict(wait_for(ask))


def names(client: DockerClient) -> set[str]:
    """All containers that the adapter made."""
    return {c.name for c in client.containers.list(all=True, filters={"label": f"{LABEL}=1"})}


@pytest.mark.docker
def test_build_tells_every_line_and_passes_declared_arguments(
    engine: DockerEngine, client: DockerClient, tmp_path: Path
) -> None:
    """The log has each line once and whole; an argument without an ARG is not even mentioned."""
    write(
        tmp_path,
        f"""
        FROM python:3.11-slim
        ARG WHO=nobody
        RUN echo "hello $WHO"; printf 'a\\nb\\n'; echo error >&2; echo {secrets.token_hex(4)}
        """,
    )
    lines: list[str] = []
    arguments = {"WHO": "you", "UNKNOWN_ARGUMENT": "1"}
    image = engine.build(tmp_path, tag=TAG, build_args=arguments, log=lines.append)
    assert lines.count("hello you") == 1
    assert {"a", "b", "error"} <= set(lines)
    assert not [line for line in lines if "UNKNOWN_ARGUMENT" in line or "\n" in line]
    assert client.images.get(image.reference).id == client.images.get(TAG).id
    assert image.size_bytes == client.images.get(TAG).attrs["Size"]


@pytest.mark.docker
def test_image_outlives_its_tag(engine: DockerEngine, client: DockerClient, tmp_path: Path) -> None:
    """What was built is what is referred to, though another build took the tag."""
    images = []
    for word in ("one", "two"):
        write(tmp_path, f"FROM python:3.11-slim\nLABEL word={word}\n")
        images.append(engine.build(tmp_path, tag=TAG, build_args={}, log=lambda _: None))
    assert [client.images.get(i.reference).labels["word"] for i in images] == ["one", "two"]


@pytest.mark.docker
def test_failed_build_carries_the_logs_tail(engine: DockerEngine, tmp_path: Path) -> None:
    """The last lines come with the failure, the first ones don't."""
    write(tmp_path, "FROM python:3.11-slim\nRUN seq -f 'line-%g' 100; exit 3\n")
    with pytest.raises(BuildFailed) as failure:
        engine.build(tmp_path, tag=TAG, build_args={}, log=lambda _: None)
    assert len(failure.value.log_tail) == 30
    assert "line-100" in failure.value.log_tail
    assert "line-1" not in failure.value.log_tail
    assert "returned a non-zero code: 3" in (failure.value.cause or "")


@pytest.mark.docker
def test_build_of_files_without_a_dockerfile(engine: DockerEngine, tmp_path: Path) -> None:
    """A refusal of the whole request is a failed build too."""
    with pytest.raises(BuildFailed) as failure:
        engine.build(tmp_path, tag=TAG, build_args={}, log=lambda _: None)
    assert "Dockerfile" in (failure.value.cause or "")


@pytest.mark.docker
def test_cancelled_build_leaves_no_container(
    engine: DockerEngine, client: DockerClient, tmp_path: Path
) -> None:
    """Raising from the log ends the step that is running, in the engine too."""
    mark = f"mark-{secrets.token_hex(6)}"
    write(tmp_path, f"FROM python:3.11-slim\nRUN echo begun {mark}; sleep 600\n")

    def ours() -> list[str]:
        return [
            c.id
            for c in client.containers.list(all=True, ignore_removed=True)
            if mark in str(c.attrs["Config"]["Cmd"])
        ]

    def cancel(line: str) -> None:
        if line == f"begun {mark}":
            assert ours()
            raise Cancelled

    with pytest.raises(Cancelled):
        engine.build(tmp_path, tag=TAG, build_args={}, log=cancel)
    wait_for(lambda: not ours())


@pytest.mark.docker
def test_dockerignore_is_honoured(engine: DockerEngine, tmp_path: Path) -> None:
    """A file that .dockerignore names never reaches the engine."""
    (tmp_path / "kept.txt").touch()
    (tmp_path / "left-out.txt").touch()
    (tmp_path / ".dockerignore").write_text("# comment\nleft-*\n")
    uncached = secrets.token_hex(4)
    write(tmp_path, f"FROM python:3.11-slim\nCOPY . /copied\nRUN ls /copied; : {uncached}\n")
    lines: list[str] = []
    engine.build(tmp_path, tag=TAG, build_args={}, log=lines.append)
    assert "kept.txt" in lines
    assert "left-out.txt" not in lines


@pytest.mark.docker
def test_build_reaches_a_hub_on_the_hosts_loopback(engine: DockerEngine, tmp_path: Path) -> None:
    """A step of the build can download from a server that listens on 127.0.0.1 here."""
    word = secrets.token_hex(6)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(word.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as hub:
        thread = threading.Thread(target=hub.serve_forever)
        thread.start()
        write(
            tmp_path,
            """
            FROM python:3.11-slim
            ARG HUB
            RUN python -c "import urllib.request as r; print(r.urlopen('$HUB').read().decode())"
            """,
        )
        lines: list[str] = []
        arguments = {"HUB": f"http://127.0.0.1:{hub.server_port}"}
        try:
            engine.build(tmp_path, tag=TAG, build_args=arguments, log=lines.append)
        finally:
            hub.shutdown()
            thread.join()
    assert word in lines


@pytest.mark.docker
def test_base_image_that_is_here_is_not_pulled(engine: DockerEngine, tmp_path: Path) -> None:
    """Nothing is asked of a registry for an image that the engine has."""
    lines: list[str] = []
    write(tmp_path, "FROM python:3.11-slim AS first\nFROM first\n")
    engine.ensure_base_images(tmp_path, lines.append)
    assert lines == []


@pytest.mark.docker
def test_base_image_by_digest(engine: DockerEngine, tmp_path: Path) -> None:
    """It is pulled by its digest, whatever its tag names now; and the digest is known then."""
    client = docker.from_env()
    with registry("embedding-space-tests/base") as served:
        pinned = f"{served.reference}@{served.digest}"
        write(tmp_path, f"FROM {pinned}\n")
        try:
            engine.ensure_base_images(tmp_path, print)
            assert engine.digest(pinned) == served.digest
        finally:
            client.images.remove(pinned)
            client.close()
    assert engine.digest(served.reference) is None


@pytest.mark.docker
def test_base_image_that_cannot_be_had(engine: DockerEngine, tmp_path: Path) -> None:
    """The failure names the image and has an exit code of its own kind."""
    write(tmp_path, "FROM registry.invalid/none:1\n")
    with pytest.raises(BaseImageUnavailable, match=r"registry\.invalid/none:1") as failure:
        engine.ensure_base_images(tmp_path, lambda _: None)
    assert failure.value.cause


@pytest.mark.docker
def test_server_runs_under_a_spaces_rules(engine: DockerEngine, server_image: Image) -> None:
    """User 1000, limited CPU and memory, no new privileges; a secret is in its environment only."""
    lines: list[str] = []
    running = engine.start(
        server_image,
        environment={"SECRET": "s3cret"},
        log=lines.append,
        limits=Limits(cpus=0.5, memory_bytes=128 * 1024**2),
    )
    try:
        seen = answer(running.url)
        assert running.exit_code() is None
        resident = running.resident_bytes()
        wait_for(lambda: {"ready", "to stderr"} <= set(lines))
    finally:
        running.stop()
    assert running.url.startswith("http://127.0.0.1:")
    assert seen["uid"] == 1000
    assert seen["no_new_privileges"] == "1"
    assert seen["cpu"] in ("50000", "50000 100000")
    assert int(seen["memory"]) == 128 * 1024**2
    assert seen["secret"] == "s3cret"
    assert "s3cret" not in seen["argv"]
    assert resident is not None
    assert 1024**2 < resident < 128 * 1024**2


@pytest.mark.docker
def test_more_cpus_than_the_machine_has(engine: DockerEngine, server_image: Image) -> None:
    """A machine smaller than the Space's hardware runs it all the same."""
    limits = Limits(cpus=1000, memory_bytes=1024**5)
    running = engine.start(server_image, environment={}, log=lambda _: None, limits=limits)
    try:
        assert answer(running.url)
    finally:
        running.stop()


@pytest.mark.docker
def test_port_that_was_taken_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
    engine: DockerEngine,
    client: DockerClient,
    server_image: Image,
) -> None:
    """A start that loses its port to another process gets another one, and leaves nothing."""
    before = names(client)
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = iter([other.getsockname()[1], docker_engine.free_port()])
        monkeypatch.setattr(docker_engine, "free_port", lambda: next(ports))
        running = engine.start(server_image, environment={}, log=lambda _: None)
        try:
            assert answer(running.url)["uid"] == 1000
            assert len(names(client) - before) == 1
        finally:
            running.stop()


@pytest.mark.docker
def test_stop_removes_a_container_that_will_not_end(
    engine: DockerEngine, client: DockerClient, server_image: Image
) -> None:
    """A server deaf to SIGTERM is killed and removed, and stopping again does nothing."""
    before = names(client)
    running = engine.start(server_image, environment={"DEAF": "1"}, log=lambda _: None)
    answer(running.url)
    (name,) = names(client) - before
    running.stop()
    with pytest.raises(NotFound):
        client.containers.get(name)
    assert running.exit_code() == 137
    assert running.resident_bytes() is None
    running.stop()
    assert not [t for t in threading.enumerate() if running.url in t.name]


@pytest.mark.docker
def test_exit_code_of_a_server_that_ends(engine: DockerEngine, tmp_path: Path) -> None:
    """A crash is seen with its code and its last words, before and after the removal."""
    write(tmp_path, 'FROM python:3.11-slim\nCMD ["python", "-c", "print(\'so long\'); exit(7)"]\n')
    image = engine.build(tmp_path, tag=TAG, build_args={}, log=lambda _: None)
    lines: list[str] = []
    running = engine.start(image, environment={}, log=lines.append)
    try:
        assert wait_for(running.exit_code) == 7
        assert running.resident_bytes() is None
    finally:
        running.stop()
    assert running.exit_code() == 7
    assert lines == ["so long"]


@pytest.mark.docker
def test_container_that_cannot_start_is_removed(
    engine: DockerEngine, client: DockerClient, tmp_path: Path
) -> None:
    """A command that is not in the image is said, and nothing stays behind."""
    write(tmp_path, 'FROM python:3.11-slim\nCMD ["no-such-command"]\n')
    image = engine.build(tmp_path, tag=TAG, build_args={}, log=lambda _: None)
    before = names(client)
    with pytest.raises(Unhealthy) as failure:
        engine.start(image, environment={}, log=lambda _: None)
    assert "no-such-command" in (failure.value.cause or "")
    assert names(client) <= before


@pytest.mark.docker
def test_image_that_is_not_there(engine: DockerEngine) -> None:
    """An image removed meanwhile is a failure to start, with the next command."""
    image = Image("embedding-space-tests/none:1", 0)
    with pytest.raises(Unhealthy) as failure:
        engine.start(image, environment={}, log=lambda _: None)
    assert "ops build" in (failure.value.next_step or "")


@pytest.mark.docker
@pytest.mark.parametrize(("name", "value"), [("A=B", "s3cret"), ("", "s3cret"), ("A", "s3cret\0")])
def test_refused_variable_keeps_its_value_to_itself(
    engine: DockerEngine, server_image: Image, name: str, value: str
) -> None:
    """A variable that no environment can hold is named without its value."""
    with pytest.raises(Unhealthy) as failure:
        engine.start(server_image, environment={name: value}, log=lambda _: None)
    assert "s3cret" not in f"{failure.value} {failure.value.cause} {failure.value.__cause__}"


@pytest.mark.parametrize(
    ("host", "cause"),
    [
        ("tcp://127.0.0.1:{port}", "not where DOCKER_HOST says"),
        ("unix://{folder}/none.sock", "socket does not exist"),
        ("nonsense://", "DOCKER_HOST"),
    ],
)
def test_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str, cause: str) -> None:
    """Where DOCKER_HOST leads nowhere, that is said with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("DOCKER_HOST", host.format(port=port, folder=tmp_path))
    with pytest.raises(EngineUnavailable) as failure:
        DockerEngine.connect()
    assert cause in (failure.value.cause or "")
    assert "--runner process" in (failure.value.next_step or "")


class Forwarder:
    """A TCP door to the engine's socket that can be shut in the middle of an answer."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def shut(self) -> None:
        for end in (self._listener, *self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.socket(socket.AF_UNIX)
                theirs.connect(ENGINE_SOCKET)
                self._open += [ours, theirs]
                for source, target in ((ours, theirs), (theirs, ours)):
                    thread = threading.Thread(target=self._copy, args=(source, target))
                    self._threads.append(thread)
                    thread.start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.mark.docker
def test_engine_that_goes_away_during_a_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A lost connection is the engine's failure, not the build's."""
    door = Forwarder()
    monkeypatch.setenv("DOCKER_HOST", door.address)
    write(tmp_path, f"FROM python:3.11-slim\nRUN echo {secrets.token_hex(6)}; sleep 600\n")

    def log(line: str) -> None:
        if "Running in" in line:
            threading.Thread(target=door.shut).start()

    try:
        engine = DockerEngine.connect()
        with pytest.raises(EngineUnavailable):
            engine.build(tmp_path, tag=TAG, build_args={}, log=log)
    finally:
        door.shut()


@pytest.mark.docker
def test_secrets_of_a_build_are_said_to_be_missing(engine: DockerEngine, tmp_path: Path) -> None:
    """A Dockerfile that mounts a secret fails with what to do, rather than in the builder."""
    write(tmp_path, "FROM python:3.11-slim\nRUN --mount=type=secret,id=TOKEN true\n")
    with pytest.raises(BuildFailed, match="mounts a secret") as failure:
        engine.build(tmp_path, tag=TAG, build_args={}, log=lambda _: None)
    assert "BuildKit" in (failure.value.cause or "")
    assert "at run time" in (failure.value.next_step or "")
