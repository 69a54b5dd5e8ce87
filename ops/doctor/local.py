"""Checks of what is on this machine: config, secrets, the files to be pushed, tools."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ops.app_keys import app_keys, first_key
from ops.config import API_KEYS, Config
from ops.doctor.context import attempt, known
from ops.doctor.finding import Finding, Unknown, failure, from_error, ok, warning
from ops.errors import Exit, OpsError
from ops.redaction import SHORT
from ops.secret_scan import published

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ops.config import SecretSource
    from ops.doctor.context import Context

_NONE = 'If it is none, name its file or variable in [space]: not_secret = ["variables.NAME"].'
_SHOWN = 5
"""Places named in one line; more are counted."""

_LARGE = 10 * 1024 * 1024
"""From here git on the Hub wants LFS: "contains files larger than 10 MiB"."""

_BUILD_BYTES = 5_000_000_000
"""Of an image with its builder stage, whose PyTorch alone takes 1 GB."""

_DOCKER_FOLDER = Path("/var/lib/docker")
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)((?:\s+--hash=sha256:[0-9a-f]{64})*)")
_WITHOUT_HASHES = "requirements-torch.txt"
"""PyTorch's CPU build is on an index of its own, whose file is not known here."""


def config(context: Context) -> Finding:
    """space.toml and each of its environments are valid."""
    if isinstance(context.config, OpsError):
        return from_error("config", context.config)
    space = context.config.space
    return ok("config", f"{space.repo_id}: {space.visibility}, {space.hardware}")


def secrets(context: Context) -> Finding:
    """Every secret has a value where space.toml says, and one that the app starts with.

    None is asked for or shown.
    """
    sources = known(context.config).secrets
    reader = context.secrets
    if reader is None:
        raise Unknown("secrets are not read here")

    def error(name: str, source: SecretSource) -> OpsError | None:
        if source.prompt and reader.ask is not None:
            return None
        value = attempt(lambda: first_key(reader.read({name: source})))
        return value if isinstance(value, OpsError) else None

    missing = [found for entry in sources.items() if (found := error(*entry)) is not None]
    if missing:
        causes = " ".join(f"{error.message} {error.cause}" for error in missing)
        return failure("secrets", causes, missing[0].next_step or "", Exit.USAGE)
    values = reader.read({name: source for name, source in sources.items() if not source.prompt})
    if short := [name for name, value in values.items() if len(_shortest(name, value)) < SHORT]:
        return warning(
            "secrets",
            f"Shorter than {SHORT} characters: {', '.join(short)}. It can be guessed, and logs "
            "are cleared of it only where it is a word of its own.",
            "Use a longer one, such as what openssl rand -hex 32 prints.",
        )
    return ok("secrets", ", ".join(sources) or "none are asked for")


def _shortest(name: str, value: str) -> str:
    return min(app_keys(value), key=len) if name == API_KEYS else value


def keys(context: Context) -> Finding:
    """Whoever must not use the Space cannot, and whoever must knows where each token goes."""
    wanted = known(context.config)
    private, keyed = wanted.space.visibility == "private", API_KEYS in wanted.secrets
    if private and keyed:
        return warning(
            "keys",
            "Private, with keys of its own: two tokens in two headers.",
            "Clients send Authorization: Bearer HF_TOKEN and X-API-Key: KEY; one that has a "
            f"single field cannot, and needs the Space without {API_KEYS}. See ops connect.",
        )
    if not private and not keyed:
        return warning(
            "keys",
            f"{wanted.space.visibility.capitalize()}, without keys: anybody may use it.",
            f'Name keys in [secrets], {API_KEYS} = {{ env = "{API_KEYS}" }}, or make it private.',
        )
    return ok("keys", "the Hub's token opens it" if private else "its own keys open it")


def templates(context: Context) -> Finding:
    """The templates render."""
    if isinstance(context.tree, OpsError):
        known(context.config)
        return from_error("templates", context.tree)
    total = sum(map(len, context.tree.values()))
    return ok("templates", f"{len(context.tree)} files, {total / 1e3:.0f} kB")


