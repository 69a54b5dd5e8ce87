from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2
import huggingface_hub
import psutil
import pytest
from deploying import app
from fakes.asgi_server import serving
from fakes.embedding_server import APP_KEY
from fakes.runner import FakeRunner
from git import Repo
from hub_world import READ
from running_ops import promised_failure, run
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ops.errors import BuildFailed
from ops.hub import LocalHub, User
from ops.redaction import HIDDEN

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from starlette.requests import Request

    from ops.runner import Image, Log

TOKEN = "planted-token-of-the-hub"
NOBODYS = "planted-token-of-nobody"
IN_ENVIRONMENT = "planted-value-of-a-variable"
IN_FILE = 'planted-first-line\nplanted "second" line'
SECRET = re.compile(f"planted|{APP_KEY}")

BUILD_FAILS = "a build that shows them"
"""A title."""

SPACE_TOML = """\
[space]
repo_id = "app"
title = "%s"
[secrets]
EMBED_API_KEYS = { env = "KEYS" }
FROM_ENVIRONMENT = { env = "ONE" }
FROM_FILE = { file = "other" }
"""


class Talkative(FakeRunner):
    """A runner whose build shows what it knows, as a badly written Dockerfile would."""

    def build(self, tree: Path, *, tag: str, build_args: Mapping[str, str], log: Log) -> Image:
        if BUILD_FAILS in (tree / "README.md").read_text():
            for line in (TOKEN, APP_KEY, IN_ENVIRONMENT, *IN_FILE.splitlines()):
                log(f"$ upload --with {line}")
            raise BuildFailed(f"upload --with {IN_ENVIRONMENT} failed")
        return super().build(tree, tag=tag, build_args=build_args, log=log)


def indiscreet(hub: str) -> Starlette:
    """A server whose every answer repeats the request, by the first part of the path.

    /403 and the like: with this status. /odd: as if it were what was asked for. /writes: with 400
    to what would change something; all else is passed on to the Hub.
    """

    async def answer(request: Request) -> Response:
        kind, path = request.path_params["kind"], request.path_params["path"]
        if kind == "writes" and request.method in ("GET", "HEAD"):
            headers = {"Authorization": request.headers.get("authorization", "")}
            async with httpx2.AsyncClient(trust_env=False) as http:
                url = f"{hub}/{path}?{request.url.query}"
                reply = await http.request(request.method, url, headers=headers)
            code = reply.headers.get("x-error-code", "")
            kept = {"x-error-code": code, "content-type": reply.headers.get("content-type", "")}
            return Response(reply.content, reply.status_code, kept)
        said = f"{dict(request.headers)} {(await request.body()).decode()}"
        if kind == "odd":
            return JSONResponse({"name": said, "id": said, "model": said, "status": said})
        header = {"x-error-message": re.sub(r"[^ -~]", " ", said)}
        status = 400 if kind == "writes" else int(kind)
        return JSONResponse({"error": said, "message": said}, status, header)

    methods = ["GET", "HEAD", "POST", "PUT", "DELETE"]
    return Starlette(routes=[Route("/{kind}/{path:path}", answer, methods=methods)])


