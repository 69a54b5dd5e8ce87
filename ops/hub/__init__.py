"""A Hugging Face Hub on loopback, for the real client: repositories, and Spaces that really run.

What it has: Spaces, models and datasets, commits, trees, tags, downloads; secrets, variables,
hardware, stages, logs, restart, pause; private access to each Space's own origin; people,
organisations and plans; faults on demand. It knows nothing of who deploys to it.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from ops.hub import data_folder
from ops.hub.accounts import Accounts, Grant, Organisation, Scope, User
from ops.hub.api.app import create_app
from ops.hub.faults import Fault, Faults
from ops.hub.faulty import LOCAL
from ops.hub.predecessor import succession
from ops.hub.rules import Rules
from ops.hub.server import LOOPBACK, Served
from ops.hub.state import HubState
from ops.hub.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ops.runner import Runner

__all__ = ["Fault", "Grant", "LocalHub", "Organisation", "Rules", "Scope", "User"]

_OWNER = "me"


class LocalHub:
    """Serves between `with` and its end, then stops every Space and container it started.

    Args:
        data: where repositories are kept; made when it is not there.
        runner: what builds and runs Spaces.
        mirrors: model id -> folder that is served as this model.
        port: 0 for any free one.
        users: who has accounts; by default one, `me`, with tokens kept in the data folder.
        organisations: whose plan matters; those of users that are not named have none.
        faults: what goes wrong from the start.
        rules: what plans and quotas allow.
        address: of this machine, where it listens; whoever reaches it can try tokens on it.

    Raises:
        PortTaken: something else listens there.
        FolderInUse: another Hub serves the folder.
        ConfigError: the folder cannot be used, or what it holds is damaged.
        OpsError: a mirror's folder or id is wrong.
    """

    def __init__(  # noqa: PLR0913 -- each is a switch of its own, named by whoever sets it
        self,
        data: Path,
        runner: Runner,
        *,
        mirrors: Mapping[str, Path] | None = None,
        port: int = 0,
        users: Sequence[User] = (),
        organisations: Sequence[Organisation] = (),
        faults: Sequence[Fault] = (),
        rules: Rules | None = None,
        address: str = LOOPBACK,
    ):
        self.data = data
        with ExitStack() as undo:
            undo.callback(data_folder.hold(data).release)
            self._served = Served(port, address)
            undo.callback(self._served.stop)
            self._users = users or (_owner(data),)
            with data_folder.usable(data):
                undo.enter_context(succession(data))
                store = Store(data)
            runner = runner.for_owner(str(data.resolve()))
            for model_id, folder in (mirrors or {}).items():
                store.mirror(model_id, folder)
            self._close = undo.pop_all()
        self.endpoint = self._served.origin
        # A build downloads models from here only when there are any to be had here.
        self.build_args = {"HF_ENDPOINT": self.endpoint} if mirrors else {}
        self._state = HubState(
            store,
            Accounts(self._users, organisations),
            runner,
            self.build_args,
            Faults(tuple(faults)),
            rules or Rules(),
            address,
        )

    @property
    def token(self) -> str:
        """A token of the first user."""
        return next(iter(self._users[0].tokens))

    @property
    def token_file(self) -> Path:
        """Where the first user's token is kept, when the Hub has made it."""
        return data_folder.token_file(self.data, self._users[0].name, "write")

    def page_link(self) -> str:
        """A link that opens the Hub's page once, for its first user."""
        code = self._state.visitors.invite(self._users[0].name)
        return f"{self.endpoint}{LOCAL}open/{code}"

    @property
    def faults(self) -> Faults:
        """What is to go wrong, and the requests so far."""
        return self._state.faults

    @property
    def accounts(self) -> Accounts:
        """People and tokens, which may change while it serves."""
        return self._state.accounts

    def __enter__(self) -> Self:
        self._served.start(create_app(self._state))
        self._state.resume()
        return self

    def __exit__(self, *_: object) -> None:
        with self._close:
            self._served.stop()
            self._state.close()


def _owner(data: Path) -> User:
    write = data_folder.kept_token(data, _OWNER, "write")
    return User(_OWNER, {write: "write", data_folder.kept_token(data, _OWNER, "read"): "read"})
