"""What the runners need to know of a Dockerfile; no more of its language than that."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ops.bounded_read import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


_SECRET_MOUNT = re.compile(r"--mount=(?:[^=]+=[^=]*,)*type=secret(?:,|$)")


@dataclass(frozen=True)
class Dockerfile:
    """The images it starts from, its ARGs, the ENV of what it makes, and whether it wants secrets.

    Images named by a variable are left out, and variables inside ENV values are left as they are.
    """

    base_images: tuple[str, ...] = ()
    arguments: frozenset[str] = frozenset()
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts_secrets: bool = False

    def declared(self, build_args: Mapping[str, str]) -> dict[str, str]:
        """Those build arguments that it has an ARG for, by name."""
        return {name: build_args[name] for name in sorted(self.arguments & build_args.keys())}


def read_dockerfile(path: Path) -> Dockerfile:
    """Read one; a file that is not there or makes no sense reads as an empty one."""
    images: list[str] = []
    stages: set[str] = set()
    arguments: set[str] = set()
    environment: dict[str, str] = {}
    mounts_secrets = False
    for keyword, words in _instructions(path):
        if keyword == "FROM" and words:
            environment = {}  # each stage begins with its image's
            image, name = _stage(words)
            if (
                image.lower() not in stages | {"scratch"}
                and "$" not in image
                and image not in images
            ):
                images.append(image)
            stages.add(name)
        elif keyword == "ARG":
            arguments.update(word.partition("=")[0] for word in words)
        elif keyword == "ENV":
            environment.update(_assignments(words))
        elif keyword == "RUN":
            mounts_secrets |= any(_SECRET_MOUNT.match(word) for word in words)
    return Dockerfile(tuple(images), frozenset(arguments), environment, mounts_secrets)


def _instructions(path: Path) -> Iterator[tuple[str, list[str]]]:
    try:
        text = read_file(path).decode(errors="replace")
    except FileNotFoundError:
        return
    kept = [line for line in text.splitlines() if line.strip() and not re.match(r"\s*#", line)]
    for line in re.sub(r"\\[ \t]*\n", " ", "\n".join(kept)).splitlines():
        keyword, _, rest = line.strip().partition(" ")
        if keyword.upper() in ("FROM", "ARG", "ENV", "RUN"):
            yield keyword.upper(), _words(rest)


def _words(text: str) -> list[str]:
    try:
        return [word.replace("\\$", "$") for word in shlex.split(text)]
    except ValueError:  # an open quote: the builder will refuse it, and say so better
        return text.split()


def _stage(words: list[str]) -> tuple[str, str]:
    """The image and the stage's name of `[--platform=…] IMAGE [AS NAME]`."""
    words = [word for word in words if not word.startswith("--")]
    image, _, name = [*words, "", "", ""][:3]
    return image, name.lower()


def _assignments(words: list[str]) -> dict[str, str]:
    """`A=1 B=2`, or the old form `A 1`."""
    if words and "=" not in words[0]:
        return {words[0]: " ".join(words[1:])}
    return {name: value for name, _, value in (word.partition("=") for word in words)}
