from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import psutil
import pytest

from ops.adapters.process import KEPT_BUILDS, ProcessRunner
from ops.errors import BuildFailed, Unhealthy
from ops.runner import CPU_BASIC, Image, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ops.adapters.process import ProcessServer

DOCKERFILE = """
FROM python:3.11-slim AS builder
ENV EMBED_OF_THE_BUILDER=1
ARG HF_ENDPOINT=https://hub.example
FROM python:3.11-slim
ENV PATH=/opt/venv/bin:$PATH
ENV HF_HUB_OFFLINE=1
ENV EMBED_MODEL_DIR=/home/user/model
ENV EMBED_MAX_INPUTS=5
"""

EXPORT = """
import json, os, pathlib, sys
config, out = map(pathlib.Path, sys.argv[1:])
print("exporting", config.read_text().strip())
print("to stderr", file=sys.stderr)
pathlib.Path(os.environ["HF_HOME"]).mkdir()
out.mkdir()
(out / "environment.json").write_text(json.dumps(dict(os.environ)))
"""

SERVER = """
import json, os, pathlib, signal, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

if os.environ.get("CRASH"):
    sys.exit("no model: " + os.environ["CRASH"])
if os.environ.get("DEAF"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = None
if os.environ.get("WITH_CHILD"):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        model = pathlib.Path(os.environ["EMBED_MODEL_DIR"])
        body = json.dumps({
            "environment": dict(os.environ),
            "exported": json.loads((model / "environment.json").read_text()),
            "cpus": len(os.sched_getaffinity(0)),
            "pid": os.getpid(),
            "child": child,
        }).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

print("ready")
HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


class Cancelled(Exception):
    """What a caller's log raises to end a build."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A Space of this project, with a server that says what it was given."""
    folder = tmp_path / "tree"
    (folder / "space_app").mkdir(parents=True)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "model.toml").write_text('id = "toy"\n')
    for name, text in {"__init__": "", "export": EXPORT, "__main__": SERVER}.items():
        (folder / "space_app" / f"{name}.py").write_text(text)
    return folder


@pytest.fixture
def runner(tmp_path: Path) -> ProcessRunner:
    """A runner with a cache of its own."""
    return ProcessRunner(tmp_path / "cache")


@pytest.fixture
def start(
    runner: ProcessRunner, tree: Path
) -> Iterator[Callable[..., tuple[ProcessServer, list[str]]]]:
    """Builds the tree and starts it with these variables; what is started is stopped."""
    started = []

    def start(limits: Limits = CPU_BASIC, **environment: str) -> tuple[ProcessServer, list[str]]:
        lines: list[str] = []
        image = build(runner, tree)
        server = runner.start(image, environment=environment, log=lines.append, limits=limits)
        started.append(server)
        return server, lines

    yield start
    for server in started:
        server.stop()


def build(
    runner: ProcessRunner, tree: Path, log: Callable[[str], Any] = lambda _: None, **args: str
) -> Image:
    """Build without looking at the log."""
    return runner.build(tree, tag="toy", build_args=args, log=log)


def edit(tree: Path, text: str) -> None:
    """Give the tree another model.toml, and so another content."""
    (tree / "model.toml").write_text(text)


def wait_for(condition: Callable[[], Any], limit: float = 30) -> Any:
    """What the condition gives, as soon as it gives something."""
    end = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


def answer(server: ProcessServer) -> dict[str, Any]:
    """What the server says, as soon as it does."""

    def ask() -> dict[str, Any] | None:
        assert server.exit_code() is None
        with suppress(OSError), urlopen(server.url, timeout=5) as reply:  # noqa: S310 -- our own
            return dict(json.load(reply))
        return None

    return dict(wait_for(ask))


