"""A Space's repository by git: one commit pushed to it, or a working copy of it.

git's exit code does not tell why it could not reach the Hub, and its words are for people. So after
a failure the Hub is asked what main is now, and what it says to whoever wants to fetch or push.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ops.adapters.git_index import given_to_lfs, has_lfs, stage
from ops.adapters.git_process import GitProcess
from ops.adapters.hf_hub import GIT_USER, Hub
from ops.adapters.retries import NoAnswer, Retries
from ops.errors import ConfigError, Conflict, OpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ops.adapters.git_process import Done

_MAIN = "refs/heads/main"
_FETCH, _PUSH = "git-upload-pack", "git-receive-pack"
_LOOK_BACK = 100
"""Commits among which ours is looked for when others have come after it."""
_REFUSED = "!"
"""How `git push --porcelain` begins the line of a ref that was not taken (git-push(1), OUTPUT)."""
_REMOTE = "remote: "


@dataclass(frozen=True)
class WorkingCopy:
    """What was cloned. `pointers` are large files without their content, for want of git-lfs."""

    commit: str
    tags: tuple[str, ...]
    pointers: tuple[str, ...]


def address(hub_endpoint: str, repo_id: str) -> str:
    """Where a Space's repository is for git; there is no token in it."""
    return f"{hub_endpoint.rstrip('/')}/spaces/{repo_id}"


def commit(  # noqa: PLR0913 -- as Hub.commit, and whom to ask
    hub_endpoint: str,
    token: str | None,
    repo_id: str,
    *,
    add: Mapping[str, bytes],
    delete: Sequence[str],
    title: str,
    description: str,
    parent: str,
    author: tuple[str, str] | None = None,
    retries: Retries | None = None,
) -> str:
    """One commit on top of `parent`, pushed to main without force; returns its id.

    `author` is a name and a mail address, by default the token's owner.

    Raises:
        Conflict: main is no longer `parent`; nothing was written.
        NotAllowed: the token may not push there.
        HubUnreachable: nobody answers.
        ConfigError: a file needs git-lfs, which is not installed; nothing was written.
        OpsError: the Hub refused what was pushed, and says why.
    """
    hub = Hub(hub_endpoint, token, retries=retries)
    with _remote(hub, repo_id, retries, _signed(author or _owner(hub))) as remote:
        git = remote.git
        git.run("init", "--quiet", "--bare")
        remote.require_main(parent)
        large = stage(git, parent, add, delete)
        tree = git.run("write-tree").strip()
        message = f"{title}\n\n{description}\n".encode()
        made = git.run("commit-tree", tree, "-p", parent, stdin=message).strip()
        if large:
            remote.ask("lfs", "push", "--object-id", remote.url, *large, service=_PUSH)
        return remote.push(made, parent)


def clone(
    hub_endpoint: str,
    token: str | None,
    repo_id: str,
    folder: Path,
    *,
    retries: Retries | None = None,
) -> WorkingCopy:
    """A working copy with all of the history, in a folder that is empty or not there.

    When this fails, nothing is left in it.

    Raises:
        NotAllowed, HubUnreachable: as for `commit`.
        ConfigError: the folder cannot be written.
    """
    hub = Hub(hub_endpoint, token, retries=retries)
    with _folder_made(folder) as part, _remote(hub, repo_id, retries) as remote:
        remote.ask("clone", "--quiet", remote.url, str(part), service=_FETCH)
        git = partial(remote.git.run, at=part)
        large = given_to_lfs(remote.git, git("ls-files", "-z").split("\0")[:-1], at=part)
        if has_lfs():
            git("lfs", "install", "--local")
            remote.ask("lfs", "pull", service=_FETCH, at=part)
        return WorkingCopy(
            commit=git("rev-parse", "HEAD").strip(),
            tags=tuple(git("tag", "--sort=version:refname").split()),
            pointers=() if has_lfs() else tuple(sorted(large)),
        )


