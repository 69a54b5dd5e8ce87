from __future__ import annotations

import hashlib
import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ops.errors import ConfigError, OpsError
from ops.hub.errors import HubError
from ops.hub.lfs import Arriving
from ops.hub.repository import Author, LargeFile, Write
from ops.hub.store import Settings, Store

if TYPE_CHECKING:
    from pathlib import Path

    from ops.hub.store import Repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A model of a Hub that has ended."""
    return Store(tmp_path).create("models", "me", "model", Settings(), [Write("a", b"x")])


def test_what_a_killed_hub_left_is_cleaned_up(tmp_path: Path, repo: Repo) -> None:
    """Half-made repositories, locks of git, drafts; what was acknowledged is there and writable."""
    git_dir = repo.git.git_dir
    left = [
        tmp_path / ".new" / "abc" / "git" / "HEAD",
        tmp_path / ".gone" / "abc" / "settings.json",
        git_dir / "refs" / "heads" / "main.lock",
        git_dir / "packed-refs.lock",
        git_dir / "draft-1.index",
        git_dir / "draft-1.index.lock",
        git_dir / "objects" / "pack" / "tmp_pack_1",
        git_dir / "objects" / "tmp_objdir-incoming-1" / "pack" / "x",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = Store(tmp_path).find("models", "me", "model")
    assert [path for path in left if path.exists()] == []
    found.git.commit([Write("b", b"y")], message="after\n", author=Author("me"))
    assert found.git.text(found.git.resolve("main"), "a") == "x"


def test_a_repository_that_cannot_be_made_is_not_there(tmp_path: Path) -> None:
    """Whatever fails while it is made, nobody ever sees half of it."""
    store = Store(tmp_path)
    with pytest.raises(HubError):
        store.create("models", "me", "model", Settings(), [Write("../x", b"x")])
    assert store.all("models") == []
    assert list((tmp_path / ".new").iterdir()) == []
    store.create("models", "me", "model", Settings())


@pytest.mark.usefixtures("repo")
@pytest.mark.parametrize("name", ["MODEL", "model", "Model"])
def test_names_that_differ_in_case_are_the_same(tmp_path: Path, name: str) -> None:
    """A second repository of that name is refused, and told which one there is."""
    store = Store(tmp_path)
    with pytest.raises(HubError) as caught:
        store.create("models", "me", name, Settings())
    assert (caught.value.status, caught.value.extra) == (409, {"id": "me/model"})
    store.create("datasets", "me", name, Settings())
    other = store.create("models", "you", name, Settings())
    with pytest.raises(HubError):
        store.move(other, "me", name)
    assert store.find("models", "you", name).git.head()


@pytest.mark.usefixtures("repo")
def test_a_moved_repository_is_known_by_its_former_names(tmp_path: Path) -> None:
    """Also after a restart and a second move; until another one has the name."""
    store = Store(tmp_path)
    store.move(store.find("models", "me", "model"), "team", "second")
    store = Store(tmp_path)
    store.move(store.find("models", "team", "second"), "team", "Second")
    store = Store(tmp_path)
    for owner, name in (("me", "model"), ("team", "second")):
        found = store.moved("models", owner, name)
        assert found is not None
        assert found.id == "team/Second"
        with pytest.raises(HubError):
            store.find("models", owner, name)
    assert store.moved("datasets", "me", "model") is None
    store.create("models", "me", "model", Settings())
    assert store.moved("models", "me", "model") is None
    store.delete(store.find("models", "team", "Second"))
    assert store.moved("models", "team", "second") is None


@pytest.mark.parametrize(
    "content", [json.dumps({"secrets": {"S": "hidden"}}).encode(), b"{hidden", b"hidden \xff"]
)
def test_damaged_settings_are_said_so_without_their_values(
    tmp_path: Path, repo: Repo, content: bytes
) -> None:
    """The message names the repository, and shows nothing of what the file holds."""
    store = Store(tmp_path)
    (repo.git.folder / "settings.json").write_bytes(content)
    with pytest.raises(HubError, match="me/model") as caught:
        store.settings(repo)
    assert "hidden" not in str(caught.value)


def test_damaged_settings_end_a_start_with_what_to_do(tmp_path: Path, repo: Repo) -> None:
    """A Hub that is started names the file, and the repository that it cannot serve."""
    (repo.git.folder / "settings.json").write_bytes(b"{")
    with pytest.raises(ConfigError, match="me/model") as caught:
        Store(tmp_path)
    assert str(repo.git.folder / "settings.json") in str(caught.value.cause)
    assert str(repo.git.folder) in str(caught.value.next_step)


def test_a_mirror_takes_the_place_of_a_mirror_alone(tmp_path: Path, repo: Repo) -> None:
    """A model that somebody uploaded is not thrown away for a folder of the same name."""
    source = tmp_path / "source"
    source.mkdir()
    store = Store(tmp_path)
    for content in ("one", "two"):
        (source / "file").write_text(content)
        found = store.mirror("org/model", source)
        assert found.git.text(found.git.resolve("main"), "file") == content
    with pytest.raises(OpsError, match="me/model"):
        store.mirror("me/model", source)
    assert repo.git.text(repo.git.resolve("main"), "a") == "x"


@pytest.mark.parametrize("goes", ["deleted", "moved"])
def test_a_name_is_free_whatever_git_still_wrote_there(
    tmp_path: Path, repo: Repo, goes: str
) -> None:
    """A commit under way finds no repository any more, and leaves nothing that is in the way."""
    store = Store(tmp_path)
    with closing(repo.git.draft()) as draft:
        for number in range(300):  # so many that git writes a pack
            draft.add(Write(f"n/{number}", str(number).encode()))
        if goes == "deleted":
            store.delete(repo)
        else:
            store.move(repo, "me", "other")
        with pytest.raises(HubError) as caught:
            repo.git.finish(draft, message="late\n", author=Author("me"))
    assert caught.value.code == "RepoNotFound"
    (repo.git.git_dir / "objects").mkdir(parents=True, exist_ok=True)  # whichever git it is
    second = store.create("models", "me", "model", Settings(), [Write("b", b"x")])
    assert [e.path for e in second.git.tree(second.git.resolve("main"))] == [".gitattributes", "b"]
    store.delete(second)
    if goes == "moved":
        store.move(store.find("models", "me", "other"), "me", "model")


def test_what_is_gone_is_not_found(tmp_path: Path, repo: Repo) -> None:
    """Whatever is asked of a repository that somebody else has deleted; nothing comes back."""
    store = Store(tmp_path)
    commit = repo.git.resolve("main")
    large = LargeFile("0" * 64, 1)
    whole = LargeFile(hashlib.sha256(b"x").hexdigest(), 1)
    arriving = Arriving(repo.git.large_path(whole), whole)
    arriving.write(b"x")
    store.delete(repo)
    for ask in (
        lambda: store.settings(repo),
        lambda: store.delete(repo),
        lambda: repo.git.tree(commit),
        repo.git.refs,
        lambda: repo.git.resolve("main"),
        lambda: repo.git.tag("v1", commit, message="", author=Author("me")),
        lambda: Arriving(repo.git.large_path(large), large),
        arriving.keep,
    ):
        with pytest.raises(HubError) as caught:
            ask()
        assert caught.value.code == "RepoNotFound"
    arriving.close()
    assert not repo.git.folder.exists()


@pytest.mark.usefixtures("repo")
def test_whoever_works_on_one_that_is_gone_is_not_led_to_the_next(tmp_path: Path) -> None:
    """Another repository of the same name is another one: it has nothing of what was asked for."""
    store = Store(tmp_path)
    before = store.find("models", "me", "model")
    commit = before.git.resolve("main")
    store.delete(before)
    store.create("models", "me", "model", Settings())
    with pytest.raises(HubError) as caught:
        before.git.tree(commit)
    assert caught.value.code == "RepoNotFound"
    with pytest.raises(HubError) as caught:
        store.duplicate(before, "me", "copy", Settings())
    assert caught.value.code == "RepoNotFound"
