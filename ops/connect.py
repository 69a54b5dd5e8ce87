"""`ops connect`: what to paste so that a client finds the server, and whether that works.

Tokens are named by the environment variables that hold them; no value is ever printed.
"""

from __future__ import annotations

import functools
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ops.config import API_KEYS, DEFAULT_MODEL
from ops.errors import ConfigError, NotAllowed, OpsError, Unhealthy
from ops.probe import REFUSED, Access, Probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.adapters.hf_hub import Hub
    from ops.clients import Client
    from ops.config import Config
    from ops.probe import ServerInfo

API_KEY = "EMBED_API_KEY"
"""The variable of a client with one of the server's keys, without its name."""

HUB_TOKEN = "HF_TOKEN"  # noqa: S105 -- the name of a variable

_SNIPPETS = Path(__file__).parent / "snippets"
_NOTES = "notes.j2"
_PATIENCE = 10.0
"""Seconds to wait for a server that is only asked what it is; a Space may be asleep."""

_KNOWN_DIMENSIONS = {DEFAULT_MODEL: 768}
"""Of models that space.toml takes by default, for a Space that cannot be asked."""

_DOCUMENTS = (
    '{"text": ["Open the account page to choose a new password.", "The bakery opens at six."], '
    '"input_type": "document"}'
)
_QUERY = '{"text": "how do I reset my password?"}'


@dataclass(frozen=True)
class Target:
    """A server as its clients must know it.

    `model` is a name with "embed" in it, which every client's list shows; `dimensions` is None
    when it could not be asked and is not known otherwise. `asked` says whether it answered.
    """

    url: str
    model: str
    dimensions: int | None
    private: bool
    keyed: bool
    asked: bool


@dataclass(frozen=True)
class Tokens:
    """Which variable's value goes into which header.

    `bearer` goes into Authorization, None where nothing is needed; `second` says that the Hub's
    token goes into X-HF-Authorization besides; `lacking` that the client has no room for it.
    """

    bearer: str | None
    second: bool = False
    lacking: bool = False

    def headers(self, access: Access) -> dict[str, str]:
        """The headers themselves; raises NotAllowed when a value is missing."""
        values = {HUB_TOKEN: access.hub_token, API_KEY: access.app_key}
        headers = {}
        if self.bearer:
            headers["Authorization"] = f"Bearer {_value(values, self.bearer)}"
        if self.second:
            headers["X-HF-Authorization"] = f"Bearer {_value(values, HUB_TOKEN)}"
        return headers


@dataclass(frozen=True)
class File:
    """Something to paste, under the name that it has at the client's."""

    name: str
    content: str


@dataclass(frozen=True)
class Connected:
    """What `ops connect` prints."""

    client: str
    target: Target
    files: tuple[File, ...]
    notes: tuple[str, ...] = field(default=())

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def of_space(hub: Hub, config: Config, access: Access) -> Target:
    """The Space of space.toml; asked itself where it answers, else as space.toml describes it.

    Raises:
        ConfigError: there is no such Space.
    """
    name = hub.full_name(config.space.repo_id)
    space = hub.space(name)
    if space is None:
        raise ConfigError(
            f"There is no Space {name} on {hub.endpoint}, or this token may not see it.",
            next_step="ops deploy creates it; --url names another server.",
        )
    info = _ask(space.url, Access(access.hub_token if space.private else None, access.app_key))
    return Target(
        url=_plain(space.url),
        model=_alias(info.model if info else config.model.id),
        dimensions=info.dimensions if info else _KNOWN_DIMENSIONS.get(config.model.id),
        private=space.private,
        keyed=info.api_key_required if info else API_KEYS in config.secrets,
        asked=info is not None,
    )


def of_url(url: str, access: Access) -> Target:
    """Any server that answers there.

    Raises:
        Unhealthy: nothing answers, or none of this project's.
        NotAllowed: it wants a token or a key that is not there, or another one.
    """
    url = _plain(url.rstrip("/"))
    try:
        with Probe(url, timeout=_PATIENCE) as stranger:
            private = stranger.look("/livez").status_code in REFUSED
        with Probe(url, access if private else Access(None, access.app_key)) as probe:
            probe.choose_header()
            info = probe.info()
    except httpx2.RequestError as error:
        raise Unhealthy(
            f"{url} does not answer ({type(error).__name__}).",
            cause="The server is not up, or its address is another.",
            next_step="Start it, or correct --url.",
        ) from error
    return Target(
        url, _alias(info.model), info.dimensions, private, info.api_key_required, asked=True
    )


