from __future__ import annotations

import fcntl
import threading
from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner

from ops.hub import LocalHub

if TYPE_CHECKING:
    from pathlib import Path


def test_a_hub_waits_for_what_the_last_one_left(tmp_path: Path) -> None:
    """While something that was started on the folder still ends, nobody else tidies it up."""
    half_made = tmp_path / ".new" / "left"
    half_made.mkdir(parents=True)
    begun = threading.Event()

    def serve() -> None:
        with LocalHub(tmp_path, FakeRunner()):
            begun.set()

    thread = threading.Thread(target=serve)
    with (tmp_path / "ending.lock").open("a") as ending:
        fcntl.flock(ending, fcntl.LOCK_SH)
        thread.start()
        assert not begun.wait(0.3)
        assert half_made.exists()
    assert begun.wait(20)
    thread.join()
    assert not half_made.exists()


def test_a_folder_is_free_when_its_hub_has_ended(tmp_path: Path) -> None:
    """One Hub after the other serves it, in one process too."""
    for _ in range(3):
        with LocalHub(tmp_path, FakeRunner()), pytest.raises(BlockingIOError):
            _lock(tmp_path)


def _lock(folder: Path) -> None:
    with (folder / "ending.lock").open("a") as ending:
        fcntl.flock(ending, fcntl.LOCK_EX | fcntl.LOCK_NB)
