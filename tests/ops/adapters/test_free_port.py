from __future__ import annotations

import socket

from ops.adapters.free_port import LOOPBACK, free_port


def test_a_free_port_is_taken_by_number_and_given_to_nobody_else() -> None:
    """A server that asks for the port gets it, and no later caller is given it too."""
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == len(ports)
    for port in ports[:20]:
        with socket.create_server((LOOPBACK, port)):
            pass