def test_a_space_is_built_and_runs(start: Callable[..., tuple[ProcessServer, list[str]]]) -> None:
    """The server finds the exported model and answers on loopback; stopping it ends it."""
    server, lines = start(SECRET="s3cret")
    seen = answer(server)
    assert server.url.startswith("http://127.0.0.1:")
    assert seen["environment"]["SECRET"] == "s3cret"
    resident = server.resident_bytes()
    assert resident is not None
    assert 1024**2 < resident < 1024**3
    wait_for(lambda: "ready" in lines)
    server.stop()
    assert server.exit_code() == -15
    assert server.resident_bytes() is None
    assert not psutil.pid_exists(seen["pid"])
    assert not Path(seen["environment"]["HOME"]).exists()
    server.stop()


def test_build_tells_the_exports_output(runner: ProcessRunner, tree: Path) -> None:
    """Both of its streams reach the log, line by line, and the size is that of what was made."""
    lines: list[str] = []
    image = build(runner, tree, lines.append)
    assert lines == ['exporting id = "toy"', "to stderr"]
    made = [path for path in Path(image.reference).rglob("*") if path.is_file()]
    assert image.size_bytes == sum(path.stat().st_size for path in made)
    assert {path.name for path in made} >= {"environment.json", "__main__.py", "Dockerfile"}


def test_environments_are_clean(
    monkeypatch: pytest.MonkeyPatch, start: Callable[..., tuple[ProcessServer, list[str]]]
) -> None:
    """Neither the export nor the server sees what this process has, such as a token or a home."""
    monkeypatch.setenv("HF_TOKEN", "s3cret")
    monkeypatch.setenv("EMBED_API_KEYS", "s3cret")
    seen = answer(start()[0])
    assert "s3cret" not in json.dumps(seen)
    for environment in (seen["environment"], seen["exported"]):
        assert Path(environment["HOME"]) != Path.home()


def test_export_sees_declared_arguments_and_the_network(
    monkeypatch: pytest.MonkeyPatch, runner: ProcessRunner, tree: Path
) -> None:
    """An ARG's value is in its environment, an undeclared one isn't; proxies are this machine's."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    image = build(runner, tree, HF_ENDPOINT="http://127.0.0.1:1", UNKNOWN="1")
    exported = json.loads((Path(image.reference) / "model" / "environment.json").read_text())
    assert exported["HF_ENDPOINT"] == "http://127.0.0.1:1"
    assert exported["HTTPS_PROXY"] == "http://proxy.example"
    assert "UNKNOWN" not in exported
    assert not Path(exported["HF_HOME"]).exists()


def test_server_has_the_images_environment(
    start: Callable[..., tuple[ProcessServer, list[str]]],
) -> None:
    """ENV lines of the last stage hold, the Space's variables win, paths in the image are ours."""
    seen = answer(start(EMBED_MAX_INPUTS="6", PORT="1")[0])["environment"]
    assert seen["HF_HUB_OFFLINE"] == "1"
    assert seen["EMBED_MAX_INPUTS"] == "6"
    assert "EMBED_OF_THE_BUILDER" not in seen
    assert "/opt/venv/bin" not in seen["PATH"]
    assert seen["PATH"].startswith(str(Path(sys.executable).parent))


def test_a_vocabulary_of_the_image_is_said_to_be_missing(
    tree: Path, start: Callable[..., tuple[ProcessServer, list[str]]]
) -> None:
    """The file that only a builder's stage fetches is no setting here, and the log says so."""
    (tree / "Dockerfile").write_text(DOCKERFILE + "ENV EMBED_CL100K_FILE=/home/user/x.tiktoken\n")
    server, lines = start()
    assert "EMBED_CL100K_FILE" not in answer(server)["environment"]
    assert "no cl100k vocabulary" in lines[0]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="CPU limits are Linux's")
def test_server_has_the_cpus_of_its_hardware(
    start: Callable[..., tuple[ProcessServer, list[str]]],
) -> None:
    """A limit below what the machine has holds, one above it is no error."""
    assert answer(start(Limits(cpus=1))[0])["cpus"] == 1
    assert answer(start(Limits(cpus=1000))[0])["cpus"] == len(os.sched_getaffinity(0))


