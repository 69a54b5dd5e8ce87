"""The check of a push, run by git as its hook: `python received.py KIND`, refs on standard input.

The Hub refuses a push whose commits, old ones of the same push included, hold files of more than
10 MiB or binary files that are not pointers to large files (Hub documentation, "Storage limits"),
or whose README has front matter that it cannot use. The words are the Hub's own, as people quote
them. Run outside the package, which takes too long to import.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_LARGEST = 10 * 1024 * 1024
_SAMPLE = 8000
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize \d+\n"
)
_LARGE_FILES = Path(os.environ.get("GIT_DIR", ".")).resolve().parent / "lfs"
"""Beside the git folder, as `repository` keeps them; git runs a hook with GIT_DIR set."""
_ABSENT = (
    "Your push was rejected because it names large files whose content was not sent.\n"
    "Send it first: git lfs push --all origin main"
)
_NONE = re.compile(r"0+")
_BRANCHES = "refs/heads/"
_README = "README.md"
_FRONT_MATTER = b"---"
_BAD_CARD = "Sorry, your push was rejected during YAML metadata verification:"
_CARD_HELP = "See https://huggingface.co/docs/hub/spaces-config-reference"
_MOST_NAMED = 10
_LARGE = (
    "Your push was rejected because it contains files larger than 10 MiB.\n"
    "Please use https://git-lfs.github.com/ to store large files.\n"
    "See also: https://hf.co/docs/hub/repositories-getting-started#terminal"
)
_BINARY = (
    "Your push was rejected because it contains binary files.\n"
    "Please use https://huggingface.co/docs/hub/xet to store binary files.\n"
    "See also: https://huggingface.co/docs/hub/xet/using-xet-storage#git"
)


def main() -> int:
    """0 when the push may go on; else what is wrong is on standard error."""
    refs = [tuple(line.split()) for line in sys.stdin if line.strip()]
    if bad := [name for _, _, name in refs if not name.startswith((_BRANCHES, "refs/tags/"))]:
        return _refuse_files("Only branches and tags can be pushed.", bad)
    changed = [(before, after, name) for before, after, name in refs if not _NONE.fullmatch(after)]
    names: dict[str, str] = {}
    for _, after, name in changed:
        names |= _objects(after, name)
    sizes = _sizes(list(names))
    if large := [names[oid] for oid, size in sizes.items() if size > _LARGEST]:
        return _refuse_files(_LARGE, large)
    small = dict(_blobs(list(sizes)))
    if binary := [names[oid] for oid, content in small.items() if b"\0" in content[:_SAMPLE]]:
        return _refuse_files(_BINARY, binary)
    if absent := [names[oid] for oid, content in small.items() if _is_absent(content)]:
        return _refuse_files(_ABSENT, absent)
    for before, after, name in changed:
        if name.startswith(_BRANCHES) and (errors := _card_errors(before, after)):
            listed = "".join(f"\n - Error: {error}" for error in errors)
            return _refuse(f"{_BAD_CARD}{listed}\n{_CARD_HELP}")
    return 0


def _objects(after: str, ref: str) -> dict[str, str]:
    """Ids of the objects that a ref brings, with what they are called in a refusal.

    A tag may name a file itself, which has no path then.
    """
    listed = _git("rev-list", "--objects", after, "--not", "--all").decode("utf-8", "replace")
    lines = (line.partition(" ") for line in listed.split("\n"))
    return {oid: f"{path or oid} (ref: {ref})" for oid, _, path in lines if oid}


def _card_errors(before: str, after: str) -> tuple[str, ...]:
    """What is wrong with the front matter of a README that the push changes."""
    readme = _readme(after)
    if readme is None or readme == _readme(before) or not readme.startswith(_FRONT_MATTER):
        return ()
    errors: tuple[str, ...]
    errors, _ = _card_module().check_card(
        readme.decode("utf-8", "replace"), space=sys.argv[1] == "spaces"
    )
    return errors


def _readme(commit: str) -> bytes | None:
    done = subprocess.run(
        ["git", "cat-file", "blob", f"{commit}:{_README}"], capture_output=True, check=False
    )
    return done.stdout if done.returncode == 0 else None


def _card_module() -> ModuleType:
    """`ops.hub.card`, without what importing its package brings."""
    path = Path(__file__).with_name("card.py")
    spec = importlib.util.spec_from_file_location("card", path)
    assert spec is not None  # noqa: S101 -- a file of Python has one, with a loader
    assert spec.loader is not None  # noqa: S101
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is_absent(content: bytes) -> bool:
    """Whether this is a pointer to a large file that was never sent."""
    pointer = _POINTER.fullmatch(content)
    if pointer is None:
        return False
    oid = pointer[1].decode()
    return not (_LARGE_FILES / oid[:2] / oid).is_file()


def _blobs(oids: list[str]) -> Iterator[tuple[str, bytes]]:
    """The beginning of each file, all read by one process."""
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    with tempfile.TemporaryFile() as questions:
        questions.write(asked)
        questions.seek(0)
        command = ["git", "cat-file", "--batch"]
        with subprocess.Popen(command, stdin=questions, stdout=subprocess.PIPE) as git:
            assert git.stdout is not None  # noqa: S101 -- a pipe
            for oid in oids:
                size = int(git.stdout.readline().split()[2])
                yield oid, git.stdout.read(size)[:_SAMPLE]
                git.stdout.read(1)


def _sizes(oids: list[str]) -> dict[str, int]:
    """Bytes of each object that is a file."""
    asked = "".join(f"{oid}\n" for oid in oids).encode()
    told = _git("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", stdin=asked)
    rows = (line.split() for line in told.decode().splitlines())
    return {oid: int(size) for oid, kind, size in rows if kind == "blob"}


def _git(*arguments: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(
        ["git", *arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout


def _refuse_files(why: str, names: list[str]) -> int:
    named = "".join(f"\n  - {name}" for name in sorted(names)[:_MOST_NAMED])
    rest = f"\n  and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return _refuse(f"{why}\n\nOffending files:{named}{rest}")


def _refuse(text: str) -> int:
    line = "-" * 73
    sys.stderr.write(f"{line}\n{text}\n{line}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
