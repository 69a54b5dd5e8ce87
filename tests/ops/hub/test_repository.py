from __future__ import annotations

import contextlib
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ops.hub.draft import Draft
from ops.hub.errors import HubError
from ops.hub.git_command import Git
from ops.hub.repository import Author, Delete, LargeFile, Repository, Write, WriteLarge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ME = Author("me")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """One with a single commit of a single file."""
    repository = Repository.create(tmp_path / "repo")
    repository.commit([Write("a.txt", b"one")], message="first\n", author=ME)
    return repository


def paths(repository: Repository, commit: str = "main", *, folder: str = "") -> list[str]:
    """Paths of all files at a revision."""
    tree = repository.tree(repository.resolve(commit), folder, recursive=True)
    return [entry.path for entry in tree if entry.kind == "file"]


def test_git_itself_finds_the_repository_sound(repository: Repository) -> None:
    """What is written passes git's own check and carries the content byte for byte."""
    odd = 'folder/with "quotes" and ü\\.bin'
    repository.commit([Write(odd, bytes(range(256)))], message="odd\n", author=ME)
    git_dir = str(repository.folder / "git")
    subprocess.run(["git", "--git-dir", git_dir, "fsck", "--strict"], check=True)
    entry = repository.entry(repository.resolve("main"), odd)
    assert repository.read(entry) == bytes(range(256))


def test_a_commit_is_all_or_nothing(repository: Repository) -> None:
    """One operation that is refused leaves the branch where it was."""
    before = repository.head()
    with pytest.raises(HubError) as caught:
        repository.commit(
            [Write("b.txt", b"two"), Write("../outside", b"three")], message="x\n", author=ME
        )
    assert caught.value.status == 400
    assert repository.head() == before


@pytest.mark.parametrize("path", ["/a", "a//b", "a/../b", ".git/config", "a/.GIT/x", "", "a\0b"])
def test_paths_that_leave_the_repository_are_refused(repository: Repository, path: str) -> None:
    """A path that is absolute, climbs, or lies in .git never reaches git."""
    with pytest.raises(HubError) as caught:
        repository.commit([Write(path, b"")], message="x\n", author=ME)
    assert caught.value.status == 400


def test_a_lost_race_is_refused(repository: Repository) -> None:
    """A commit on top of a parent that is no longer the newest is 412, and changes nothing."""
    first = repository.head()
    second = repository.commit([Write("b", b"")], message="b\n", author=ME, parent=first)
    with pytest.raises(HubError) as caught:
        repository.commit([Write("c", b"")], message="c\n", author=ME, parent=first)
    assert caught.value.status == 412
    assert repository.head() == second


def test_deleting_a_folder_takes_everything_in_it(repository: Repository) -> None:
    """Folders are deleted whole, neighbours with the same beginning stay."""
    files = [Write(path, b"x") for path in ("d/1", "d/e/2", "dd/3")]
    repository.commit(files, message="x\n", author=ME)
    repository.commit([Delete("d/")], message="y\n", author=ME)
    assert paths(repository) == ["a.txt", "dd/3"]


def test_a_folder_lists_only_what_it_holds(repository: Repository) -> None:
    """The tree of a folder has full paths and neither the folder itself nor its neighbours."""
    files = [Write(path, b"x") for path in ("d/1", "d/e/2", "dd/3")]
    repository.commit(files, message="x\n", author=ME)
    assert paths(repository, folder="d") == ["d/1", "d/e/2"]
    with pytest.raises(HubError) as caught:
        repository.tree(repository.resolve("main"), "no")
    assert caught.value.code == "EntryNotFound"


