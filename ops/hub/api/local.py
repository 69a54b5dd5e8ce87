"""Handlers by which a running local Hub is told what is to go wrong; huggingface.co has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from ops.hub.errors import HubError, bad_request, not_logged_in
from ops.hub.fault_text import FaultTextError, parse, render
from ops.hub.faulty import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.hub.api.call import Call, Route


def routes() -> Iterator[Route]:
    """The paths of this module."""
    yield f"{LOCAL}faults", ["GET", "POST", "DELETE"], faults
    yield f"{LOCAL}faults/{{number:count}}", ["DELETE"], fault


def faults(call: Call) -> Response:
    """GET /_local/faults; POST adds the one of `{"fault": TEXT}`; DELETE calls off all."""
    _require_write(call)
    if call.method == "DELETE":
        call.hub.faults.clear()
    elif call.method == "POST":
        try:
            added = parse(call.text("fault"))
        except FaultTextError as error:
            raise bad_request(str(error)) from error
        call.hub.faults.add(added)
    return JSONResponse(
        [
            {"number": p.number, "fault": render(p.fault), "taken": p.taken}
            for p in call.hub.faults.pending
        ]
    )


def fault(call: Call) -> Response:
    """DELETE /_local/faults/NUMBER."""
    _require_write(call)
    if not call.hub.faults.remove(int(call.path["number"])):
        raise HubError(404, f"There is no fault {call.path['number']}")
    return Response(status_code=204)


def _require_write(call: Call) -> None:
    """Anybody who may write anything: faults meet all."""
    if call.caller is None:
        raise not_logged_in()
    if call.caller.role != "write":
        raise HubError(403, "Faults need a token with the role write")
