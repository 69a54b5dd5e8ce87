"""A local Hub with three people, and the real client for each of them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import huggingface_hub
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from ops.adapters.hf_hub import Hub
from ops.hub import LocalHub, User
from ops.hub.store import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from fakes.runner import FakeRunner

    from ops.hub import Rules
    from ops.runner import Runner

WRITE, READ, OTHER, FREE = "hf_write", "hf_read", "hf_other", "hf_free"
SPACE = "me/app"
CARD = b"---\nsdk: docker\n---\n"


@dataclass
class World:
    """One Hub, its runner, and a client for its owner."""

    hub: LocalHub
    runner: FakeRunner
    api: HfApi

    def client(self, token: str | None) -> HfApi:
        return HfApi(endpoint=self.hub.endpoint, token=token or False)

    def create(self, **options: object) -> None:
        self.api.create_repo(
            SPACE, repo_type="space", space_sdk="docker", visibility="private", **options
        )

    def push(self, files: Mapping[str, bytes], *, delete: tuple[str, ...] = ()) -> str:
        """Commit to the Space; a README and a Dockerfile are there unless given otherwise."""
        whole = {"README.md": CARD, "Dockerfile": b"FROM x\n", **files}
        info = self.api.create_commit(
            SPACE,
            [CommitOperationAdd(path, content) for path, content in whole.items()]
            + [CommitOperationDelete(path) for path in delete],
            commit_message="change",
            repo_type="space",
        )
        return str(info.oid)

    def wait(self, until: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        """The Space's runtime as soon as it fulfils a condition."""
        for _ in range(400):
            raw = self.api.get_space_runtime(SPACE).raw
            if until(raw):
                return dict(raw)
            time.sleep(0.025)
        pytest.fail(f"still {raw}")

    def wait_for_stage(self, stage: str) -> dict[str, object]:
        return self.wait(lambda raw: raw["stage"] == stage)

    def url(self) -> str:
        return str(self.api.space_info(SPACE).host)

    def clear(self) -> None:
        """Be as at the beginning: nothing is there, nothing was run, nothing is to go wrong."""
        state = self.hub._state
        for kind in KINDS:
            for repo in state.store.all(kind):
                with state.without(repo):
                    state.store.delete(repo)
        self.hub.faults.clear()
        self.runner.forget()


@contextmanager
def hub_world(
    folder: Path,
    runner: Runner,
    *,
    mirrors: Mapping[str, Path] | None = None,
    rules: Rules | None = None,
) -> Iterator[World]:
    """A Hub with Spaces run by `runner`."""
    users = [
        User("me", {WRITE: "write", READ: "read"}, organisations={"team": "admin"}),
        User("other", {OTHER: "write"}),
        User("free", {FREE: "write"}, pro=False),
    ]
    with LocalHub(folder, runner, users=users, mirrors=mirrors, rules=rules) as hub:
        Hub(hub.endpoint, WRITE)  # sets the client's time limit, as ops does
        yield World(hub, cast("FakeRunner", runner), HfApi(endpoint=hub.endpoint, token=WRITE))
    huggingface_hub.close_session()