def tokens(client: Client, target: Target) -> Tokens:
    """Where this client puts which token, for this server."""
    if not target.private:
        return Tokens(API_KEY if target.keyed else None)
    if not target.keyed:
        return Tokens(HUB_TOKEN)
    if client.second_header:
        return Tokens(API_KEY, second=True)
    return Tokens(HUB_TOKEN, lacking=True)


def connect(client: Client, target: Target) -> Connected:
    """What to paste into the client's files, and what to know about it."""
    chosen = tokens(client, target)
    context = {
        "url": target.url,
        "model": target.model,
        "collection": target.model.removesuffix("-embed"),
        "dimensions": target.dimensions or "DIMENSIONS",
        "bearer": chosen.bearer,
        "second": chosen.second,
        "documents": _DOCUMENTS,
        "query": _QUERY,
    }
    names = sorted(path.name for path in (_SNIPPETS / client.name).glob("*.j2"))
    files = (
        File(name.removesuffix(".j2"), _rendered(client, name, context))
        for name in names
        if name != _NOTES
    )
    own = _rendered(client, _NOTES, context).splitlines() if _NOTES in names else []
    return Connected(client.name, target, tuple(files), (*_notes(chosen, target), *own))


def _notes(chosen: Tokens, target: Target) -> Iterator[str]:
    """What is to be known whatever the client."""
    if chosen.lacking:
        yield (
            "This client sends one token, and this Space wants two, so that it would be refused. "
            f'Make it visibility = "protected" in space.toml, and it wants {API_KEY} alone; or '
            f"leave {API_KEYS} out of [secrets], and {HUB_TOKEN} alone opens it, as printed here."
        )
    yield _about_tokens(chosen)
    if chosen.bearer == API_KEY:
        yield f"{API_KEY} holds one key of {API_KEYS}, without the name before the `=`."
    if not target.asked:
        yield (
            "The Space did not say what it is (asleep, or it wants a key that is not here), so "
            "this is what space.toml says of it"
            + (f"; {target.dimensions} dimensions are assumed." if target.dimensions else ".")
        )
    if target.dimensions is None:
        yield 'DIMENSIONS is not known: put the "dimensions" of GET /info in its place.'


def _about_tokens(chosen: Tokens) -> str:
    if chosen.second:
        return (
            f"Authorization carries the server's own key ({API_KEY}), X-HF-Authorization the "
            f"Hugging Face token ({HUB_TOKEN}), which the Hub's proxy takes off."
        )
    if chosen.bearer == HUB_TOKEN:
        return (
            f"Authorization carries the Hugging Face token ({HUB_TOKEN}), by which the Hub's proxy "
            "lets in who may read the Space. One that may read only this Space is enough."
        )
    if chosen.bearer:
        return f"Authorization carries the server's own key ({API_KEY}). It wants no other token."
    return (
        "No token is needed: whoever reaches the server may use it. Keys of its own come from "
        f"{API_KEYS} in [secrets]."
    )


def _rendered(client: Client, name: str, context: dict[str, Any]) -> str:
    return _environment().get_template(f"{client.name}/{name}").render(context)


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_SNIPPETS),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 -- no HTML; what goes in is a URL, a model's name and numbers
        trim_blocks=True,
        keep_trailing_newline=True,
    )


def _plain(url: str) -> str:
    """A URL that means itself in a shell, in YAML and in Python; Probe refuses what is none."""
    if not re.fullmatch(r"[A-Za-z0-9._~:/%\[\]-]+", url):
        raise ConfigError(
            f"{url!r} has characters that mean something else where it would be pasted.",
            next_step="Write the server's origin alone, such as https://owner-name.hf.space.",
        )
    return url


def _ask(url: str, access: Access) -> ServerInfo | None:
    """What the server says of itself, None when it does not say."""
    try:
        with Probe(url, access, timeout=_PATIENCE) as probe:
            probe.choose_header()
            return probe.info()
    except OpsError:
        return None


def _value(values: dict[str, str | None], name: str) -> str:
    value = values[name]
    if value is None:
        raise NotAllowed(
            f"Trying it needs {name}, and it is not set.",
            next_step=f"Set {name}; {API_KEY} holds one of the server's keys."
            if name == API_KEY
            else f"Set {name}, or log in by `hf auth login`.",
        )
    return value


def _alias(model: str) -> str:
    """The short name that the server answers to; n8n lists only what has "embed" in it.

    It stands in code that people paste, and may come from a server that is not theirs.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "-", model.rpartition("/")[2])
    return name if "embed" in name.lower() else f"{name}-embed"
