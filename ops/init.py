"""`ops init`: a commented space.toml to start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from ops.config import Config, Space
from ops.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_TEXT = """\
# What the Space should be. `ops config schema` lists every key; all but repo_id have defaults.

[space]
repo_id = "{repo_id}"  # "owner/name", or "name" for the owner of the token
visibility = "private"     # private, protected (source private, app public) or public
hardware = "cpu-basic"     # 2 vCPU, 16 GB
# title = "Embedding API"
# startup_duration_timeout = "30m"

[model]
id = "BAAI/bge-base-en-v1.5"
# revision = "…"           # branch, tag or commit; a build pins the commit that it names then
# query_instruction = "…"  # put before queries; by default the model's own prompt

[server]
max_payload_mb = 10
max_inputs = 2048
# default_input_type = "query"            # what OpenAI's routes take texts as; documents by default
# cors_origins = ["https://app.example"]  # sites whose pages may call it; none by default
# log_format = "text"                     # for people; by default JSON, for machines

[image]
# base = "python:3.11-slim"
# torch_index = "https://download.pytorch.org/whl/cpu"
# build_args = {{ PIP_INDEX_URL = "https://…" }}  # more ARGs of the builder stage, never a secret
# cl100k = true            # OpenAI's vocabulary: LangChain sends tokens of it unless told not to

[variables]                # public environment of the Space
# EMBED_LOG_LEVEL = "info"

[secrets]                  # where each secret's value comes from, never the value
# EMBED_API_KEYS = {{ env = "EMBED_API_KEYS" }}

# Overrides of any key above, chosen by `ops --env staging …`:
# [environments.staging.space]
# repo_id = "{repo_id}-staging"
"""


def init(path: Path, repo_id: str, *, dry_run: bool = False) -> Config:
    """Write a new space.toml; returns what it says.

    Raises:
        ConfigError: there is one already, or the name is none.
    """
    try:
        config = Config(space=Space(repo_id=repo_id))
    except ValidationError as error:
        raise ConfigError(
            f"{repo_id!r} is no name for a Space.",
            cause="A name has letters, digits, '-', '_' and '.', and may follow an owner and '/'.",
            next_step="Choose another: ops init my-embeddings.",
        ) from error
    if path.exists():
        raise _exists(path)
    if dry_run:
        return config
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_TEXT.format(repo_id=repo_id))
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}.",
            next_step="Make its folder, or name another file with --config.",
        ) from error
    return config


def _exists(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} exists already.", next_step="Edit it, or name another with --config."
    )