def test_crash_is_seen_with_its_code(
    start: Callable[..., tuple[ProcessServer, list[str]]],
) -> None:
    """A server that ends by itself leaves its exit code and its last words."""
    server, lines = start(CRASH="yes")
    assert wait_for(server.exit_code) == 1
    wait_for(lambda: lines == ["no model: yes"])
    assert server.resident_bytes() is None
    server.stop()
    assert server.exit_code() == 1


def test_stop_ends_a_deaf_server_and_its_children(
    start: Callable[..., tuple[ProcessServer, list[str]]],
) -> None:
    """What ignores SIGTERM is killed, with all that it started, whose memory counted before."""
    server, _ = start(DEAF="1", WITH_CHILD="1")
    seen = answer(server)
    child = psutil.Process(seen["child"])
    alone = psutil.Process(seen["pid"]).memory_info().rss
    assert (server.resident_bytes() or 0) > alone
    server.stop()
    assert server.exit_code() == -9
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_same_content_is_built_once(runner: ProcessRunner, tree: Path) -> None:
    """A second build of the same files says that it is cached; any that decides makes a new one."""
    first = build(runner, tree)
    lines: list[str] = []
    assert build(runner, tree, lines.append, UNKNOWN="1") == first
    assert "cached" in lines[0]
    others = [build(runner, tree, HF_ENDPOINT="http://127.0.0.1:1")]
    for path, text in {
        "model.toml": 'id = "other"\n',
        "space_app/__main__.py": SERVER + "# changed\n",
        "Dockerfile": DOCKERFILE + "ENV EMBED_MAX_INPUTS=7\n",
    }.items():
        (tree / path).write_text(text)
        others.append(build(runner, tree))
    assert len({first.reference, *(image.reference for image in others)}) == 5


def test_a_pinned_model_is_the_same_from_every_hub(runner: ProcessRunner, tree: Path) -> None:
    """A commit decides the model, wherever it comes from; a branch does not."""
    for revision, builds in (("main", 2), ("1" * 40, 1)):
        (tree / "model.toml").write_text(f'id = "some/model"\nrevision = "{revision}"\n')
        ports = (1, 2)
        made = {build(runner, tree, HF_ENDPOINT=f"http://127.0.0.1:{port}") for port in ports}
        assert len({image.reference for image in made}) == builds


def test_failed_export_carries_the_tail_and_leaves_nothing(
    runner: ProcessRunner, tree: Path, tmp_path: Path
) -> None:
    """The last lines come with the failure; the next build does not find half a build."""
    (tree / "space_app" / "export.py").write_text("for n in range(100): print(n)\nexit(3)\n")
    for _ in range(2):
        with pytest.raises(BuildFailed, match="exit code 3") as failure:
            build(runner, tree)
        assert failure.value.log_tail == tuple(str(n) for n in range(70, 100))
    assert list((tmp_path / "cache").iterdir()) == []


def test_cancelled_build_ends_the_export(runner: ProcessRunner, tree: Path, tmp_path: Path) -> None:
    """Raising from the log ends the child and what it started, and leaves no files."""
    (tree / "space_app" / "export.py").write_text(
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(os.getpid(), child.pid, flush=True)\n"
        "child.wait()\n"
    )
    processes: list[psutil.Process] = []

    def cancel(line: str) -> None:
        processes.extend(psutil.Process(int(pid)) for pid in line.split())
        raise Cancelled

    with pytest.raises(Cancelled):
        build(runner, tree, cancel)
    assert len(processes) == 2
    for process in processes:
        wait_for(
            lambda p=process: not p.is_running() or p.status() == psutil.STATUS_ZOMBIE  # type: ignore[misc]
        )
    assert list((tmp_path / "cache").iterdir()) == []


