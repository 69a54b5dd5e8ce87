from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import loopback
import pytest
from git_user import git_environment
from hub_world import OTHER, READ, SPACE, WRITE
from huggingface_hub import hf_hub_download

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2
    from hub_world import World

CONTENT = b"\0large\0" * 100
LARGE = {"oid": hashlib.sha256(CONTENT).hexdigest(), "size": len(CONTENT)}
UPLOAD = """\
import sys
from huggingface_hub import HfApi
HfApi(endpoint=sys.argv[1]).upload_folder(
    repo_id=sys.argv[2], repo_type="space", folder_path=sys.argv[3]
)
"""


def batch(
    world: World, operation: str, *objects: Any, token: str | None = WRITE
) -> httpx2.Response:
    """Ask where files are to be sent, or had from."""
    return loopback.post(
        f"{world.hub.endpoint}/spaces/{SPACE}.git/info/lfs/objects/batch",
        json={"operation": operation, "objects": list(objects), "hash_algo": "sha256"},
        auth=("user", token) if token else None,
    )


def stored(world: World) -> list[str]:
    """The large files that the Space has, half received ones included."""
    folder = world.hub.data / "spaces" / "me" / "app" / "lfs"
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_the_real_client_uploads_and_downloads(world: World, tmp_path: Path) -> None:
    """A folder with a binary file and one of more than 10 MiB goes up and comes back."""
    world.create()
    folder = tmp_path / "folder"
    folder.mkdir()
    big = os.urandom(11 * 1024 * 1024)
    (folder / "big.bin").write_bytes(big)
    (folder / "small.png").write_bytes(CONTENT)
    environment = {
        "PATH": os.environ["PATH"],
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": WRITE,
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [sys.executable, "-c", UPLOAD, world.hub.endpoint, SPACE, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    options = {"repo_type": "space", "endpoint": world.hub.endpoint, "token": WRITE}
    for name, content in (("big.bin", big), ("small.png", CONTENT)):
        path = hf_hub_download(SPACE, name, local_dir=tmp_path / "back", **options)
        with open(path, "rb") as file:  # noqa: PTH123 -- a string, as the client has it
            assert file.read() == content


def test_what_is_there_is_not_sent_again(world: World) -> None:
    """A file has no action once it arrived, and can be had from then on, also in part."""
    world.create()
    actions = batch(world, "upload", LARGE).json()["objects"][0]["actions"]
    assert loopback.put(actions["upload"]["href"], content=CONTENT).status_code == 200
    assert loopback.post(actions["verify"]["href"], json=LARGE).status_code == 200
    assert "actions" not in batch(world, "upload", LARGE).json()["objects"][0]
    href = batch(world, "download", LARGE).json()["objects"][0]["actions"]["download"]["href"]
    assert loopback.get(href).content == CONTENT
    assert loopback.get(href, headers={"Range": "bytes=1-5"}).content == CONTENT[1:6]


@pytest.mark.parametrize(
    ("sent", "status"),
    [(CONTENT[:-1], 422), (CONTENT + b"x", 400), (CONTENT[:-1] + b"x", 422)],
    ids=["too short", "too long", "another"],
)
def test_what_is_not_as_announced_is_not_kept(world: World, sent: bytes, status: int) -> None:
    """Size and sha256 decide; nothing half received stays."""
    world.create()
    href = batch(world, "upload", LARGE).json()["objects"][0]["actions"]["upload"]["href"]
    assert loopback.put(href, content=sent).status_code == status
    assert stored(world) == []
    assert "error" in batch(world, "download", LARGE).json()["objects"][0]


def test_an_address_is_for_one_file_and_one_purpose(world: World) -> None:
    """Whoever changes anything in it is refused."""
    world.create()
    href = batch(world, "upload", LARGE).json()["objects"][0]["actions"]["upload"]["href"]
    other = hashlib.sha256(b"other").hexdigest()
    for changed in (
        href.replace(LARGE["oid"], other),
        href.replace("/me/app/", "/me/other/"),
        href.replace(f"/{LARGE['size']}/", "/5/"),
        href[:-1] + ("0" if href[-1] != "0" else "1"),
    ):
        assert loopback.put(changed, content=CONTENT).status_code == 403
    assert loopback.get(href.replace("/upload/", "/download/")).status_code == 403
    assert stored(world) == []


@pytest.mark.parametrize(
    "entry",
    [
        {"oid": "../../../../etc/passwd", "size": 1},
        {"oid": "a" * 63, "size": 1},
        {"oid": "A" * 64, "size": 1},
        {"oid": "a" * 64, "size": -1},
        {"oid": "a" * 64, "size": "1"},
        {"oid": "a" * 64, "size": 2**63},
        {"size": 1},
        "a" * 64,
    ],
)
def test_what_names_no_file_is_refused(world: World, entry: Any) -> None:
    """An id is 64 hexadecimal digits, so it can name no path; a size is one that can be."""
    world.create()
    assert batch(world, "upload", entry).status_code == 400
    assert stored(world) == []


@pytest.mark.parametrize(("token", "status"), [(None, 401), (OTHER, 404), (READ, 403)])
def test_who_may_not_write_gets_no_address(world: World, token: str | None, status: int) -> None:
    """The same as for a push."""
    world.create()
    assert batch(world, "upload", LARGE, token=token).status_code == status


def test_git_lfs_pushes_and_clones(world: World, tmp_path: Path) -> None:
    """The real git-lfs sends a large file and another clone gets its content."""
    if shutil.which("git-lfs") is None:
        if os.environ.get("REQUIRE_GIT_LFS") == "1":
            pytest.fail("REQUIRE_GIT_LFS=1, but there is no git-lfs")
        pytest.skip("needs git-lfs")
    world.create()
    world.push({})
    git = Git(tmp_path)
    url = f"{world.hub.endpoint}/spaces/{SPACE}"
    git("clone", "--quiet", url, "one")
    content = os.urandom(12 * 1024 * 1024)
    (tmp_path / "one" / "model.bin").write_bytes(content)
    git("-C", "one", "add", "model.bin")
    git("-C", "one", "commit", "--quiet", "--message", "large")
    git("-C", "one", "push", "--quiet")
    git("clone", "--quiet", url, "two")
    assert (tmp_path / "two" / "model.bin").read_bytes() == content


def test_a_pointer_to_nothing_is_refused(world: World, tmp_path: Path) -> None:
    """A push that names a large file which was never sent is told so."""
    world.create()
    before = world.push({})
    git = Git(tmp_path)
    git(
        "-c",
        "filter.lfs.smudge=",
        "clone",
        "--quiet",
        f"{world.hub.endpoint}/spaces/{SPACE}",
        "one",
    )
    (tmp_path / "one" / "pointer").write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 5\n"
    )
    git("-C", "one", "add", "pointer")
    git("-C", "one", "commit", "--quiet", "--message", "pointer")
    refused = git("-C", "one", "push", "--quiet", check=False)
    assert refused.returncode != 0
    assert "large files whose content was not sent" in refused.stderr
    assert world.api.space_info(SPACE).sha == before


class Git:
    """git of somebody with a token and git-lfs set up."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._environment = git_environment(folder, WRITE)
        if shutil.which("git-lfs") is not None:
            self("lfs", "install", "--skip-repo")

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done
