from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fakes.git import WatchedGit
from fakes.runner import FakeRunner
from fakes.stranger import asking_for_a_password, forwarding, redirect, stranger
from git_user import git_environment
from hub_world import CARD, OTHER, READ, SPACE, WRITE, hub_world

from ops.adapters import git_space
from ops.adapters.hf_client import keep_at_home
from ops.adapters.retries import Retries
from ops.errors import ConfigError, Conflict, HubUnreachable, NotAllowed, OpsError
from ops.hub.fault_text import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fakes.stranger import Asked
    from hub_world import World

    from ops.adapters.git_space import WorkingCopy

ME = ("Somebody", "s@example.org")
PUSH = "/spaces/*/git-receive-pack"
BEFORE_A_PUSH = 4
"""Requests of GET …/info/refs before git has pushed: twice without the token, and twice with it."""


@pytest.fixture(scope="module", name="shared")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a Space."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        world.create()
        yield world


@pytest.fixture(name="world")
def _world(shared: World) -> Iterator[World]:
    """The Hub without faults, its Space as it was pushed just now."""
    shared.push({"old.txt": f"{time.time_ns()}".encode()})
    shared.hub.faults.mark()
    yield shared
    shared.hub.faults.clear()


@pytest.fixture(name="lfs")
def _lfs() -> None:
    """Only where git-lfs is."""
    if shutil.which("git-lfs") is None:
        if os.environ.get("REQUIRE_GIT_LFS") == "1":
            pytest.fail("REQUIRE_GIT_LFS=1, but there is no git-lfs")
        pytest.skip("needs git-lfs")


@pytest.fixture(name="git")
def _git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WatchedGit:
    """A git that can be watched."""
    return WatchedGit(tmp_path / "watched", monkeypatch)


@pytest.fixture(name="temporary")
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def main(world: World) -> str:
    """What the Hub has."""
    return str(world.api.space_info(SPACE).sha)


def commit(world: World, token: str = WRITE, **different: Any) -> str:
    """One commit on top of what is there, by default of one small file."""
    what: dict[str, Any] = {
        "add": {"new.txt": f"{time.time_ns()}".encode()},
        "delete": [],
        "title": "A title",
        "description": "What it is.",
        "parent": different.get("parent") or main(world),
        "author": ME,
        "retries": Retries(tries=3, first_wait=0),
    }
    return git_space.commit(world.hub.endpoint, token, SPACE, **{**what, **different})


def content(world: World, name: str, folder: Path) -> bytes:
    """A file of the Space, as the API has it."""
    found = world.api.hf_hub_download(SPACE, name, repo_type="space", local_dir=folder)
    return Path(found).read_bytes()


def everything_in(error: BaseException | None) -> str:
    """All that somebody might print of a failure, and of what it came from."""
    if error is None:
        return ""
    return f"{error!r} {vars(error)} {everything_in(error.__cause__ or error.__context__)}"


@contextmanager
def closed_port() -> Iterator[str]:
    """An endpoint where nobody listens, nor will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def without_lfs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be found but git, and what starts it."""
    folder.mkdir()
    for name in ("env", "git", "sh"):
        (folder / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(folder))


def test_a_commit(world: World, tmp_path: Path) -> None:
    """It has these changes and no other, byte for byte, this text and author, and is built."""
    before = main(world)
    added = {"new.txt": b"dos\r\n", "a b/\u00e9.txt": b"in a folder", "Dockerfile": b"FROM y\n"}
    made = commit(world, add=added, delete=["old.txt"])
    newest, parent, *_ = world.api.list_repo_commits(SPACE, repo_type="space")
    assert (newest.commit_id, parent.commit_id) == (made, before)
    assert (newest.title, newest.message, newest.authors) == ("A title", "What it is.", [ME[0]])
    files = {".gitattributes", "README.md", *added}
    assert set(world.api.list_repo_files(SPACE, repo_type="space")) == files
    for name, data in added.items():
        assert content(world, name, tmp_path) == data
    assert content(world, "README.md", tmp_path) == CARD
    world.wait(lambda raw: raw.get("sha") == made)
    commit(world, add={}, delete=["new.txt", "a b/\u00e9.txt"])


def test_the_author_is_the_tokens_owner(world: World) -> None:
    """Where nobody else is named."""
    commit(world, author=None)
    assert world.api.list_repo_commits(SPACE, repo_type="space")[0].authors == ["me"]