def test_oldest_builds_are_removed(runner: ProcessRunner, tree: Path) -> None:
    """The few builds used last are kept, counting a start or a cache hit as use."""
    images = []
    for number in range(KEPT_BUILDS):
        edit(tree, f"number = {number}\n")
        images.append(build(runner, tree))
    runner.start(images[0], environment={}, log=lambda _: None).stop()
    edit(tree, "number = 1\n")
    assert build(runner, tree) == images[1]
    edit(tree, "one = 'more'\n")
    build(runner, tree)
    left = [image for image in images if Path(image.reference).exists()]
    assert left == [image for image in images if image != images[2]]


def test_running_build_is_not_removed(runner: ProcessRunner, tree: Path) -> None:
    """A server keeps its files, however many builds come after; once stopped, they may go."""
    image = build(runner, tree)
    server = runner.start(image, environment={}, log=lambda _: None)
    try:
        for number in range(KEPT_BUILDS + 1):
            edit(tree, f"number = {number}\n")
            build(runner, tree)
        assert Path(image.reference).exists()
    finally:
        server.stop()
    edit(tree, "one = 'more'\n")
    build(runner, tree)
    assert not Path(image.reference).exists()


def test_abandoned_build_folder_is_removed(
    runner: ProcessRunner, tree: Path, tmp_path: Path
) -> None:
    """What a killed build left goes away after a day, what another one is at stays."""
    cache = tmp_path / "cache"
    for name in ("old", "new"):
        (cache / f".building-{name}").mkdir(parents=True)
    yesterday = time.time() - 25 * 3600
    os.utime(cache / ".building-old", (yesterday, yesterday))
    build(runner, tree)
    assert not (cache / ".building-old").exists()
    assert (cache / ".building-new").exists()


@pytest.mark.parametrize("part", ["space_app/export.py", "model.toml", "Dockerfile"])
def test_space_of_somebody_else(runner: ProcessRunner, tree: Path, part: str) -> None:
    """A tree that is not this project's is refused, not guessed at."""
    (tree / part).unlink()
    with pytest.raises(BuildFailed, match="made by this project"):
        build(runner, tree)


def test_interpreter_without_the_extras(tree: Path, tmp_path: Path) -> None:
    """Missing packages are named, with the command that installs them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    runner = ProcessRunner(tmp_path / "cache", python=str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(BuildFailed, match="torch") as failure:
        build(runner, tree)
    assert failure.value.next_step == "pip install 'embedding-space[server,export]'"


def test_interpreter_that_does_not_work(tree: Path, tmp_path: Path) -> None:
    """An interpreter that is gone is a failed build, not a crash of ours."""
    runner = ProcessRunner(tmp_path / "cache", python=str(tmp_path / "none" / "python"))
    with pytest.raises(BuildFailed, match="does not work"):
        build(runner, tree)


def test_start_of_a_removed_build(runner: ProcessRunner, tmp_path: Path) -> None:
    """A build that is gone is a failure to start, with the next command."""
    with pytest.raises(Unhealthy, match="There is no build"):
        runner.start(Image(str(tmp_path / "none"), 0), environment={}, log=lambda _: None)


def test_refused_variable_keeps_its_value_to_itself(runner: ProcessRunner, tree: Path) -> None:
    """A variable that no environment can hold fails the start, and the build is free afterwards."""
    image = build(runner, tree)
    with pytest.raises(Unhealthy) as failure:
        runner.start(image, environment={"A": "s3cret\0"}, log=lambda _: None)
    assert "s3cret" not in f"{failure.value} {failure.value.cause} {failure.value.__cause__!r}"
    descriptor = os.open(image.reference, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


def test_default_cache_follows_xdg(
    monkeypatch: pytest.MonkeyPatch, tree: Path, tmp_path: Path
) -> None:
    """Without a folder of its own the cache is where the platform wants caches."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    image = build(ProcessRunner(), tree)
    assert Path(image.reference).parent == tmp_path / "xdg" / "embedding-space" / "builds"
