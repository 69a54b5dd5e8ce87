"""How fast the local Hub is, by its real client.

python benchmarks/hub.py [NAME …]; one function is one measurement, with a Hub of its own in a
temporary folder.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from huggingface_hub import CommitOperationAdd, HfApi

from ops.adapters.process import ProcessRunner
from ops.hub import LocalHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CLIENTS = 50
_ROUNDS, _FILES = 3, 5


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


MEASUREMENTS: tuple[Callable[[], str], ...] = (commit_of_100_files, fifty_clients)


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