def test_main_has_moved(world: World) -> None:
    """Somebody else's commit is not built upon, and nothing is sent."""
    parent = main(world)
    newest = world.push({"theirs": parent.encode()})
    with pytest.raises(Conflict, match=f"main is at {newest[:8]}, not at {parent[:8]}"):
        commit(world, parent=parent)
    assert main(world) == newest
    assert not any(seen.path.endswith("receive-pack") for seen in world.hub.faults.seen)


def test_main_moves_before_the_push(world: World, git: WatchedGit) -> None:
    """A commit after the look is not lost: the push is not forced."""
    pushed = []
    with (
        git.before("push", lambda: pushed.append(world.push({"theirs": b"before"}))),
        pytest.raises(Conflict, match="main is at"),
    ):
        commit(world)
    assert pushed == [main(world)]


def test_main_moves_during_the_push(world: World) -> None:
    """Nor is one that comes after git has seen where main is."""
    before = main(world)
    world.hub.faults.add(parse(f"conflict {SPACE}"))
    with pytest.raises(Conflict, match="main is at"):
        commit(world)
    newest, parent = world.api.list_repo_commits(SPACE, repo_type="space")[:2]
    assert newest.title == "Somebody else's change"
    assert parent.commit_id == before


def test_main_was_set_back(world: World, git: WatchedGit) -> None:
    """A main that somebody sets back meanwhile is not brought forward again."""
    parent = main(world)
    older = world.api.list_repo_commits(SPACE, repo_type="space")[1].commit_id

    def set_back() -> None:
        folder = next((world.hub.data / "spaces" / SPACE).rglob("HEAD")).parent
        command = ["git", "--git-dir", folder, "update-ref", "refs/heads/main", older]
        subprocess.run(command, check=True)

    with git.before("push", set_back), pytest.raises(Conflict):
        commit(world, parent=parent)
    assert main(world) == older


@pytest.mark.parametrize(
    "fault",
    [
        "cut GET /spaces/*/info/refs",
        f"cut skip={BEFORE_A_PUSH - 1} GET /spaces/*/info/refs",
        f"status 503 POST {PUSH}",
        f"cut times=2 POST {PUSH}",
        f"cut when=after POST {PUSH}",
        f"cut times=2 when=after POST {PUSH}",
        f"cut when=body bytes=5 POST {PUSH}",
    ],
)
def test_what_was_lost_is_tried_again(world: World, fault: str) -> None:
    """Whether the request or its reply was lost, there is one commit in the end."""
    before = main(world)
    world.hub.faults.add(parse(fault))
    made = commit(world)
    commits = world.api.list_repo_commits(SPACE, repo_type="space")
    assert [found.commit_id for found in commits[:2]] == [made, before]
    assert world.hub.faults.pending == ()


def test_a_reply_is_lost_and_others_go_on(world: World, git: WatchedGit) -> None:
    """A commit that arrived is not taken for one that did not, because another came after it."""
    world.hub.faults.add(parse(f"cut when=body bytes=5 POST {PUSH}"))
    with git.before("ls-remote", lambda: world.push({"theirs": b"after ours"})):
        made = commit(world)
    assert world.api.list_repo_commits(SPACE, repo_type="space")[1].commit_id == made


def test_a_reply_is_lost_and_others_were_first(
    world: World, git: WatchedGit, tmp_path: Path
) -> None:
    """A push that never arrived is not tried again on top of another one."""
    before = main(world)
    world.hub.faults.add(parse(f"status 503 POST {PUSH}"))
    with (
        git.before("ls-remote", lambda: world.push({"theirs": b"first"})),
        pytest.raises(Conflict),
    ):
        commit(world)
    assert content(world, "theirs", tmp_path) == b"first"
    assert world.api.list_repo_commits(SPACE, repo_type="space")[1].commit_id == before


def test_a_hub_that_answers_all_but_git(world: World) -> None:
    """After some tries that is said, with git's own words."""
    before = main(world)
    world.hub.faults.add(parse(f"status 503 times=always POST {PUSH}"))
    with pytest.raises(OpsError, match="again and again") as raised:
        commit(world)
    assert any("503" in line for line in raised.value.log_tail)
    assert raised.value.next_step
    assert main(world) == before


def test_nobody_answers() -> None:
    """A Hub that is down is told from one that refuses."""
    with pytest.raises(HubUnreachable), closed_port() as endpoint:
        git_space.commit(
            endpoint, WRITE, SPACE,
            add={}, delete=[], title="", description="", parent="0" * 40,
            author=ME, retries=Retries(tries=1),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("token", "error", "words"),
    [(READ, NotAllowed, "403"), ("hf_wrong", NotAllowed, "401"), (OTHER, OpsError, "no such")],
)
def test_who_may_not_push(world: World, token: str, error: type[OpsError], words: str) -> None:
    """What the Hub answers is what is said, and what to do; the token is in none of it."""
    before = main(world)
    with pytest.raises(error, match=words) as raised:
        commit(world, token)
    assert "settings/tokens" in (raised.value.next_step or "")
    assert token not in everything_in(raised.value)
    assert main(world) == before


