"""What this machine wrote to a Space that the Hub does not tell back.

The Hub never tells a secret's value, only when it was set. So a keyed hash of what was written
stays on this machine, outside every repository, beside the time that the Hub gave it; no value is
kept. Of a Space that is not private, the Hub does not tell public from protected. Another machine
knows nothing and says so.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field, ValidationError

from ops import files
from ops.bounded_read import MOST, read_file
from ops.config import Visibility  # noqa: TC001 -- pydantic reads it when it runs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ops.runner import Log

Verdict = Literal["same", "changed", "unknown"]


class _Secret(BaseModel):
    """A secret as it was written: its hash, and when the Hub says that was."""

    digest: str
    updated: str | None


class _Space(BaseModel):
    """One Space; `secrets` by name."""

    secrets: dict[str, _Secret] = Field(default_factory=dict)
    visibility: Visibility | None = None


class _Kept(BaseModel):
    """The file; `spaces` by endpoint and name."""

    key: str = Field(
        default_factory=lambda: secrets.token_hex(32), pattern=r"^[0-9a-f]{64}$", repr=False
    )
    spaces: dict[str, _Space] = Field(default_factory=dict)


def default_path() -> Path:
    """Where it is kept: the user's state folder (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_STATE_HOME") or _home() / ".local" / "state"
    return Path(base) / "embedding-space" / "written.json"


def _home() -> Path:
    """The user's folder; for one who has none, as in a container, where nothing can be kept."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


@dataclass(frozen=True)
class Written:
    """What was written to one Space from this machine; `space` is its endpoint and name.

    To remember is a convenience: where it cannot be done, `say` is told so, and that is all.
    """

    space: str
    path: Path = field(default_factory=default_path)
    say: Log = lambda _: None

    def visibility(self) -> Visibility | None:
        """What was set last."""
        return self._read().spaces.get(self.space, _Space()).visibility

    def visibility_of(self, *, private: bool) -> str:
        """What the Hub tells, and where it tells only "not private", what was set last."""
        if private:
            return "private"
        last = self.visibility()
        return last if last in ("public", "protected") else "public or protected"

    def compare(
        self, values: Mapping[str, str], live: Mapping[str, str | None]
    ) -> dict[str, Verdict]:
        """For each secret that is live too: whether its value is the one that would be written.

        `live` is the time at which the Hub says each was set. One that was set since, by whomever,
        is not known.
        """
        kept = self._read()
        written = kept.spaces.get(self.space, _Space()).secrets
        return {
            name: self._verdict(kept, written.get(name), name, value, live[name])
            for name, value in values.items()
            if name in live
        }

    def note(
        self,
        values: Mapping[str, str] | None,
        live: Mapping[str, str | None],
        visibility: Visibility,
    ) -> None:
        """Remember that these are the Space's secrets and visibility now.

        Without values, those that were written last are.
        """

        def change(kept: _Kept, space: _Space) -> None:
            space.visibility = visibility
            if values is not None:
                space.secrets = self._secrets(kept, values, live)

        self._change(change)

    def note_secrets(self, values: Mapping[str, str], live: Mapping[str, str | None]) -> None:
        """Remember that these were written, whatever else is known."""
        self._change(lambda kept, space: space.secrets.update(self._secrets(kept, values, live)))

    def _secrets(
        self, kept: _Kept, values: Mapping[str, str], live: Mapping[str, str | None]
    ) -> dict[str, _Secret]:
        return {
            name: _Secret(digest=self._digest(kept, name, value), updated=live[name])
            for name, value in values.items()
            if name in live
        }

    def _verdict(
        self, kept: _Kept, written: _Secret | None, name: str, value: str, updated: str | None
    ) -> Verdict:
        if written is None or updated is None or written.updated != updated:
            return "unknown"
        same = hmac.compare_digest(written.digest, self._digest(kept, name, value))
        return "same" if same else "changed"

    def _digest(self, kept: _Kept, name: str, value: str) -> str:
        message = f"{self.space}\0{name}\0{value}".encode()
        return hmac.new(bytes.fromhex(kept.key), message, hashlib.sha256).hexdigest()

    def _read(self) -> _Kept:
        """What is kept; a file that is missing or damaged is as none: nothing is known then."""
        try:
            return _Kept.model_validate_json(read_file(self.path, 16 * MOST))
        except (OSError, ValidationError):
            return _Kept()

    def _change(self, change: Callable[[_Kept, _Space], None]) -> None:
        """Change the entry of this Space; what other runs of `ops` write meanwhile stays."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with files.locked(self.path):
                kept = self._read()
                change(kept, kept.spaces.setdefault(self.space, _Space()))
                files.write(self.path, json.dumps(kept.model_dump()).encode(), mode=0o600)
        except OSError as error:
            self.say(
                f"{self.path} can't be written ({error.strerror}): the next plan won't know "
                "which secrets and visibility were set from here"
            )
