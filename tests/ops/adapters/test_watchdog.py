from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import docker
import psutil
import pytest
from docker.errors import NotFound
from fakes.processes import runs, wait_until_ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ops.adapters.docker_engine import DockerEngine
    from ops.runner import Image

HEAD = """
import json, os, signal, sys, time
from pathlib import Path
from ops.adapters.process_server import kill_group, popen
from ops.adapters.watchdog import WATCHDOG

def tell(**told):
    print(json.dumps(told), flush=True)
    sys.stdin.readline()
"""
FAMILY = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"])
"""


@contextmanager
def program(text: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A process that uses the watchdog, and what it told; it goes on at a line from us."""
    with subprocess.Popen(
        [sys.executable, "-c", HEAD + dedent(text)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def soon(condition: Callable[[], Any], limit: float = 20) -> Any:
    """What the condition gives, as soon as it gives something."""
    until = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
    return found


def family(leader: int) -> list[psutil.Process]:
    """The child and its own child, once both are there."""
    parent = psutil.Process(leader)
    return [parent, *soon(parent.children)]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_nothing_outlives_who_started_it(how: signal.Signals, tmp_path: Path) -> None:
    """However a process goes, what it started goes with it, grandchildren and folders too."""
    kept, folder = tmp_path / "kept", tmp_path / "folder"
    kept.mkdir()
    (folder / "below").mkdir(parents=True)
    text = f"""
    child = popen([sys.executable, "-c", {FAMILY!r}], Path("/"), {{}})
    WATCHDOG.watch("folder", {str(folder)!r})
    with WATCHDOG.watching("folder", {str(kept)!r}):
        pass
    tell(child=child.pid)
    """
    with program(text) as (process, told):
        left = family(told["child"])
        process.send_signal(how)
        process.wait()
        wait_until_ended(left)
        soon(lambda: not folder.exists())
    assert kept.exists()


def test_a_child_does_not_begin_unwatched(tmp_path: Path) -> None:
    """Whoever dies between the start of a child and telling the watchdog leaves no child."""
    began = tmp_path / "began"
    text = f"""
    def dies(kind, name):
        tell(child=name)
    WATCHDOG.watch = dies
    popen([sys.executable, "-c", "open({str(began)!r}, 'w')"], Path("/"), {{}})
    """
    with program(text) as (process, told):
        child = psutil.Process(told["child"])
        process.kill()
        process.wait()
        wait_until_ended([child])
    assert not began.exists()


def test_what_has_ended_is_left_alone(tmp_path: Path) -> None:
    """A process that was told to have ended is not looked for again."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    ) as bystander:
        text = f"""
        WATCHDOG.watch("session", {bystander.pid})
        WATCHDOG.watch("folder", {str(tmp_path)!r})
        WATCHDOG.forget("session", {bystander.pid})
        tell()
        """
        with program(text) as (process, _):
            process.kill()
        soon(lambda: not tmp_path.exists())
        assert bystander.poll() is None
        bystander.kill()


def test_a_watchdog_that_was_ended_is_replaced() -> None:
    """The next one is told of all that its predecessor watched."""
    text = f"""
    first = popen([sys.executable, "-c", {FAMILY!r}], Path("/"), {{}})
    WATCHDOG._process.kill()
    WATCHDOG._process.wait()
    second = popen([sys.executable, "-c", {FAMILY!r}], Path("/"), {{}})
    tell(first=first.pid, second=second.pid)
    """
    with program(text) as (process, told):
        left = family(told["first"]) + family(told["second"])
        process.kill()
        wait_until_ended(left)


def test_an_orderly_end_ends_the_watchdog() -> None:
    """It goes when there is nothing left to watch and nobody to watch for."""
    text = """
    WATCHDOG.watch("folder", "/nowhere")
    WATCHDOG.forget("folder", "/nowhere")
    tell(watchdog=WATCHDOG._process.pid)
    """
    with program(text) as (process, told):
        watchdog = psutil.Process(told["watchdog"])
        process.communicate("\n", timeout=20)
        assert process.returncode == 0
        wait_until_ended([watchdog])


def test_ctrl_c_is_not_for_it() -> None:
    """What a terminal sends to everybody in front of it does not reach the watchdog."""
    text = """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    WATCHDOG.watch("folder", "/nowhere")
    tell(watchdog=WATCHDOG._process.pid)
    """
    with program(text) as (process, told):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.3)
        assert runs(psutil.Process(told["watchdog"]))


@pytest.fixture
def image(engine: DockerEngine, tmp_path: Path) -> Image:
    """A container that stays up."""
    (tmp_path / "Dockerfile").write_text(
        'FROM python:3.11-slim\nCMD ["python", "-c", "import time; time.sleep(600)"]\n'
    )
    return engine.build(
        tmp_path, tag="embedding-space-tests/watched", build_args={}, log=lambda _: None
    )


@pytest.mark.docker
def test_no_container_outlives_who_started_it(image: Image) -> None:
    """A container is removed when its starter was killed."""
    text = f"""
    from ops.adapters.docker_engine import DockerEngine
    from ops.adapters.docker_engine import DockerEngine
    from ops.runner import Image
    started = DockerEngine.connect().start(
        Image({image.reference!r}, 0), environment={{}}, log=lambda _: None
    )
    tell(name=started._name)
    """
    client = docker.from_env()
    try:
        with program(text) as (process, told):
            assert client.containers.get(told["name"]).status == "running"
            process.kill()
            soon(lambda: _is_removed(client, told["name"]))
    finally:
        client.close()


def _is_removed(client: docker.DockerClient, name: str) -> bool:
    try:
        client.containers.get(name)
    except NotFound:
        return True
    return False


@pytest.mark.docker
def test_what_a_machine_left_is_removed_for_its_owner(engine: DockerEngine, image: Image) -> None:
    """A new engine of the same owner ends what the last one left, and nobody else's."""
    mine, other = engine.for_owner("/data/mine"), engine.for_owner("/data/other")
    left, kept = (e.start(image, environment={}, log=lambda _: None) for e in (mine, other))
    try:
        engine.for_owner("/data/mine")
        assert left.exit_code() == 137
        assert kept.exit_code() is None
    finally:
        left.stop()
        kept.stop()


def test_marked_processes_go_too() -> None:
    """Whatever has the mark in its environment is ended, with children in sessions of their own."""
    text = f"""
    import subprocess
    for mark in WATCHDOG.mark.values():
        WATCHDOG.watch("marked", mark)
    child = subprocess.Popen(
        [sys.executable, "-c", {FAMILY!r}], env=WATCHDOG.mark, start_new_session=True
    )
    tell(child=child.pid)
    """
    with program(text) as (process, told):
        left = family(told["child"])
        process.kill()
        wait_until_ended(left)


def test_a_lock_is_held_until_all_has_ended(tmp_path: Path) -> None:
    """Whoever gets the lock of a process that was killed finds nothing of it running."""
    path = tmp_path / "lock"
    text = f"""
    WATCHDOG.lock(Path({str(path)!r}))
    child = popen([sys.executable, "-c", {FAMILY!r}], Path("/"), {{}})
    tell(child=child.pid)
    """
    with program(text) as (process, told), path.open("a") as file:
        left = family(told["child"])
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process.kill()
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not any(runs(process) for process in left)


def test_locks_of_many_threads_are_all_had(tmp_path: Path) -> None:
    """Each thread waits for its own lock, and for no other one's."""
    text = f"""
    from concurrent.futures import ThreadPoolExecutor
    paths = [Path({str(tmp_path)!r}) / str(number) for number in range(200)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(WATCHDOG.lock, paths))
    tell(locks=len(paths))
    """
    with program(text) as (_, told):
        assert told["locks"] == len(list(tmp_path.iterdir())) == 200