def test_a_token_is_revoked_halfway(tmp_path: Path) -> None:
    """What fails in the middle of the push is told as what it is."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        world.create()
        parent = world.push({})
        world.hub.faults.add(parse(f"revoke POST {PUSH}"))
        with pytest.raises(NotAllowed, match="401"):
            commit(world, parent=parent)


def test_a_rule_of_the_hubs_is_broken(world: World) -> None:
    """What the Hub says to a push that it refuses is the cause."""
    before = main(world)
    bad = b"---\nsdk: docker\ncolorFrom: teal\n---\n"
    with pytest.raises(OpsError, match="refused the push") as raised:
        commit(world, add={"README.md": bad})
    assert '"colorFrom" must be one of' in (raised.value.cause or "")
    assert main(world) == before


@pytest.mark.usefixtures("lfs")
def test_large_files_go_by_git_lfs(world: World, tmp_path: Path) -> None:
    """The large, the binary, and what .gitattributes names, which then names them all."""
    files = {
        "big.txt": b"x" * (10 * 1024 * 1024 + 1),
        "a [1]*.png": b"\x89PNG\0",
        "model.onnx": b"text, but named",
        "empty.bin": b"",
        "just.txt": b"x" * 1000,
    }
    commit(world, add=files)
    for name, data in files.items():
        assert content(world, name, tmp_path) == data
    info = world.api.get_paths_info(SPACE, list(files), repo_type="space")
    assert {i.path for i in info if i.lfs} == {"big.txt", "a [1]*.png", "model.onnx"}
    attributes = content(world, ".gitattributes", tmp_path).decode()
    assert attributes.endswith(
        "\n/a[[:space:]]\\[1]\\*.png filter=lfs diff=lfs merge=lfs -text\n"
        "/big.txt filter=lfs diff=lfs merge=lfs -text\n"
    )
    world.hub.faults.mark()
    commit(
        world, add={"big.txt": files["big.txt"] + b"2"}, delete=[n for n in files if n != "big.txt"]
    )
    assert content(world, ".gitattributes", tmp_path).decode() == attributes
    copied = copy(world, tmp_path / "copy")
    assert copied.pointers == ()
    assert (tmp_path / "copy" / "big.txt").read_bytes() == files["big.txt"] + b"2"
    commit(world, add={}, delete=["big.txt"])


def test_large_files_without_git_lfs(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are named, and nothing is pushed."""
    before = main(world)
    without_lfs(tmp_path / "bin", monkeypatch)
    with pytest.raises(ConfigError, match=r"git-lfs is not installed.*a\.png, b\.bin") as raised:
        commit(world, add={"a.png": b"\0", "b.bin": b"named", "c.txt": b"text"})
    assert "git-lfs.com" in (raised.value.next_step or "")
    assert main(world) == before
    commit(world, add={"c.txt": b"text"})


@pytest.mark.usefixtures("lfs")
def test_a_space_does_not_say_where_the_token_goes(world: World, tmp_path: Path) -> None:
    """Its .lfsconfig could name any host, which git-lfs would then show the token to."""
    with closed_port() as elsewhere:
        config = f"[lfs]\n\turl = {elsewhere}\n".encode()
        world.push({".lfsconfig": config, "a.png": b"\0one"})
        commit(world, add={"b.png": b"\0two"})
        copy(world, tmp_path / "copy")
    assert (tmp_path / "copy" / "a.png").read_bytes() == b"\0one"
    assert (tmp_path / "copy" / "b.png").read_bytes() == b"\0two"
    world.push({}, delete=(".lfsconfig", "a.png", "b.png"))


def copy(world: World, folder: Path, token: str | None = WRITE, **more: Any) -> WorkingCopy:
    """A working copy."""
    retries = Retries(tries=3, first_wait=0)
    return git_space.clone(world.hub.endpoint, token, SPACE, folder, retries=retries, **more)


