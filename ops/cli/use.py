"""Commands for those who use a server that runs: connect."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ops.cli.context import Globals, access_to, explained_by_stage, pass_globals
from ops.errors import ConfigError, Exit

if TYPE_CHECKING:
    from ops.clients import Client
    from ops.config import Config
    from ops.connect import Connected, Target
    from ops.probe import Access

_NAMES = (
    "mem0", "openai", "langchain", "llamaindex", "haystack", "n8n", "openwebui", "curl", "python",
)  # fmt: skip
"""Here as well, so that help and completion need not import what clients send."""


@click.command()
@click.argument("name", metavar="[CLIENT]", type=click.Choice(_NAMES), required=False)
@click.option("--url", help="A server that runs already; by default the Space of space.toml.")
@click.option("--check", is_flag=True, help="Make the client's requests, and see what comes back.")
@pass_globals
def connect(options: Globals, name: str | None, url: str | None, *, check: bool) -> None:
    """Print what to paste into a client: config, environment, code.

    Clients: mem0, openai, langchain, llamaindex, haystack, n8n, openwebui, curl, python; without
    one, they are listed. What to paste goes to stdout, what to know about it to stderr. Tokens are
    named by their environment variables: HF_TOKEN opens a private Space, EMBED_API_KEY holds one of
    the server's own keys. --check needs their values, and none of the client's packages.

    \b
    Examples: ops connect mem0
              ops connect openwebui > .env
              ops connect openai --check --url https://me-my-embeddings.hf.space
    """
    from ops.clients import CLIENTS

    if name is None:
        _list(options, check=check)
        return
    client = CLIENTS[name]
    from ops import connect as verb

    target, access = _by_url(options, url) if url is not None else _by_config(options)
    connected = verb.connect(client, target)
    if not check:
        options.output.snippets(connected)
        return
    _checked(options, client, connected, access)


def _list(options: Globals, *, check: bool) -> None:
    from ops.clients import CLIENTS

    if check:
        raise click.UsageError("--check needs a client: ops connect openai --check.")
    options.output.result(
        "\n".join(f"{client.name:<12}{client.about}" for client in CLIENTS.values()),
        [{"client": client.name, "about": client.about} for client in CLIENTS.values()],
    )


def _checked(options: Globals, client: Client, connected: Connected, access: Access) -> None:
    from ops import connect as verb
    from ops import trial

    if not options.output.as_json:
        options.output.snippets(connected)
    headers = verb.tokens(client, connected.target).headers(access)
    with_what = ", ".join(headers) or "no token"
    options.output.say(f"Sending what {client.name} sends to {connected.target.url}, {with_what}:")
    target = connected.target
    with explained_by_stage(options, target.url):
        results = trial.try_client(client, target, headers, on_check=options.output.check)
    if options.output.as_json:
        options.output.snippets(connected, checks=[asdict(result) for result in results])
        if any(result.outcome == "failed" for result in results):
            raise SystemExit(Exit.UNHEALTHY)
    trial.require_passed(client, target, results)


def _by_url(options: Globals, url: str) -> tuple[Target, Access]:
    from ops import connect as verb

    access = access_to(url)
    with explained_by_stage(options, url):
        return verb.of_url(url, access), access


def _by_config(options: Globals) -> tuple[Target, Access]:
    from ops import connect as verb
    from ops.adapters.hf_environment import default_endpoint, stored_token
    from ops.adapters.hf_hub import Hub
    from ops.cli.context import hub
    from ops.probe import Access

    config = options.config()
    token = stored_token()
    access = Access(token, os.environ.get(verb.API_KEY) or _first_key(options, config))
    # A Space that is not private shows itself to everybody, when its whole name is known.
    named = "/" in config.space.repo_id
    target = Hub(default_endpoint(), None) if token is None and named else hub()
    return verb.of_space(target, config, access), access


def _first_key(options: Globals, config: Config) -> str | None:
    """The first key of EMBED_API_KEYS, where its value can be had without a question."""
    from ops.app_keys import first_key
    from ops.config import API_KEYS

    source = config.secrets.get(API_KEYS)
    if source is None or source.prompt:
        return None
    try:
        return first_key(options.secret_reader().read({API_KEYS: source}))
    except ConfigError:
        return None
