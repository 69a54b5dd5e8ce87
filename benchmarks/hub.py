"""How fast the local Hub is, by its real client.

python benchmarks/hub.py [NAME …]; one function is one measurement, with a Hub of its own in a
temporary folder. An upload's client and its Hub share the machine's cores.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import httpx2
import psutil
from huggingface_hub import CommitOperationAdd, HfApi

from ops.adapters.process import ProcessRunner
from ops.hub import LocalHub
from ops.hub.data_folder import token_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CLIENTS = 50
_ROUNDS, _FILES = 3, 5
_MEGABYTE = 1024 * 1024
_MODEL = 500
"""Megabytes."""
_PORT = 8972
_TRIES = 5
_UPLOAD = """\
import sys, time
from huggingface_hub import HfApi
api = HfApi(endpoint=sys.argv[1])
api.create_repo("me/model")
start = time.perf_counter()
api.upload_file(repo_id="me/model", path_or_fileobj=sys.argv[2], path_in_repo="model.bin")
print(time.perf_counter() - start)
"""


def commit_of_100_files() -> str:
    """One commit of 100 files of 1 kB, to a repository that has 100 others."""
    with _hub() as api:
        api.create_repo("model")
        _commit(api, "me/model", "before", 100)
        start = time.perf_counter()
        _commit(api, "me/model", "after", 100)
        return f"{time.perf_counter() - start:.2f} s"


def fifty_clients() -> str:
    """50 clients at once: each commits to a repository of its own, and reads it back."""
    with _hub() as api:

        def work(number: int) -> int:
            client = HfApi(endpoint=api.endpoint, token=api.token)
            repo = f"me/model-{number}"
            client.create_repo(repo)
            for turn in range(_ROUNDS):
                _commit(client, repo, f"folder-{turn}", _FILES)
                listed = len(list(client.list_repo_tree(repo, f"folder-{turn}")))
                newest = client.list_repo_commits(repo)[0].commit_id
                if (listed, newest) != (_FILES, client.model_info(repo).sha):
                    raise RuntimeError(f"{repo} is not as it was written")
            return _ROUNDS

        start = time.perf_counter()
        with ThreadPoolExecutor(_CLIENTS) as pool:
            commits = sum(pool.map(work, range(_CLIENTS)))
        seconds = time.perf_counter() - start
        return f"{seconds:.1f} s for {commits} commits, no error"


def start() -> str:
    """From `ops hub serve` to its first answer."""
    with TemporaryDirectory() as folder:
        times = []
        for turn in range(_TRIES):
            with _served(Path(folder) / str(turn)) as (_, _, seconds):
                times.append(seconds)
    return f"{min(times):.2f} to {max(times):.2f} s in {_TRIES} starts"


def upload_by_xet() -> str:
    """A model of 500 MB, as huggingface_hub uploads it by itself."""
    return _upload({})


def upload_by_lfs() -> str:
    """The same with HF_HUB_DISABLE_XET=1."""
    return _upload({"HF_HUB_DISABLE_XET": "1"})


MEASUREMENTS: tuple[Callable[[], str], ...] = (
    commit_of_100_files,
    fifty_clients,
    start,
    upload_by_xet,
    upload_by_lfs,
)


def _upload(settings: dict[str, str]) -> str:
    with TemporaryDirectory() as name, _served(Path(name) / "hub") as (endpoint, hub, _):
        folder = Path(name)
        model = folder / "model.bin"
        with model.open("wb") as file:
            for _ in range(_MODEL):
                file.write(os.urandom(_MEGABYTE))
        environment = {
            "PATH": os.environ["PATH"],
            "HF_HOME": str(folder / "home"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_TOKEN": token_file(folder / "hub", "me", "write").read_text("ascii").strip(),
        }
        command = [sys.executable, "-c", _UPLOAD, endpoint, str(model)]
        client = subprocess.Popen(
            command, env=environment | settings, stdout=subprocess.PIPE, text=True
        )
        peak = 0
        while client.poll() is None:
            peak = max(peak, hub.memory_info().rss)
            time.sleep(0.01)
        printed, _ = client.communicate()
        if client.returncode != 0:
            raise RuntimeError("The upload failed")
        seconds, copying = float(printed), _copy(model, folder / "copy")
    return (
        f"{seconds:.1f} s, {_MODEL / seconds:.0f} MB/s (a copy with its sha256: {copying:.1f} s, "
        f"{_MODEL / copying:.0f} MB/s); the Hub's memory: {peak / _MEGABYTE:.0f} MB at most"
    )


def _copy(source: Path, target: Path) -> float:
    """Seconds of what an upload cannot do without, on this disk."""
    start = time.perf_counter()
    shutil.copyfile(source, target)
    with target.open("rb+") as file:
        hashlib.file_digest(file, "sha256")
        os.fsync(file.fileno())
    return time.perf_counter() - start


@contextmanager
def _served(data: Path) -> Iterator[tuple[str, psutil.Process, float]]:
    """`ops hub serve` as a process: its address, itself, and the seconds until it answered."""
    endpoint = f"http://127.0.0.1:{_PORT}"
    command = [sys.executable, "-m", "ops", "hub", "serve", f"--port={_PORT}", f"--data={data}"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as hub:
        try:
            while not _answers(endpoint):
                if hub.poll() is not None:
                    raise RuntimeError("The Hub does not start")
                time.sleep(0.005)
            yield endpoint, psutil.Process(hub.pid), time.perf_counter() - start
        finally:
            hub.terminate()


def _answers(endpoint: str) -> bool:
    try:
        return httpx2.get(f"{endpoint}/api/whoami-v2").is_client_error
    except httpx2.ConnectError:
        return False


@contextmanager
def _hub() -> Iterator[HfApi]:
    with TemporaryDirectory() as folder, LocalHub(Path(folder), ProcessRunner()) as hub:
        yield HfApi(endpoint=hub.endpoint, token=hub.token)


def _commit(api: HfApi, repo: str, folder: str, files: int) -> None:
    contents = {f"{folder}/{n}.txt": f"{folder} {n}\n".encode() * 100 for n in range(files)}
    api.create_commit(
        repo,
        [CommitOperationAdd(path, content) for path, content in contents.items()],
        commit_message=folder,
    )


def main(names: list[str]) -> None:
    """Measure what is named, or everything."""
    for measure in MEASUREMENTS:
        if not names or measure.__name__ in names:
            print(f"{measure.__name__}: {measure()}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
