"""A loopback port for a server that somebody else will start."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port that nothing listens on and that the system gives to nobody else for a minute.

    A connection that was closed from the server's side leaves its port waiting (TIME_WAIT):
    the system does not choose it for others then, while a server that asks for it by number gets
    it (SO_REUSEADDR, which servers set). A process that asks for that very number gets it too.
    """
    with socket.create_server((LOOPBACK, 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address) as client, server.accept()[0] as accepted:
            accepted.shutdown(socket.SHUT_WR)
            client.recv(1)
        return int(address[1])
