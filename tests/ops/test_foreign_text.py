"""What others wrote, on a real terminal: no sequence of theirs arrives, and no secret."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pyte
import pytest
from fakes.asgi_server import serving
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, World, hub_world
from running_ops import on_a_terminal, run
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from ops.redaction import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

COLUMNS, LINES = 60, 200
SECRET = "planted-secret-" + "0123456789" * 8
"""Longer than a line of the terminal."""

KEY = "planted-key-of-the-app"
FILE_SECRET = "planted-in-a-file\nplanted-on-another-line"
LOGINS = ("planted-token-of-a-login", "planted-token-of-another", "planted-refresh-token")
ATTACK = (
    "\x1b]0;TITLE\x07\x1b]52;c;cm0gLXJm\x07\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\"
    "\x1b[2J\x1b[1;1HOVERWRITTEN\x9b31mRED\x1b[8munseen\x1b[0m\u202eDRAWKCAB\u2066\u200b\x08\x07"
    "\x1b"  # an unfinished one, for whatever comes next
)
LINES_OF_THE_APP = (
    f"using {SECRET}",
    f"a long line before it, so that it is wrapped, then {SECRET} and more",
    f"{SECRET[:9]}\x1b[32m{SECRET[9:]}",
    f"Authorization: Basic {base64.b64encode(f'me:{SECRET}'.encode()).decode()}",
    f"keys {KEY}, files {FILE_SECRET.splitlines()[1]}",
    f"logins {' and '.join(LOGINS)}",
    ATTACK,
    "done\rhidden?",
)
OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[AK]|\x1b\[2K")
"""Styles, and what a line that is drawn anew consists of."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Space that ended, and whose log is an attack."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        world.create()
        world.push({"CRASH": "\n".join(LINES_OF_THE_APP).encode()})
        world.wait_for_stage("RUNTIME_ERROR")
        yield world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A space.toml with a secret of each kind, and somebody who is logged in."""
    (tmp_path / "file").write_text(FILE_SECRET)
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text(LOGINS[0])
    logins = f"[me]\nhf_token = {LOGINS[1]}\nrefresh_token = {LOGINS[2]}\n"
    (tmp_path / "hf" / "stored_tokens").write_text(logins)
    (tmp_path / "space.toml").write_text(
        f'[space]\nrepo_id = "{SPACE}"\n[secrets]\nEMBED_API_KEYS = {{ env = "KEYS" }}\n'
        'FROM_FILE = { file = "file" }\n'
        '[environments.other.secrets]\nONE = { env = "ONE" }\n'
    )
    return tmp_path


def exported(endpoint: str) -> dict[str, str]:
    """Secrets, and a terminal that has colours."""
    return {
        "HF_ENDPOINT": endpoint,
        "HF_TOKEN": WRITE,
        "KEYS": f"mem0=another,n8n={KEY}",
        "ONE": SECRET,
        "COLUMNS": str(COLUMNS),
        "TERM": "xterm-256color",
        "FORCE_COLOR": "1",
    }


def on_screen(shown: str) -> list[str]:
    """The lines of a terminal that was shown this; fails where it obeyed somebody else."""
    foreign = re.sub(OURS, "", shown)
    assert not re.findall("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066\u200b]", foreign)
    screen = pyte.Screen(COLUMNS, LINES)
    pyte.Stream(screen).feed(shown)
    assert screen.title == ""
    return [line.rstrip() for line in screen.display]


def shows_no_secret(shown: str) -> bool:
    """Not even eight characters of one, wherever a line ends."""
    together = re.sub(r"\s|│", "", re.sub(OURS, "", shown)) + shown
    encoded = base64.b64encode(f"me:{SECRET}".encode()).decode()
    pieces = [SECRET, KEY, *LOGINS, *FILE_SECRET.splitlines(), encoded[8:-8]]
    return not any(
        piece[start : start + 8] in together for piece in pieces for start in range(len(piece) - 7)
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("logs",),
        ("logs", "-n", "3"),
        ("--json", "logs"),
        ("status",),
        ("-v", "restart"),
        ("restart",),
        ("-v", "--json", "restart"),
    ],
    ids=" ".join,
)
def test_a_log_is_shown_and_not_obeyed(
    world: World, folder: Path, arguments: tuple[str, ...]
) -> None:
    """Printed, in a table, in a live view, and as the tail of an error."""
    _, shown = on_a_terminal(folder, *arguments, **exported(world.hub.endpoint))
    lines = on_screen(shown)
    assert shows_no_secret(shown), shown
    assert lines[0] != "OVERWRITTEN"
    assert [line for line in lines if line]


def test_a_log_tells_what_it_held(world: World, folder: Path) -> None:
    """Each line is there, colours are gone, and what was to be unseen is seen."""
    done = run(folder, "logs", **exported(world.hub.endpoint))
    assert [line for line in done.stdout.splitlines() if line][-8:] == [
        f"a long line before it, so that it is wrapped, then {HIDDEN} and more",
        HIDDEN,
        f"Authorization: Basic bWU6{HIDDEN}k=",
        f"keys {HIDDEN}, files {HIDDEN}",
        f"logins {HIDDEN} and {HIDDEN} and {HIDDEN}",
        r"linkOVERWRITTENREDunseen\u202eDRAWKCAB\u2066\u200b\u0008\u0007\u001b",
        "done",
        "hidden?",
    ]


@pytest.fixture
def hostile() -> Iterator[str]:
    """A Hub whose every name and error is an attack that repeats the request."""

    async def answer(request: Request) -> Response:
        said = f"{ATTACK} {SECRET} {KEY} {dict(request.headers)}\nError: none"
        if request.url.path == "/api/whoami-v2":
            role = {"accessToken": {"displayName": "t", "role": "write"}}
            return JSONResponse({"type": "user", "name": said, "orgs": [], "auth": role})
        return JSONResponse({"error": said, "message": said}, 400)

    methods = ["GET", "HEAD", "POST", "PUT", "DELETE"]
    with serving(Starlette(routes=[Route("/{path:path}", answer, methods=methods)])) as url:
        yield url


@pytest.mark.parametrize(
    "arguments", [("doctor",), ("plan",), ("status",), ("--yes", "deploy")], ids=" ".join
)
def test_names_and_errors_of_a_hub_are_not_obeyed(
    hostile: str, folder: Path, arguments: tuple[str, ...]
) -> None:
    """An account's name and an error's text are shown as they are, on lines of ours."""
    code, shown = on_a_terminal(folder, *arguments, **exported(hostile))
    lines = on_screen(shown)
    assert code
    assert shows_no_secret(shown), shown
    assert "linkOVERWRITTEN" in "".join(lines)
    assert "Error: none" not in lines


def test_what_was_typed_wrong_is_not_obeyed(folder: Path) -> None:
    """An error of the command line repeats what was typed."""
    typed = f"--{ATTACK}={SECRET}"
    code, shown = on_a_terminal(folder, "status", typed, **exported("http://127.0.0.1:9"))
    on_screen(shown)
    assert code == 2
    assert shows_no_secret(shown), shown