def test_tags_name_a_commit_for_good(repository: Repository) -> None:
    """An annotated tag resolves to its commit, keeps it when main moves, and is made once."""
    first = repository.resolve("main")
    repository.tag("v1", first, message="one", author=ME)
    repository.commit([Write("b", b"")], message="b\n", author=ME)
    assert repository.resolve("v1") == first
    assert [(r.full_name, r.commit) for r in repository.refs()][1:] == [("refs/tags/v1", first)]
    with pytest.raises(HubError) as caught:
        repository.tag("v1", first, message="again", author=ME)
    assert caught.value.status == 409


def test_what_git_could_not_do_is_not_taken_for_done(repository: Repository) -> None:
    """Only a name that is taken is a 409, which clients may ignore; others are the Hub's fault."""
    first = repository.resolve("main")
    repository.tag("v1", first, message="", author=ME)
    for folder in ("tags", "heads"):
        (repository.git_dir / "refs" / folder).rename(repository.git_dir / folder)
        (repository.git_dir / "refs" / folder).touch()
    for create in (
        lambda: repository.tag("v2", first, message="", author=ME),
        lambda: repository.create_branch("b", first, author=ME),
    ):
        with pytest.raises(HubError) as caught:
            create()
        assert caught.value.status == 500


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("nothing may be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_from_other_failures_of_git(small_disk: Path) -> None:
    """With a status that clients do not try again; what was there before is there still."""
    repository = Repository.create(small_disk / "repo")
    first = repository.commit([Write("a.txt", b"one")], message="first\n", author=ME)
    with (small_disk / "rest").open("wb", buffering=0) as rest, contextlib.suppress(OSError):
        while True:
            rest.write(bytes(1000))
    for create in (
        lambda: repository.tag("v1", first, message="", author=ME),
        lambda: repository.create_branch("b", first, author=ME),
        lambda: repository.commit([Write("b.txt", b"two")], message="second\n", author=ME),
    ):
        with pytest.raises(HubError) as caught:
            create()
        assert caught.value.status == 507
    assert [ref.full_name for ref in repository.refs()] == ["refs/heads/main"]
    assert repository.head() == first


@pytest.mark.parametrize(
    "revision",
    [
        "none",
        "0" * 40,
        "--all",
        "main~1",
        "main@{0}",
        "HEAD",
        ":/first",
        "x-gabcdef1",
        "../x",
        "",
        "a\0b",
    ],
)
def test_what_is_no_revision_is_said_so(repository: Repository, revision: str) -> None:
    """Only branches, tags and commit ids are revisions; git's own syntax is not let through."""
    repository.commit([Write("b", b"")], message="b\n", author=ME)
    with pytest.raises(HubError) as caught:
        repository.resolve(revision)
    assert caught.value.code == "RevisionNotFound"


def test_the_same_folder_gives_the_same_commit(tmp_path: Path) -> None:
    """A mirror's commit depends on the files alone; binary ones are kept outside git, whole."""
    source = tmp_path / "model"
    source.mkdir()
    (source / "config.json").write_text("{}")
    (source / "weights.bin").write_bytes(b"\0" * 3000)
    commits = []
    for name in ("one", "two"):
        repository = Repository.create(tmp_path / name)
        commits.append(repository.import_folder(source, message="m"))
    assert commits[0] == commits[1]
    entry = repository.entry(commits[1], "weights.bin")
    assert entry.size == 3000
    assert entry.large is not None
    assert repository.large_path(entry.large).read_bytes() == b"\0" * 3000
    repository.export(commits[1], tmp_path / "out")
    assert (tmp_path / "out" / "weights.bin").read_bytes() == b"\0" * 3000


def test_the_log_goes_back_from_the_newest(repository: Repository) -> None:
    """Title and description come apart, the newest commit first."""
    repository.commit([Write("b", b"")], message="second\n\nwhy\nso\n", author=ME)
    log = repository.log(repository.resolve("main"), limit=5)
    assert [(c.title, c.message, c.author) for c in log] == [
        ("second", "why\nso", "me"),
        ("first", "", "me"),
    ]


def test_a_push_in_between_is_not_lost(repository: Repository, tmp_path: Path) -> None:
    """Whoever pushes after a commit has looked and before it writes wins; the commit is a 412."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(repository.git_dir), str(clone)], check=True)
    push = (
        ["git", "-C", str(clone), "-c", "user.name=x", "-c", "user.email=x"],
        ["commit", "--quiet", "--allow-empty", "--message", "pushed"],
    )

    class Slow(Draft):
        def write_tree(self, base: str | None) -> str:
            subprocess.run([*push[0], *push[1]], check=True)
            subprocess.run([*push[0], "push", "--quiet"], check=True)
            return super().write_tree(base)

    with closing(Slow(repository._git, naming_large=True)) as draft:
        draft.add(Write("x", b"x"))
        with pytest.raises(HubError) as caught:
            repository.finish(draft, message="late\n", author=ME)
    assert caught.value.status == 412
    titles = [c.title for c in repository.log(repository.resolve("main"), limit=5)]
    assert titles == ["pushed", "first"]


def test_a_draft_that_is_given_up_leaves_nothing(repository: Repository) -> None:
    """No process, no file beside git's own, and the next commit is none the wiser."""
    before = {path.name for path in repository.git_dir.iterdir()}
    with closing(repository.draft()) as draft:
        for number in range(200):
            draft.add(Write(f"n/{number}", str(number).encode()))
    with pytest.raises(HubError):
        repository.commit([Write("a.txt/x", b"no folder")], message="x\n", author=ME)
    assert {path.name for path in repository.git_dir.iterdir()} == before
    assert not list(repository.git_dir.rglob("*tmp_*"))
    repository.commit([Write("b", b"")], message="b\n", author=ME)
    assert paths(repository) == ["a.txt", "b"]


def test_files_of_what_is_gone_are_not_found(repository: Repository) -> None:
    """Reading many ends as reading one does, whenever the process that reads them ends."""
    [entry] = repository.tree(repository.resolve("main"))
    repository.folder.rename(repository.folder.with_name("gone"))
    with Git(repository.git_dir).blobs() as read:
        for _ in range(500):  # the pipe to it breaks after a moment
            with pytest.raises(HubError) as caught:
                read(entry.oid)
            assert caught.value.code == "RepoNotFound"


def test_a_file_may_become_a_folder_and_back(repository: Repository) -> None:
    """In one commit, whichever of the two operations comes first."""
    replace = [Write("a.txt/x", b"1"), Delete("a.txt", "file")]
    repository.commit(replace, message="x\n", author=ME)
    assert paths(repository) == ["a.txt/x"]
    repository.commit([Delete("a.txt/"), Write("a.txt", b"2")], message="y\n", author=ME)
    assert paths(repository) == ["a.txt"]


def test_many_files_are_one_commit(repository: Repository) -> None:
    """More than git keeps one by one; the tree is sound."""
    files = [Write(f"n/{n % 7}/{n}", b"%d" % n) for n in range(300)]
    repository.commit(files, message="many\n", author=ME)
    assert len(paths(repository)) == 301
    git_dir = str(repository.git_dir)
    subprocess.run(["git", "--git-dir", git_dir, "fsck", "--strict"], check=True)


def test_another_repositorys_files_are_taken_over(repository: Repository, tmp_path: Path) -> None:
    """All of them, large ones included, as one commit without the other's history."""
    large = LargeFile("a" * 64, 3)
    repository.large_path(large).parent.mkdir(parents=True)
    repository.large_path(large).write_bytes(b"abc")
    repository.commit([WriteLarge("big", large)], message="big\n", author=ME)
    other = Repository.create(tmp_path / "other")
    commit = other.take_over(repository, message="copy\n", author=ME)
    assert paths(other) == [".gitattributes", "a.txt", "big"]
    assert [c.title for c in other.log(commit, limit=5)] == ["copy"]
    assert other.large_path(large).read_bytes() == b"abc"
