"""What plans and quotas allow on a local Hub; each rule can be switched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.hub.errors import HubError

if TYPE_CHECKING:
    from ops.hub.accounts import Accounts

_PAID_ONLY = "Docker Spaces on CPU basic need a PRO, Team or Enterprise subscription."
_QUOTA = (
    "You've reached your cpu-basic quota limit, please upgrade your account, "
    "or pause your previous Spaces to restart this one"
)
"""As people quote it, with the flavour's name where theirs had `null`: discuss.huggingface.co,
thread 175681."""
_TOO_LARGE = "{path} has {size} bytes; {most} are the most that one file may have"


@dataclass(frozen=True)
class Rules:
    """`None` is no limit.

    `paid_docker`: a Docker Space on cpu-basic needs a paid plan of its owner (402).
    `running_spaces`: how many of an owner's Spaces may run at the same time.
    `requests`: how many API requests a caller has within `window` seconds.
    `file_size`: bytes of the largest file that may be uploaded.
    """

    paid_docker: bool = True
    running_spaces: int | None = None
    requests: int | None = None
    window: int = 300
    file_size: int | None = None

    def check_plan(self, accounts: Accounts, owner: str, sdk: str | None, hardware: str) -> None:
        """Raise HubError (402) when this Space needs a plan that its owner has not."""
        needs_plan = self.paid_docker and sdk == "docker" and hardware == "cpu-basic"
        if needs_plan and not accounts.pays(owner):
            raise HubError(402, _PAID_ONLY)

    def check_running(self, others: int) -> None:
        """Raise HubError (403) when one more Space beside `others` of its owner is too many."""
        if self.running_spaces is not None and others >= self.running_spaces:
            raise HubError(403, _QUOTA)

    def check_size(self, path: str, size: int) -> None:
        """Raise HubError (413) for a file that is too large to be uploaded."""
        if self.file_size is not None and size > self.file_size:
            raise HubError(413, _TOO_LARGE.format(path=path, size=size, most=self.file_size))
