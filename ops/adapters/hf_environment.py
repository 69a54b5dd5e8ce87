"""What this machine is set to: which Hub it speaks with, and whose token it has for it."""

from __future__ import annotations

import httpx2
import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, OIDCError

from ops.adapters.hf_errors import unreachable
from ops.adapters.retries import use_one_try
from ops.errors import NotAllowed, OpsError
from ops.redaction import hide


def stored_token() -> str | None:
    """The token of `HF_TOKEN` or of an earlier `hf auth login`.

    Where `HF_OIDC_RESOURCE` is set, the client exchanges the CI job's identity for a token that
    lasts an hour and goes before both (huggingface_hub/_oidc.py).

    Raises:
        NotAllowed: the exchange was refused, or the job has no identity.
        HubUnreachable: nobody answered it.
    """
    use_one_try()
    doing = "exchange the job's identity for a token"
    try:
        token = huggingface_hub.get_token()
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
    except httpx2.TransportError as error:
        raise unreachable(doing, default_endpoint(), error) from error
    hide(token)
    return token


def default_endpoint() -> str:
    """`HF_ENDPOINT`, or huggingface.co."""
    return huggingface_hub.constants.ENDPOINT