def in_clone(folder: Path, *arguments: str) -> str:
    """Git as somebody else uses it."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=git_environment(folder.parent, WRITE),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("there", [True, False])
def test_a_clone(world: World, tmp_path: Path, *, there: bool) -> None:
    """It has main with its history and the tags, in a folder of any depth; git goes on from it."""
    folder = tmp_path / "deep" / "copy"
    if there:
        folder.mkdir(parents=True)
    for name in ("release-2", "release-10"):
        world.api.create_tag(SPACE, tag=name, repo_type="space", exist_ok=True)
    copied = copy(world, folder)
    assert copied.commit == main(world)
    assert copied.tags == ("release-2", "release-10")
    assert in_clone(folder, "status", "--porcelain", "--branch") == "## main...origin/main"
    history = [found.commit_id for found in world.api.list_repo_commits(SPACE, repo_type="space")]
    assert in_clone(folder, "rev-list", "main").split() == history
    (folder / "new.txt").write_text(f"by hand {there}")
    in_clone(folder, "add", "new.txt")
    in_clone(folder, "commit", "--message", "by hand")
    in_clone(folder, "push")
    newest = world.push({"theirs": f"{there}".encode()})
    in_clone(folder, "pull")
    assert in_clone(folder, "rev-parse", "HEAD") == newest
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".copy")] == []


def test_a_clone_without_git_lfs(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not there is named."""
    world.push({"a.png": b"\0binary", "text": b"text"})
    without_lfs(tmp_path / "bin", monkeypatch)
    assert copy(world, tmp_path / "copy").pointers == ("a.png",)
    world.push({}, delete=("a.png",))


@pytest.mark.parametrize("fault", ["cut times=2 POST *upload-pack", "status 503 GET */info/refs"])
def test_a_clone_is_tried_again(world: World, tmp_path: Path, fault: str) -> None:
    """What was lost leaves nothing that would be in the way."""
    world.hub.faults.add(parse(fault.replace("*", "/spaces/*", 1)))
    assert copy(world, tmp_path / "copy").commit == main(world)
    assert world.hub.faults.pending == ()


@pytest.mark.parametrize("there", [True, False])
def test_a_clone_that_fails_leaves_nothing(world: World, tmp_path: Path, *, there: bool) -> None:
    """The folder is as it was before."""
    folder = tmp_path / "around" / "copy"
    folder.parent.mkdir()
    if there:
        folder.mkdir()
    with pytest.raises(OpsError, match="no such") as raised:
        copy(world, folder, OTHER)
    assert OTHER not in everything_in(raised.value)
    assert list(folder.parent.iterdir()) == ([folder] if there else [])
    assert not there or list(folder.iterdir()) == []


@pytest.mark.usefixtures("lfs")
def test_a_clone_without_its_large_files_is_none(world: World, tmp_path: Path) -> None:
    """Those that cannot be had leave nothing behind either."""
    world.push({"a.png": os.urandom(20) + b"\0"})
    world.hub.faults.add(parse("status 500 times=always POST /spaces/*/info/lfs/objects/batch"))
    with pytest.raises(OpsError, match="git lfs failed"):
        copy(world, tmp_path / "around" / "copy")
    assert list((tmp_path / "around").iterdir()) == []
    world.hub.faults.clear()
    world.push({}, delete=("a.png",))


def test_somebody_else_needs_the_folder(world: World, git: WatchedGit, tmp_path: Path) -> None:
    """What came into it meanwhile is left alone."""
    folder = tmp_path / "copy"
    with (
        git.before("clone", lambda: (folder / "theirs").mkdir(parents=True)),
        pytest.raises(ConfigError, match="cannot be written"),
    ):
        copy(world, folder)
    assert [path.name for path in folder.iterdir()] == ["theirs"]


def test_where_nothing_can_be_written(world: World, tmp_path: Path) -> None:
    """A folder below a file is no place for a clone."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        copy(world, tmp_path / "file" / "copy")


def encoded(token: str) -> str:
    """The token as git sends it."""
    return base64.b64encode(f"hf_user:{token}".encode()).decode()


def command_lines() -> dict[str, str]:
    """Of every process there is, by its id."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found[process.name] = (process / "cmdline").read_bytes().decode(errors="replace")
    return found


