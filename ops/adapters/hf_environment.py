"""What this machine is set to: which Hub it speaks with, and whose token it has for it."""

from __future__ import annotations

import httpx2
import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, OIDCError

from ops.adapters.hf_client import configure
from ops.adapters.hf_errors import TOKENS_PAGE, hub_errors, reading_errors
from ops.errors import ConfigError, NotAllowed, OpsError
from ops.http_client import within
from ops.redaction import hide

_LIMIT = 60.0
"""Seconds for the exchange."""


def stored_token() -> str | None:
    """The token of `HF_TOKEN` or of an earlier `hf auth login`.

    Where `HF_OIDC_RESOURCE` is set, the client exchanges the CI job's identity for a token that
    lasts an hour and goes before both (huggingface_hub/_oidc.py).

    Raises:
        NotAllowed: the exchange was refused, the job has no identity, or it is no token.
        HubUnreachable: nobody answered it.
    """
    configure()
    doing = "exchange the job's identity for a token"
    with hub_errors(doing, huggingface_hub.constants.ENDPOINT):
        token = _token(doing)
    hide(token)
    # No header can carry such a one, which would be an error of the client's innards.
    if token is not None and not (token.isascii() and token.isprintable()):
        raise NotAllowed(
            "The Hugging Face token has characters in it that no token has.",
            cause="What HF_TOKEN or `hf auth login` has is not the token alone.",
            next_step=f"Copy it once more from {TOKENS_PAGE}, or make another there.",
        )
    return token


def _token(doing: str) -> str | None:
    try:
        with reading_errors(doing, huggingface_hub.constants.ENDPOINT):
            return within(_LIMIT, _readable_token)
    except OIDCError as error:
        raise NotAllowed(
            f"Could not {doing}: the job has none.",
            cause="HF_OIDC_RESOURCE is set, but not by a GitHub job that may ask for one.",
            next_step="Give the job `permissions: id-token: write`, or unset HF_OIDC_RESOURCE.",
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
            raise OpsError(
                f"Could not {doing}: the Hub answered {status}.", next_step="Try again."
            ) from error
        raise NotAllowed(
            f"Could not {doing}: the Hub answered {status}.",
            cause="HF_OIDC_RESOURCE names a repository that does not trust this job.",
            next_step="Add the workflow under Trusted Publishers in the Space's settings.",
        ) from error


def _readable_token() -> str | None:
    """The library's token; a file that isn't text holds none that a header could carry."""
    try:
        return huggingface_hub.get_token()
    except UnicodeDecodeError:
        return "\ufffd"


def default_endpoint() -> str:
    """`HF_ENDPOINT`, or huggingface.co.

    Raises:
        ConfigError: it is no address.
    """
    endpoint = huggingface_hub.constants.ENDPOINT
    if not _is_address(endpoint):
        raise ConfigError(
            f"HF_ENDPOINT is {endpoint!r}, which is no address of a Hub.",
            next_step="Write it whole, such as https://huggingface.co, or unset it.",
        )
    return endpoint


def _is_address(endpoint: str) -> bool:
    try:
        url = httpx2.URL(endpoint)
    except httpx2.InvalidURL:
        return False
    return url.scheme in ("http", "https") and bool(url.host)
