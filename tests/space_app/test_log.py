from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx2
import pytest
from server_process import started

from space_app.log import REQUEST_ID, JsonLine, OneLine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "key-of-a-test"


@pytest.fixture(name="request_id")
def _request_id() -> Iterator[str]:
    """The id of the request that is being answered."""
    token = REQUEST_ID.set("one")
    yield "one"
    REQUEST_ID.reset(token)


def record(message: str, *, with_exception: bool = False, **fields: object) -> logging.LogRecord:
    """A record, of the exception that is being handled if asked."""
    error = sys.exc_info() if with_exception else None
    made = logging.LogRecord("space_app", logging.ERROR, "f.py", 1, message, (), error)
    made.fields = fields
    return made


def failing(formatter: logging.Formatter) -> str:
    """What is logged of an exception."""
    try:
        raise ValueError("somebody's text")  # noqa: TRY301 -- it is what is tested
    except ValueError:
        return formatter.format(record("It failed", with_exception=True))


def test_an_exceptions_text_is_left_out() -> None:
    """Of an exception its type and place are logged, not what it quotes."""
    line = failing(OneLine("%(message)s"))

    assert line.startswith("It failed | ValueError at test_log.py:")
    assert "somebody" not in line


def test_an_exceptions_text_is_left_out_of_json() -> None:
    """The same in JSON."""
    line = failing(JsonLine())

    assert json.loads(line)["exception"].startswith("ValueError at test_log.py:")
    assert "somebody" not in line


@pytest.mark.parametrize("formatter", [OneLine("%(message)s"), JsonLine()])
def test_a_record_is_one_line(formatter: logging.Formatter) -> None:
    """A line break in a message or a field does not start another record."""
    assert len(formatter.format(record("one\ntwo\r\nthree", key="a\nb")).splitlines()) == 1


def test_fields_of_a_plain_line(request_id: str) -> None:
    """Fields come behind the message, quoted where they would be taken for several."""
    line = OneLine("%(message)s").format(record("Request", key='a "b" c', status=200))

    assert line == f'Request request_id={request_id} key="a \\"b\\" c" status=200'


def test_fields_of_a_json_line(request_id: str) -> None:
    """An object with the time in UTC as RFC 3339 has it, and the fields as they are."""
    made = record("Half a pair: \ud800", status=200, key="ä")
    entry = json.loads(JsonLine().format(made).encode())

    time = entry.pop("time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    moment = datetime.fromisoformat(time)
    assert moment.tzinfo == UTC
    assert moment.timestamp() == pytest.approx(made.created, abs=0.001)
    assert entry == {
        "level": "error",
        "logger": "space_app",
        "message": "Half a pair: \ud800",
        "request_id": request_id,
        "status": 200,
        "key": "ä",
    }


def test_the_log_of_a_server(artefact: Path) -> None:
    """Every line that the process writes is JSON, libraries' too, and says nothing secret."""
    with started(
        artefact,
        EMBED_API_KEYS=f"mem0={KEY}",
        EMBED_LOG_FORMAT="json",
        EMBED_LOG_LEVEL="debug",
    ) as server:
        server.wait_until_healthy()
        with httpx2.Client(base_url=server.url, trust_env=False) as http:
            for key, route in ((KEY, "/embed"), ("SECRET", "/embed"), ("SECRET", "/SECRET")):
                http.post(
                    f"{route}?token=SECRET",
                    json={"text": "SECRET"},
                    headers={"X-API-Key": key, "X-Request-ID": "one"},
                )
            # uvicorn warns of it.
            http.request("SECRET", "/")
        code, log = server.end()

    entries = [json.loads(line) for line in log.splitlines()]
    assert code == 0
    assert {"level", "logger", "message", "time"} <= set.intersection(*map(set, entries))
    requests = [entry for entry in entries if entry.get("request_id") == "one"]
    assert [(e["route"], e["status"], e.get("key")) for e in requests] == [
        ("/embed", 200, "mem0"),
        ("/embed", 401, None),
        ("other", 404, None),
    ]
    assert requests[0]["texts"] == 1
    assert {"uvicorn.error", "space_app"} <= {entry["logger"] for entry in entries}
    assert "debug" in {entry["level"] for entry in entries}
    assert "SECRET" not in log
    assert KEY not in log