@dataclass(frozen=True)
class _Remote:
    """A Space's repository, and the git that speaks with it."""

    hub: Hub
    repo_id: str
    url: str
    git: GitProcess
    retries: Retries

    def ask(self, *arguments: str, service: str, at: Path | None = None) -> str:
        """What a command writes that needs the Hub, and may be done any number of times."""

        def asked() -> str:
            done = self.git.attempt(*arguments, at=at, online=True)
            if done.status != 0:
                raise self._gave_up(arguments[0], done, service)
            return done.out

        return self._tried(partial(self.retries.read, asked))

    def require_main(self, parent: str) -> None:
        """Fetch main's newest commit, without its history; raises Conflict unless it is `parent`.

        Without it, git could not push over a main that was set back meanwhile either.
        """
        newest = self._fetched(depth=1)
        if newest != parent:
            raise self._conflict(newest, parent)

    def push(self, made: str, parent: str) -> str:
        """Move main from `parent` to `made`; returns `made`.

        However often: a commit's name is of its content, so nothing can be done twice.
        """

        def landed() -> str | None:
            return made if self._has(made, parent) else None

        def pushed() -> str:
            # git-lfs has installed a hook by itself, which would send large files once more.
            push = ("push", "--porcelain", "--no-verify", self.url, f"{made}:{_MAIN}")
            done = self.git.attempt(*push, online=True)
            if done.status == 0 or landed():
                return made
            if any(line.startswith(_REFUSED) for line in done.out.splitlines()):
                raise self._refused(done)
            raise self._gave_up("push", done, _PUSH)

        return self._tried(partial(self.retries.write, pushed, landed))

    def _has(self, made: str, parent: str) -> bool:
        """Whether main has got our commit; raises Conflict when it has got another one instead."""
        newest = self.ask("ls-remote", self.url, _MAIN, service=_FETCH).partition("\t")[0]
        if newest in (made, parent):
            return newest == made
        newest = self._fetched(depth=_LOOK_BACK)
        if self.git.attempt("merge-base", "--is-ancestor", made, newest).status == 0:
            return True
        raise self._conflict(newest, parent)

    def _fetched(self, *, depth: int) -> str:
        """Main's newest commit, once it is here."""
        options = ("--quiet", "--no-tags", f"--depth={depth}")
        self.ask("fetch", *options, self.url, _MAIN, service=_FETCH)
        return self.git.run("rev-parse", "FETCH_HEAD").strip()

    def _tried(self, do: Callable[[], str]) -> str:
        try:
            return do()
        except _GaveUp as error:
            raise OpsError(
                f"git {error.command} failed for {self.repo_id}, again and again.",
                cause=f"{self.hub.endpoint} answers, but not what git asks for.",
                next_step="What git said is above; try again later.",
                log_tail=error.done.tail,
            ) from error

    def _gave_up(self, command: str, done: Done, service: str) -> _GaveUp:
        """A failure that the Hub has no word for; raises what it says when it has."""
        self.hub.require_git(self.repo_id, service)
        return _GaveUp(command, done)

    def _conflict(self, newest: str, parent: str) -> Conflict:
        return Conflict(
            f"Could not push to {self.repo_id}: main is at {newest[:8]}, not at {parent[:8]}.",
            cause="Somebody else pushed to the Space meanwhile; nothing was written.",
            next_step="Look at their change with `ops plan`, then deploy again.",
        )

    def _refused(self, done: Done) -> OpsError:
        """With the Hub's own words, which git passes on."""
        lines = (line for line in done.err.splitlines() if line.startswith(_REMOTE))
        words = [word for line in lines if (word := line.removeprefix(_REMOTE).strip(" -"))]
        return OpsError(
            f"The Hub refused the push to {self.repo_id}; nothing was written.",
            cause=" ".join(words) or "The Hub does not say why; what git says is above.",
            next_step="Change what it names, then run the command again.",
            log_tail=() if words else done.tail,
        )


class _GaveUp(NoAnswer):
    """A command that failed though the Hub answers."""

    def __init__(self, command: str, done: Done):
        super().__init__(f"git {command} failed")
        self.command = command
        self.done = done


@contextmanager
def _remote(
    hub: Hub, repo_id: str, retries: Retries | None, variables: Mapping[str, str] | None = None
) -> Iterator[_Remote]:
    """The repository, and a private folder for git as long as it is used.

    The Hub redirects an old name to a new one, and git follows no redirect: so it is asked first.
    """
    space = hub.space(repo_id)
    url = address(hub.endpoint, space.repo_id if space is not None else repo_id)
    # Else a repository's own .lfsconfig could have git-lfs show the token to another host.
    config = {"lfs.url": f"{url}.git/info/lfs"}
    with TemporaryDirectory(prefix="ops-git-") as home:
        origin = urlsplit(hub.endpoint)._replace(path="", query="", fragment="").geturl()
        git = GitProcess(Path(home), GIT_USER, hub.token, origin, config, variables or {})
        yield _Remote(hub, repo_id, url, git, retries or Retries())


@contextmanager
def _folder_made(folder: Path) -> Iterator[Path]:
    """A path to make a folder at, which is `folder` at the end of this."""
    with _writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        around = TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-")
    with around as name:
        part = Path(name).resolve() / folder.name
        yield part
        with _writing(folder):
            part.rename(folder)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written: {error.strerror}.", next_step="Name another folder."
        ) from error


def _owner(hub: Hub) -> tuple[str, str]:
    """Who the token belongs to, as the Hub writes them into commits of its own."""
    name = hub.account().name
    return name, f"{name}@users.noreply.huggingface.co"


def _signed(author: tuple[str, str]) -> dict[str, str]:
    name, mail = author
    return {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", name), ("EMAIL", mail))
    }
