"""Finds the Hub's tokens on this machine quickly: in the environment and in the client's files."""

from __future__ import annotations

import configparser
import os
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import constants

from ops.secret_values import small_file

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARIABLES = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_OIDC_ID_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",  # GitHub's, for the job's identity
)


def tokens_here() -> Iterator[str]:
    """Every token that the client could use; none where its files can't be read."""
    yield from (os.environ.get(name, "") for name in _VARIABLES)
    yield small_file(Path(constants.HF_TOKEN_PATH)) or ""
    # Sections such as [me] with hf_token = ..., and refresh_token where a browser logged in.
    logins = configparser.RawConfigParser(strict=False)
    try:
        logins.read_string(small_file(Path(constants.HF_STORED_TOKENS_PATH)) or "")
    except configparser.Error:
        return
    for login in logins.sections():
        yield from (value for name, value in logins.items(login) if name.endswith("token"))
