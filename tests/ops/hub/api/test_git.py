from __future__ import annotations

import gzip
import os
import subprocess
from typing import TYPE_CHECKING

import loopback
import pytest
from git_user import git_environment
from hub_world import CARD, OTHER, READ, SPACE, WRITE

from ops.hub.faults import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from hub_world import World

MEGABYTE = 1024 * 1024


class Clone:
    """A clone of the Space, by somebody's token, which git asks a program for."""

    def __init__(self, folder: Path, url: str, token: str | None):
        self.folder = folder
        folder.mkdir(parents=True)
        self._environment = git_environment(folder, token)
        self.tree = folder / "clone"
        self.cloned = self._git("clone", "--quiet", url, str(self.tree), at=folder)

    def git(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run git in the clone."""
        return self._git(*arguments, at=self.tree)

    def push(self, files: dict[str, bytes], *options: str) -> subprocess.CompletedProcess[str]:
        """Commit these files and push."""
        for name, content in files.items():
            (self.tree / name).write_bytes(content)
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--message", "by git")
        return self.git("push", "--quiet", *options)

    def _git(self, *arguments: str, at: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments],
            cwd=at,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )


def clone(
    world: World, folder: Path, token: str | None = WRITE, *, suffix: str = "", name: str = "one"
) -> Clone:
    """Clone the world's Space."""
    return Clone(folder / name, f"{world.hub.endpoint}/spaces/{SPACE}{suffix}", token)


@pytest.mark.parametrize("suffix", ["", ".git"])
def test_a_clone_has_the_files(world: World, tmp_path: Path, suffix: str) -> None:
    """What was committed by the API is what git gets, under either form of the name."""
    world.create()
    commit = world.push({"a.txt": b"text\n"})
    copy = clone(world, tmp_path, suffix=suffix)
    assert copy.cloned.returncode == 0, copy.cloned.stderr
    assert (copy.tree / "a.txt").read_bytes() == b"text\n"
    assert copy.git("rev-parse", "HEAD").stdout.strip() == commit


def test_a_push_is_built(world: World, tmp_path: Path) -> None:
    """A push moves main, and the Space runs that commit."""
    world.create()
    world.push({"VERSION": b"1"})
    copy = clone(world, tmp_path)
    pushed = copy.push({"VERSION": b"2"})
    assert pushed.returncode == 0, pushed.stderr
    head = copy.git("rev-parse", "HEAD").stdout.strip()
    assert world.api.space_info(SPACE).sha == head
    world.wait(lambda raw: raw["stage"] == "RUNNING" and raw.get("sha") == head)


def test_a_push_whose_reply_is_lost_is_built(world: World, tmp_path: Path) -> None:
    """Main has moved, so the Space runs it, although nobody heard that it would."""
    world.create()
    world.push({})
    copy = clone(world, tmp_path)
    world.hub.faults.add(Fault("cut", path="*/git-receive-pack", when="body", after=5))
    assert copy.push({"VERSION": b"2"}).returncode != 0
    head = copy.git("rev-parse", "HEAD").stdout.strip()
    world.wait(lambda raw: raw.get("sha") == head)


def test_a_push_to_what_is_deleted_meanwhile_ends_well(world: World, tmp_path: Path) -> None:
    """Git was told that main has moved; that nothing is there to build any more is no failure."""
    world.create()
    world.push({})
    copy = clone(world, tmp_path)
    hook = world.hub.data / "spaces" / SPACE / "git" / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\nmv "$(dirname "$PWD")" "{tmp_path}/gone"\n')
    hook.chmod(0o755)
    pushed = copy.push({"VERSION": b"2"})
    (tmp_path / "gone").rename(world.hub.data / "spaces" / SPACE)
    assert pushed.returncode == 0, pushed.stderr
    assert pushed.stderr == ""


def test_a_long_push_and_a_fetch(world: World, tmp_path: Path) -> None:
    """A megabyte of many files goes up in chunks, and another clone fetches it."""
    world.create()
    world.push({})
    first, second = clone(world, tmp_path), clone(world, tmp_path, name="two")
    files = {f"{n}.txt": os.urandom(2000).hex().encode() for n in range(400)}
    pushed = first.push(files)
    assert pushed.returncode == 0, pushed.stderr
    assert second.git("pull", "--quiet").returncode == 0
    assert (second.tree / "399.txt").read_bytes() == files["399.txt"]


def test_a_push_that_is_behind_is_refused(world: World, tmp_path: Path) -> None:
    """A commit by the API meanwhile is not lost."""
    world.create()
    world.push({})
    copy = clone(world, tmp_path)
    newest = world.push({"by": b"api"})
    refused = copy.push({"by": b"git"})
    assert refused.returncode != 0
    assert "rejected" in refused.stderr
    assert world.api.space_info(SPACE).sha == newest


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("big.txt", b"x" * (10 * MEGABYTE + 1), "files larger than 10 MiB"),
        ("small.png", b"\x89PNG\r\n\x1a\n\0\0\0", "contains binary files"),
    ],
)
def test_what_belongs_elsewhere_is_refused(
    world: World, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    """Large and binary files are named and refused, also where a later commit removed them."""
    world.create()
    before = world.push({})
    copy = clone(world, tmp_path)
    refused = copy.push({name: content})
    assert refused.returncode != 0
    assert (
        f"remote: Your push was rejected because it contains {words.removeprefix('contains ')}"
        in refused.stderr
    )
    assert f"remote:   - {name} (ref: refs/heads/main)" in refused.stderr
    (copy.tree / name).unlink()
    assert "Your push was rejected" in copy.push({}).stderr
    assert world.api.space_info(SPACE).sha == before


def test_front_matter_that_cannot_be_used_is_refused(world: World, tmp_path: Path) -> None:
    """The mistake is named; without front matter, or when it is as before, a push is taken."""
    world.create()
    before = world.push({})
    copy = clone(world, tmp_path)
    refused = copy.push({"README.md": b"---\nsdk: docker\ncolorFrom: teal\n---\n"})
    assert "remote: Sorry, your push was rejected during YAML metadata" in refused.stderr
    assert 'remote:  - Error: "colorFrom"' in refused.stderr
    assert world.api.space_info(SPACE).sha == before
    assert copy.push({"README.md": b"# Text alone\n"}).returncode == 0
    file = {"path": "README.md", "content": "---\nsdk: docker\ncolorFrom: teal\n---\n"}
    by_api = loopback.post(  # the client would look at the README first
        f"{world.hub.endpoint}/api/spaces/{SPACE}/commit/main",
        json={"summary": "bad", "files": [file]},
        headers={"Authorization": f"Bearer {WRITE}"},
    )
    assert copy.git("pull", "--quiet").returncode == 0
    assert copy.git("rev-parse", "HEAD").stdout.strip() == by_api.json()["commitOid"]
    assert copy.push({"other": b"1"}).returncode == 0


def test_any_name_and_any_ref_is_looked_at(world: World, tmp_path: Path) -> None:
    """Names with strange separators are no trouble, and a tag hides no binary file."""
    world.create()
    world.push({})
    copy = clone(world, tmp_path)
    names = {"a\u2028b\x0b c", " leading"}
    assert copy.push({name: name.encode() for name in names}).returncode == 0
    assert names <= set(world.api.list_repo_files(SPACE, repo_type="space"))
    (copy.tree / "binary").write_bytes(b"\0binary")
    oid = copy.git("hash-object", "-w", "binary").stdout.strip()
    copy.git("update-ref", "refs/tags/file", oid)
    refused = copy.git("push", "--quiet", "origin", "refs/tags/file")
    assert f"  - {oid} (ref: refs/tags/file)" in refused.stderr
    assert world.api.list_repo_refs(SPACE, repo_type="space").tags == []


def test_a_zipped_request_is_read(world: World) -> None:
    """Git zips what is long; what only claims to be zipped is refused."""
    world.create()
    head = world.push({})
    url = f"{world.hub.endpoint}/spaces/{SPACE}/git-upload-pack"
    options = {
        "auth": ("user", WRITE),
        "headers": {"Content-Encoding": "gzip", "Git-Protocol": "version=2"},
    }
    asked = b"0014command=ls-refs\n00010000"
    reply = loopback.post(url, content=gzip.compress(asked), **options)
    assert f"{head} refs/heads/main" in reply.text
    assert loopback.post(url, content=asked, **options).status_code == 400


def test_a_private_space_is_not_there_for_strangers(world: World, tmp_path: Path) -> None:
    """Without a token git is asked for one; a stranger's finds nothing."""
    world.create()
    world.push({})
    assert clone(world, tmp_path, None, name="nobody").cloned.returncode != 0
    assert "not found" in clone(world, tmp_path, OTHER, name="other").cloned.stderr
    asked = loopback.get(f"{world.hub.endpoint}/spaces/{SPACE}/info/refs?service=git-upload-pack")
    assert asked.status_code == 401
    assert asked.headers["www-authenticate"].startswith("Basic")


def test_a_read_token_clones_and_does_not_push(world: World, tmp_path: Path) -> None:
    """Reading is allowed, a push is a 403."""
    world.create()
    before = world.push({})
    copy = clone(world, tmp_path, READ)
    assert copy.cloned.returncode == 0
    refused = copy.push({"a": b"1"})
    assert refused.returncode != 0
    assert "403" in refused.stderr
    assert world.api.space_info(SPACE).sha == before


def test_only_branches_and_tags_are_pushed(world: World, tmp_path: Path) -> None:
    """A branch and a tag arrive; a ref of the Hub's own kind does not, and main stays."""
    world.create()
    world.push({})
    copy = clone(world, tmp_path)
    assert copy.git("push", "--quiet", "origin", "HEAD:refs/heads/other").returncode == 0
    assert copy.git("push", "--quiet", "origin", "HEAD:refs/tags/v1").returncode == 0
    assert copy.git("push", "--quiet", "origin", "HEAD:refs/pr/1").returncode != 0
    assert copy.git("push", "--quiet", "origin", ":refs/heads/main").returncode != 0
    refs = world.api.list_repo_refs(SPACE, repo_type="space")
    assert {branch.name for branch in refs.branches} == {"main", "other"}
    assert [tag.name for tag in refs.tags] == ["v1"]


def test_models_and_datasets_are_cloned_too(world: World, tmp_path: Path) -> None:
    """A model has no kind in its address, a dataset has."""
    for kind, page in (("model", ""), ("dataset", "datasets/")):
        world.api.create_repo("me/data", repo_type=kind, private=True)
        copy = Clone(tmp_path / kind, f"{world.hub.endpoint}/{page}me/data", WRITE)
        assert copy.cloned.returncode == 0, copy.cloned.stderr
        assert copy.push({"README.md": CARD}).returncode == 0


def test_a_shallow_clone(world: World, tmp_path: Path) -> None:
    """Git's newest protocol is spoken: one commit of several is fetched."""
    world.create()
    world.push({"a": b"1"})
    world.push({"a": b"2"})
    copy = clone(world, tmp_path)
    shallow = tmp_path / "shallow"
    url = f"{world.hub.endpoint}/spaces/{SPACE}"
    done = copy.git("clone", "--quiet", "--depth=1", url, str(shallow))
    assert done.returncode == 0, done.stderr
    assert copy.git("-C", str(shallow), "rev-list", "--count", "HEAD").stdout.strip() == "1"
