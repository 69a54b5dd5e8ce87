"""`ops render`: space.toml -> every file of the Space's repository.

The templates and the server's files lie beside this package, in a checkout of the project; a
template's output path is its own path without `.j2`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ops import files
from ops.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.config import Config, Space

_PROJECT = Path(__file__).resolve().parents[1]
_TEMPLATES = _PROJECT / "templates"
_SERVER_FILES = ("*.py", "*.html", "*.txt")
_NOT_OURS = (".git", ".gitattributes")
"""What a clone of a Space holds besides the rendered files; the Hub makes .gitattributes."""

Tree = dict[str, bytes]
"""A Space repository: path with forward slashes -> content."""


@dataclass(frozen=True)
class Difference:
    """How a folder differs from a tree; each a sorted list of paths."""

    missing: tuple[str, ...]
    changed: tuple[str, ...]
    extra: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed or self.extra)


class _FrontMatter(yaml.SafeDumper):
    """Quotes what is a number in YAML 1.2, which the Hub reads, but text in PyYAML's YAML 1.1."""


_FrontMatter.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$|0o[0-7]+$"),
    list("-+.0123456789"),
)


def render(config: Config, templates: Path = _TEMPLATES) -> Tree:
    """Render the whole Space: the same config gives the same bytes, sorted by path."""
    tree = dict(_server_files())
    environment = Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 -- no HTML; values are quoted by the filters below
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["dockerfile_word"] = _dockerfile_word
    environment.filters["toml_string"] = _toml_string
    context = {
        "space": config.space,
        "model": config.model,
        "server": config.server,
        "image": config.image,
        "front_matter": _front_matter(config),
    }
    for name in environment.list_templates(extensions=["j2"]):
        text = environment.get_template(name).render(context)
        tree[name.removesuffix(".j2")] = text.encode()
    return dict(sorted(tree.items()))


def write(tree: Mapping[str, bytes], folder: Path, *, dry_run: bool = False) -> tuple[str, ...]:
    """Write a tree to a folder; returns the paths that were new or changed, or would be.

    Files of a server version before this one are removed from `space_app/`; nothing else is.

    Raises:
        ConfigError: the folder holds something that is not a rendered Space.
    """
    if folder.exists() and not _may_hold_a_space(folder):
        raise ConfigError(
            f"{folder} is not empty and holds no rendered Space.",
            next_step="Name an empty or a new folder with --out.",
        )
    difference = compare(tree, folder)
    written = tuple(sorted((*difference.missing, *difference.changed)))
    if dry_run:
        return written
    for path in written:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write(target, tree[path], durable=False)
    for path in difference.extra:
        if path.startswith("space_app/"):
            (folder / path).unlink()
    return written


def compare(tree: Mapping[str, bytes], folder: Path) -> Difference:
    """How a folder differs from a tree; a folder that is not there misses everything."""
    on_disk = {path: folder / path for path in _paths_in(folder)}
    return Difference(
        missing=tuple(sorted(tree.keys() - on_disk.keys())),
        changed=tuple(
            sorted(p for p in tree.keys() & on_disk.keys() if not _holds(on_disk[p], tree[p]))
        ),
        extra=tuple(sorted(on_disk.keys() - tree.keys())),
    )


def _holds(path: Path, content: bytes) -> bool:
    return path.stat().st_size == len(content) and path.read_bytes() == content


def blob_ids(tree: Mapping[str, bytes]) -> dict[str, str]:
    """Git's id of each file's content, which the Hub's tree lists too."""
    return {
        path: hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        for path, content in tree.items()
    }


def _server_files() -> Iterator[tuple[str, bytes]]:
    for pattern in _SERVER_FILES:
        for path in (_PROJECT / "space_app").rglob(pattern):
            yield path.relative_to(_PROJECT).as_posix(), path.read_bytes()


def _may_hold_a_space(folder: Path) -> bool:
    return (folder / "model.toml").is_file() or not any(_paths_in(folder))


def _paths_in(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if (
            path.is_file()
            and relative.parts[0] not in _NOT_OURS
            and "__pycache__" not in path.parts
        ):
            yield relative.as_posix()


def _front_matter(config: Config) -> str:
    """YAML of the README's head: every key of the Spaces reference that a Docker Space has.

    `python_version`, `sdk_version`, `app_file` and `app_build_command` belong to other SDKs;
    `suggested_storage` is ignored by the Hub now.
    """
    space = config.space
    always: dict[str, Any] = {
        "title": space.title,
        "emoji": space.emoji,
        "colorFrom": space.color_from,
        "colorTo": space.color_to,
        "sdk": "docker",
        "app_port": space.app_port,
        "pinned": space.pinned,
        "license": space.license,
        "short_description": space.short_description,
        "suggested_hardware": space.hardware,
        "fullWidth": space.full_width,
        "header": space.header,
        "models": list(space.models if space.models is not None else (config.model.id,)),
        "tags": list(space.tags),
    }
    front_matter: str = yaml.dump(
        always | _chosen(space),
        Dumper=_FrontMatter,
        sort_keys=False,
        allow_unicode=True,
        width=10_000,
    )
    return front_matter


def _chosen(space: Space) -> dict[str, Any]:
    """The keys that are only there when they were set."""
    optional = {
        "base_path": space.base_path,
        "datasets": list(space.datasets),
        "thumbnail": space.thumbnail,
        "disable_embedding": space.disable_embedding,
        "startup_duration_timeout": space.startup_duration_timeout,
        "custom_headers": dict(space.custom_headers),
        "preload_from_hub": list(space.preload_from_hub),
        "hf_oauth": space.hf_oauth,
        "hf_oauth_scopes": list(space.hf_oauth_scopes),
        "hf_oauth_expiration_minutes": space.hf_oauth_expiration_minutes,
        "hf_oauth_authorized_org": list(space.hf_oauth_authorized_org),
    }
    return {key: value for key, value in optional.items() if value}


def _dockerfile_word(value: str) -> str:
    """One word of an ARG or ENV instruction, with nothing for Docker to expand."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _toml_string(value: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's (TOML v1.0.0, String)."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