def pins(context: Context) -> Finding:
    """What is installed in the image is pinned, at the versions this toolkit was tested with."""
    tree = known(context.tree)
    requirements = [
        (path, line.strip())
        for path in tree
        if path.startswith("requirements") and path.endswith(".txt")
        for line in tree[path].decode().replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    found = [(path, line, _PIN.fullmatch(line)) for path, line in requirements]
    if loose := [f"{path}: {line}" for path, line, pin in found if pin is None]:
        return warning(
            "pins",
            f"Not at one version: {_some(loose)}.",
            "Pin it as name==version: a build tomorrow gets something else.",
        )
    pinned = [(path, pin) for path, _, pin in found if pin is not None]
    if unhashed := [pin[1] for path, pin in pinned if not pin[3] and path != _WITHOUT_HASHES]:
        return warning(
            "pins",
            f"Without a hash: {_some(unhashed)}.",
            "Run .ci/requirements.py: pip refuses to install a package without one.",
        )
    tested = _pins(context.toolkit / ".ci" / "constraints.txt")
    versions = {_normal(pin[1]): pin[2] for _, pin in pinned}
    moved = [
        f"{name} {version}, tested {tested[name]}"
        for name, version in versions.items()
        if name in tested and tested[name] != version
    ]
    if moved:
        return warning(
            "pins",
            f"Not what was tested: {_some(moved)}.",
            "Bring templates/requirements*.txt.j2 and .ci/constraints.txt in step.",
        )
    return ok("pins", f"{len(versions)} packages at one version each")


def leaks(context: Context) -> Finding:
    """Nothing in the files to be pushed, and in no variable, looks like a secret."""
    suspects = published(known(context.config), known(context.tree))
    places = [str(suspect) for suspect in suspects]
    if any(suspect.certain for suspect in suspects):
        return failure(
            "leaks",
            f"Looks like a secret: {_some(places)}.",
            f"Take it out and refer to it from [secrets]; revoke it if it was ever pushed. {_NONE}",
            Exit.USAGE,
        )
    if suspects:
        return warning(
            "leaks",
            f"Might be a secret: {_some(places)}.",
            f"Look at it. If it is one, refer to it from [secrets]. {_NONE}",
        )
    return ok("leaks", "nothing looks like a secret")


def sizes(context: Context) -> Finding:
    """No file is one that the Hub keeps as a large file only."""
    tree = known(context.tree)
    odd = [
        f"{path} ({'binary' if _is_binary(content) else f'{len(content) / 1e6:.0f} MB'})"
        for path, content in tree.items()
        if len(content) > _LARGE or _is_binary(content)
    ]
    if odd:
        return warning(
            "sizes",
            f"Large or binary: {_some(odd)}.",
            "Leave it out of templates/; the Hub stores it as LFS, and refuses a plain git push.",
        )
    return ok("sizes", "every file is small text")


def git(context: Context) -> Finding:
    """Git is there, and what would be deployed is a commit that can be found again."""
    if shutil.which("git") is None:
        return warning(
            "git",
            "There is no git here: a release cannot say what it was made of.",
            "Install git; ops deploy --via git and ops hub serve need it.",
        )
    from ops.adapters.git_checkout import source_commit  # noqa: PLC0415 -- a slow import

    commit = source_commit(context.toolkit)
    if commit is None:
        return warning(
            "git",
            "This toolkit is no git checkout: a release cannot say what it was made of.",
            "Clone it, rather than copying its files.",
        )
    if "+" in commit:
        return warning(
            "git",
            f"This toolkit has changes on top of {commit[:8]}.",
            "Commit them, so that the release can be made again.",
        )
    return ok("git", f"toolkit at {commit[:8]}")


def docker(context: Context) -> Finding:
    """A Docker engine answers; without one, everything local runs as processes."""
    from ops.adapters.docker_engine import DockerEngine  # noqa: PLC0415 -- a slow import

    engine = attempt(DockerEngine.connect)
    if isinstance(engine, OpsError):
        return warning(
            "docker",
            f"{engine.message} {engine.cause or ''}".strip(),
            "Start Docker to build here as the Hub does; without it, ops runs local processes.",
        )
    base = context.config.image.base if isinstance(context.config, Config) else ""
    digest = attempt(lambda: engine.digest(base)) if base and "@" not in base else None
    if isinstance(digest, str):
        return ok("docker", f'an engine answers; image.base = "{base}@{digest}" holds it to that')
    return ok("docker", "an engine answers")


def disk(_: Context) -> Finding:
    """There is room for a build on this machine."""
    folders = [Path(tempfile.gettempdir()), *([_DOCKER_FOLDER] if _DOCKER_FOLDER.is_dir() else [])]
    free, folder = min((shutil.disk_usage(folder).free, folder) for folder in folders)
    if free < _BUILD_BYTES:
        return warning(
            "disk",
            f"{free / 1e9:.1f} GB are free in {folder}; a build takes about "
            f"{_BUILD_BYTES / 1e9:.0f} GB.",
            "Free some, or build on the Hub only: ops deploy.",
        )
    return ok("disk", f"{free / 1e9:.0f} GB free")


def _pins(path: Path) -> dict[str, str]:
    """Name, as indexes normalise it, and version."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    found = (_PIN.fullmatch(line.strip()) for line in lines)
    return {_normal(pin[1]): pin[2] for pin in found if pin is not None}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_binary(content: bytes) -> bool:
    """As git decides it, by a NUL; what is not UTF-8 cannot be shown on the Hub either."""
    if b"\0" in content:
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return True
    return False


def _some(places: Iterable[str]) -> str:
    found = list(places)
    more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