def files_with(words: tuple[str, ...], folder: Path) -> list[Path]:
    """Those in a folder that hold any of the words."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and any(word.encode() in path.read_bytes() for word in words)
    ]


def test_the_token_is_in_an_environment_only(
    world: World, tmp_path: Path, temporary: Path, git: WatchedGit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in an argument, nor in a file, then or later; and only git's own environment has it.

    Whatever git is told by the user's own configuration and environment, it is not to keep it.
    """
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f"[credential]\n\thelper = store --file {home}/kept\n")
    (home / ".netrc").write_text("machine 127.0.0.1 login me password wrong\n")
    (home / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    hostile = {
        "GIT_DIR": str(tmp_path), "GIT_INDEX_FILE": str(tmp_path / "index"), "GIT_TRACE": "1",
        "GIT_TRACE_CURL": str(tmp_path / "trace"), "GIT_TRACE_REDACT": "0", "GIT_ASKPASS": "/no",
        "GIT_CONFIG_COUNT": "0", "GIT_AUTHOR_NAME": "nobody",
    }  # fmt: skip
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    secrets = (WRITE, encoded(WRITE))
    meanwhile: list[dict[str, str] | list[Path]] = []

    def look() -> None:
        meanwhile.extend((command_lines(), files_with(secrets, temporary)))

    world.hub.faults.add(parse(f"delay seconds=0.5 POST {PUSH}"))
    with when_seen(world, "git-receive-pack", look):
        commit(world)
    copy(world, tmp_path / "copy")
    lines, files = meanwhile
    assert isinstance(lines, dict)
    assert any("git-remote-http" in line for line in lines.values())
    assert not [line for line in lines.values() if any(secret in line for secret in secrets)]
    assert files == []
    assert list(temporary.iterdir()) == []
    assert not (home / "kept").exists()
    told = {call.arguments[0] for call in git.calls if WRITE in call.environment}
    assert told == {"fetch", "push", "clone"} | ({"lfs"} if shutil.which("git-lfs") else set())
    assert not any(secret in " ".join(call.arguments) for call in git.calls for secret in secrets)
    watched = [path for path in files_with(secrets, tmp_path) if path.suffix != ".environment"]
    hub = world.hub.data
    assert [path for path in watched if not path.is_relative_to(hub)] == []


@pytest.mark.usefixtures("lfs")
@pytest.mark.parametrize(
    ("part", "status"),
    [
        ("/info/refs", "302 Found"),
        ("/info/refs", "307 Temporary Redirect"),
        ("/git-upload-pack", "307 Temporary Redirect"),
        ("/git-receive-pack", "308 Permanent Redirect"),
        ("/objects/batch", "307 Temporary Redirect"),
        ("/_lfs/", "302 Found"),
    ],
)
def test_git_is_led_to_nobody_else(world: World, tmp_path: Path, part: str, status: str) -> None:
    """Whatever the Hub redirects to another origin that asks for a password: that gets no token."""
    keep_at_home(WRITE, world.hub.endpoint)  # for what the test itself asks beside the other Hub
    world.push({"large.bin": os.urandom(20) + b"\0"})
    with stranger(asking_for_a_password()) as thief:

        def answer(asked: Asked) -> bytes:
            if part in asked.path:
                return redirect(thief.origin + asked.path, status)
            return forwarding(world.hub.endpoint)(asked)

        with stranger(answer) as hub:
            retries = Retries(tries=1)
            with suppress(OpsError):
                git_space.clone(hub.origin, WRITE, SPACE, tmp_path / "copy", retries=retries)
            with suppress(OpsError):
                git_space.commit(
                    hub.origin, WRITE, SPACE,
                    add={"new.bin": os.urandom(20) + b"\0"}, delete=[], title="t", description="",
                    parent=main(world), author=ME, retries=retries,
                )  # fmt: skip
    assert any(part in asked.path for asked in hub.asked)
    for secret in (WRITE, encoded(WRITE)):
        assert secret not in thief.everything
    world.push({}, delete=("large.bin",))


def test_a_space_that_was_renamed(world: World, tmp_path: Path) -> None:
    """It is found under its old name, though git follows no redirect."""
    world.api.move_repo(SPACE, "me/renamed", repo_type="space")
    try:
        made = commit(world, parent=str(world.api.space_info("me/renamed").sha))
        assert copy(world, tmp_path / "copy").commit == made
    finally:
        world.api.move_repo("me/renamed", SPACE, repo_type="space")


def test_git_gets_no_other_secret(world: World, git: WatchedGit, monkeypatch: Any) -> None:
    """Keys and tokens in the environment of `ops` are in that of no git."""
    for name in ("HF_TOKEN", "EMBED_API_KEYS", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "only-for-ops")
    commit(world)
    assert git.calls
    assert not any("only-for-ops" in call.environment for call in git.calls)


@contextmanager
def when_seen(world: World, path: str, action: Callable[[], object]) -> Iterator[None]:
    """Do something as soon as the Hub has got a request to a path that ends so."""

    def watch() -> None:
        for _ in range(1000):
            if any(seen.path.endswith(path) for seen in world.hub.faults.seen):
                action()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    yield
    thread.join()