@dataclass
class Place:
    """A folder with secrets planted around it, a Hub, and an indiscreet server."""

    folder: Path
    hub: str
    indiscreet: str
    shown: list[str] = field(default_factory=list)

    def write(self, title: str) -> None:
        (self.folder / "space.toml").write_text(SPACE_TOML % title)

    def ops(self, line: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command line, and look through all that it prints."""
        own = {"HF_ENDPOINT": self.hub, "HF_TOKEN": TOKEN, "ONE": IN_ENVIRONMENT}
        keys = {"KEYS": f"mem0={APP_KEY}", "EMBED_API_KEY": APP_KEY}
        done = run(self.folder, "--yes", *line.split(), **own | keys | more)
        shown = done.stdout + done.stderr
        assert not SECRET.search(shown), (line, shown)
        return done

    def both_ways(self, *lines: str, **more: str) -> list[subprocess.CompletedProcess[str]]:
        """Commands for people and for machines, with every traceback."""
        ways = [f"{way} {line}" for line in lines for way in ("-v", "-v --json")]
        return self.at_once(*ways, **more)

    def at_once(self, *lines: str, **more: str) -> list[subprocess.CompletedProcess[str]]:
        """Commands that do not disturb each other."""
        with ThreadPoolExecutor(3) as several:
            return list(several.map(lambda line: self.ops(line, **more), lines))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The Space is deployed there."""
    hub_folder, folder = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("folder")
    (hub_folder / "model").mkdir()
    (hub_folder / "model" / "config.json").write_text("{}")
    (folder / "other").write_text(IN_FILE)
    (folder / "other.env").write_text("ANOTHER=planted-in-an-env-file\n")
    Repo.init(folder).close()
    users = [User("me", {TOKEN: "write", READ: "read"})]
    mirrors = {"BAAI/bge-base-en-v1.5": hub_folder / "model"}
    with (
        LocalHub(hub_folder / "data", Talkative(app), users=users, mirrors=mirrors) as hub,
        serving(indiscreet(hub.endpoint)) as url,
    ):
        place = Place(folder, hub.endpoint, url)
        place.write("A good one")
        with _command_lines() as seen:
            assert place.ops("-v deploy").returncode == 0
        assert any("deploy" in line for line in seen)
        assert not any(SECRET.search(line) for line in seen)
        yield place
    huggingface_hub.close_session()


@contextmanager
def _command_lines() -> Iterator[set[str]]:
    """What any user of the machine can see of our processes meanwhile."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            for process in psutil.Process().children(recursive=True):
                try:
                    seen.add(" ".join(process.cmdline()))
                except psutil.NoSuchProcess:
                    continue

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()


def test_what_goes_well_shows_none(place: Place) -> None:
    """Whatever a command prints, for people or machines."""
    commands = (
        *("render", "plan", "status", "logs", "logs --build", "releases", "open"),
        *("rollback --dry-run 1", "restart --dry-run", "destroy --dry-run", "hub fault list"),
        *("connect curl", "connect python --check", "init --github-actions --toolkit a/b@c"),
        *("settings show", "settings secrets set FROM_ENVIRONMENT --from-env ONE", "clone copy"),
        "settings secrets import --dry-run other.env",
        *("--json plan", "--json config show", "--json connect python --check", "--json releases"),
    )
    for done in place.at_once(*(f"-v {command}" for command in commands)):
        assert done.returncode == 0, done
    place.ops("-v --json doctor")


def test_files_hold_none(place: Place) -> None:
    """Neither the rendered Space, nor what is kept on this machine, nor git's config."""
    place.at_once("render", "clone copy")
    kept = [path for path in place.folder.rglob("*") if path.is_file()]
    names = {path.relative_to(place.folder).parts[0] for path in kept}
    assert names >= {"build", "state", ".git", "copy", "space.toml"}
    holding = [path for path in kept if SECRET.search(path.read_bytes().decode(errors="replace"))]
    assert {path.name for path in holding} == {"other", "other.env"}


def test_a_token_that_is_refused_is_not_shown(place: Place) -> None:
    """Nobody's, one that may only read, and one that cannot be sent at all."""
    for token in (NOBODYS, READ, "planted-\x01token"):
        for done in place.at_once("-v deploy", "-v --json pause", HF_TOKEN=token):
            assert done.returncode == 9, done


def test_a_hub_that_is_down_is_said_without_its_password(place: Place) -> None:
    """The address in the message is without what opens it."""
    done = place.ops("-v --json open", HF_ENDPOINT="http://me:planted@127.0.0.1:9")
    assert done.returncode == 1
    assert f"http://{HIDDEN}@127.0.0.1:9" in done.stdout


@pytest.mark.parametrize("kind", ["400", "odd"])
def test_an_answer_that_repeats_the_request_is_not_shown_whole(place: Place, kind: str) -> None:
    """The Hub's own words are passed on without secrets; what isn't a Hub's answer isn't at all."""
    url = f"{place.indiscreet}/{kind}"
    for done in place.both_ways("plan", "wake", HF_ENDPOINT=url):
        assert done.returncode
        assert (HIDDEN in done.stdout + done.stderr) == (kind == "400"), done
        if done.stdout:
            assert promised_failure(done.stdout)["exit_code"] == done.returncode


def test_a_write_that_is_refused_is_not_shown_whole(place: Place) -> None:
    """Among what the Hub repeats is the very value that was to be set."""
    url = f"{place.indiscreet}/writes"
    commands = ("deploy", "settings secrets set FROM_ENVIRONMENT --from-env ONE")
    for done in place.both_ways(*commands, HF_ENDPOINT=url, ONE="planted-later"):
        assert done.returncode == 1
        assert "the Hub answered 400" in done.stdout + done.stderr
        assert HIDDEN in done.stdout + done.stderr


def test_a_server_that_repeats_the_request_is_not_shown_whole(place: Place) -> None:
    """Whoever asks a server by its URL sends it keys, too."""
    url = f"--url {place.indiscreet}/400"
    for done in place.at_once(f"-v connect curl --check {url}", f"-v bench {url}"):
        assert done.returncode, done


def test_a_log_that_shows_secrets_is_not_passed_on(place: Place) -> None:
    """The tail of a failed build, in a deploy that goes back to the release before."""
    place.write(BUILD_FAILS)
    done = place.ops("-v --json deploy")
    assert done.returncode == 4, done.stderr
    assert f"$ upload --with {HIDDEN}" in done.stdout


def test_a_conflict_shows_none(place: Place) -> None:
    """Somebody else was first: nothing of ours is in what is said of it, nor what git is told."""
    place.write("A better one")
    place.ops("hub fault add conflict")
    with _command_lines() as seen:
        done = place.ops("-v deploy --via git")
    assert done.returncode == 10, done.stderr
    assert any("git" in line and "push" in line for line in seen)
    assert not any(SECRET.search(line) for line in seen)
