"""Lists that come a page at a time: how much is asked for, and the way to the next page."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from ops.hub.errors import bad_request

if TYPE_CHECKING:
    from ops.hub.api.call import Call


def page_size(call: Call, *, usual: int, most: int) -> int:
    """The `limit` of a request."""
    limit = number(call, "limit", usual)
    if limit < 1:
        raise bad_request('"limit" must be at least 1')
    return min(limit, most)


def number(call: Call, name: str, usual: int) -> int:
    """A number of the query; raises HubError when it is none."""
    value = call.query.get(name, str(usual))
    if not value.isdecimal():
        raise bad_request(f'"{name}" must be a number')
    return int(value[:18])


def is_on(call: Call, name: str) -> bool:
    """Whether a switch of the query is on."""
    return call.query.get(name, "").lower() in ("1", "true")


def start_of(call: Call) -> str:
    """What the page's `cursor` says that it begins after; empty for the first page."""
    try:
        return base64.b64decode(call.query.get("cursor", ""), b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise bad_request('"cursor" is none that this Hub gave out') from error


def cursor_after(last: str) -> str:
    """The `cursor` of the page that begins after this."""
    return base64.urlsafe_b64encode(last.encode()).decode()


def next_link(call: Call, **query: str | int) -> dict[str, str]:
    """The header that leads to the next page: the same request but for `query`."""
    pairs = [(name, value) for name, value in call.query.multi_items() if name not in query]
    pairs += [(name, str(value)) for name, value in query.items()]
    path = call.target.partition("?")[0]
    url = f"http://{call.headers['host']}{path}?{urlencode(pairs)}"
    return {"Link": f'<{url}>; rel="next"'}
