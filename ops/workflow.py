"""`ops init --github-actions`: a workflow that plans on pull requests and deploys main."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ops import files
from ops.bounded_read import read_file
from ops.errors import ConfigError

if TYPE_CHECKING:
    from jinja2 import Template

    from ops.config import Config, SecretSource

PLACE = Path(".github/workflows/space.yml")
HUB_TOKEN = "HF_TOKEN"  # noqa: S105 -- the name of a variable
_TEMPLATES = Path(__file__).parent / "workflows"
_MARK = "# Written by `ops init --github-actions`, and renewed by it while nobody edits it: "
_REPOSITORY = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+")
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_ON_GITHUB = re.compile(r"(?!GITHUB_)[A-Za-z_][A-Za-z0-9_]*", re.IGNORECASE)
"""Names of secrets that GitHub takes."""


@dataclass(frozen=True)
class Toolkit:
    """Where the workflow gets `ops` from: this very repository, or another one at a commit."""

    repository: str | None = None
    ref: str | None = None

    @property
    def folder(self) -> str:
        """Where it lies in the job's checkout."""
        return "." if self.repository is None else ".embedding-space"


@dataclass(frozen=True)
class Job:
    """What the workflow is to run: paths are relative to the repository's top folder."""

    config: Config
    config_path: PurePosixPath
    environment: str | None
    toolkit: Toolkit
    oidc: bool = False


@dataclass(frozen=True)
class Workflow:
    """The file's text, and the secrets that it takes from GitHub: name -> what it must hold."""

    text: str
    secrets: dict[str, str]


@dataclass(frozen=True)
class _SecretFile:
    """A file that a secret's value is read from, as a word of the shell."""

    secret: str
    word: str


def toolkit(text: str) -> Toolkit:
    """Read OWNER/NAME@REF; raises ConfigError."""
    repository, _, ref = text.partition("@")
    if not (_REPOSITORY.fullmatch(repository) and _REF.fullmatch(ref)):
        raise ConfigError(
            f"{text!r} is no repository of GitHub at a commit.",
            next_step="Name it as OWNER/NAME@COMMIT.",
        )
    return Toolkit(repository, ref)


def workflow(job: Job) -> Workflow:
    """The workflow of a Space.

    Raises:
        ConfigError: CI cannot have one of the secrets, or --oidc lacks the Space's owner.
    """
    sources = {
        name: _in_ci(name, source)
        for name, source in job.config.secrets.items()
        if source.env != HUB_TOKEN or job.oidc
    }
    variables = {source.env: source.env for source in sources.values() if source.env is not None}
    environment = {name: f"${{{{ secrets.{name} }}}}" for name in variables}
    files = [
        _SecretFile(name, shlex.quote(str(job.config_path.parent / source.file)))
        for name, source in sources.items()
        if source.file is not None
    ]
    secrets = {
        source.env or name: f"what the Space gets as its secret {name}"
        for name, source in sources.items()
    }
    if job.oidc:
        token = {"HF_OIDC_RESOURCE": json.dumps(f"spaces/{_full_name(job.config)}")}
    else:
        token = {HUB_TOKEN: f"${{{{ secrets.{HUB_TOKEN} }}}}"}
        secrets = {HUB_TOKEN: "a token of huggingface.co with the role write", **secrets}
    body = _template().render(
        oidc=job.oidc,
        file=PLACE.name,
        secrets=secrets,
        files=files,
        environment=token | environment,
        toolkit=job.toolkit,
        group=f"space-{job.config.space.repo_id.replace('/', '-')}",
        ops=_ops(job),
    )
    return Workflow(_MARK + _checksum(body) + "\n" + body, secrets)


def write(path: Path, text: str, *, overwrite: bool, dry_run: bool = False) -> bool:
    """Write the workflow; returns whether that changed anything, or would.

    Raises:
        ConfigError: there is a file that was not written here, or was edited since; `overwrite`
            replaces that too.
    """
    try:
        there = read_file(path).decode().replace("\r\n", "\n")
    except FileNotFoundError:
        there = None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}.", next_step="Make it readable, or move it away."
        ) from error
    if there == text:
        return False
    if there is not None and not (overwrite or _is_own(there)):
        raise ConfigError(
            f"{path} is there, and is not as `ops init --github-actions` wrote it.",
            next_step="Rename it, or replace it on purpose: ops --yes init --github-actions.",
        )
    if dry_run:
        return True
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path.resolve(), text.encode())
    except OSError as error:
        raise ConfigError(
            f"{path} can't be written: {error.strerror}.",
            next_step="Make it writable, or move it away.",
        ) from error
    return True


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 -- no HTML; values are quoted by the filter below
        trim_blocks=True,
        keep_trailing_newline=True,
        # GitHub's own expressions have the usual braces.
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
    )
    # YAML takes JSON's strings (YAML 1.2.2, 1.2).
    environment.filters["quoted"] = json.dumps
    return environment.get_template(f"{PLACE.name}.j2")


def _in_ci(name: str, source: SecretSource) -> SecretSource:
    if source.prompt:
        raise ConfigError(
            f"The secret {name} is asked for on a terminal, and a workflow has none.",
            next_step=f'Take it from the environment: {name} = {{ env = "{name}" }} in [secrets].',
        )
    stored_as = source.env or name
    if not _ON_GITHUB.fullmatch(stored_as):
        raise ConfigError(
            f"GitHub keeps no secret called {stored_as}.",
            cause="Names that begin with GITHUB_ are its own.",
            next_step=f"Name another variable in secrets.{name} of space.toml.",
        )
    return source


def _full_name(config: Config) -> str:
    if "/" not in config.space.repo_id:
        raise ConfigError(
            "--oidc needs the Space's whole name: the token is for one repository.",
            next_step=f'Set space.repo_id = "OWNER/{config.space.repo_id}" in space.toml.',
        )
    return config.space.repo_id


def _ops(job: Job) -> str:
    words = ["ops"]
    if job.config_path != PurePosixPath("space.toml"):
        words += ["--config", str(job.config_path)]
    if job.environment is not None:
        words += ["--env", job.environment]
    return shlex.join(words)


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _is_own(text: str) -> bool:
    first, _, body = text.partition("\n")
    return first == _MARK + _checksum(body)
