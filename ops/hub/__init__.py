"""A Hugging Face Hub on loopback, for the real client: repositories, and Spaces that really run.

What it has: Spaces and models, commits, trees, tags, downloads; secrets, variables, hardware,
stages, logs, restart, pause; private access to each Space's own origin. It knows nothing of who
deploys to it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Self

from ops.hub.accounts import Accounts, User
from ops.hub.api.app import create_app
from ops.hub.server import Served
from ops.hub.state import HubState
from ops.hub.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ops.runner import Runner

__all__ = ["LocalHub", "User"]

_OWNER = "me"


class LocalHub:
    """Serves between `with` and its end, then stops every Space and container it started.

    Args:
        data: where repositories are kept; made when it is not there.
        runner: what builds and runs Spaces.
        mirrors: model id -> folder that is served as this model.
        port: 0 for any free one.
        users: who has accounts; by default one, `me`, with a write token made here.

    Raises:
        PortTaken: something else listens there.
        OpsError: a mirror's folder or id is wrong.
    """

    def __init__(
        self,
        data: Path,
        runner: Runner,
        *,
        mirrors: Mapping[str, Path] | None = None,
        port: int = 0,
        users: Sequence[User] = (),
    ):
        data.mkdir(parents=True, exist_ok=True)
        self.token_file = data / "token"
        self._users = users or (User(_OWNER, {_token(self.token_file): "write"}),)
        self._served = Served(port)
        self.endpoint = self._served.origin
        store = Store(data)
        try:
            for model_id, folder in (mirrors or {}).items():
                store.mirror(model_id, folder)
        except BaseException:
            self._served.stop()
            raise
        # A build downloads models from here only when there are any to be had here.
        self.build_args = {"HF_ENDPOINT": self.endpoint} if mirrors else {}
        self._state = HubState(store, Accounts(self._users), runner, self.build_args)

    @property
    def token(self) -> str:
        """A token of the first user."""
        return next(iter(self._users[0].tokens))

    def __enter__(self) -> Self:
        self._served.start(create_app(self._state))
        for repo in self._state.store.all("spaces"):
            self._state.space(repo).run()
        return self

    def __exit__(self, *_: object) -> None:
        self._served.stop()
        self._state.close()


def _token(path: Path) -> str:
    """The token in the file; a new one when there is none. Nobody else may read it."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        token = f"hf_{secrets.token_hex(17)}"
        path.touch(mode=0o600)
        path.write_text(token + "\n", encoding="ascii")
        return token
