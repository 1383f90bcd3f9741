"""Servers with TLS whose certificates are good or bad, and one that is strict about the client's."""

import socket
import ssl
import struct
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

from tests.integration.secured import Authority


def server_tls(authority: Authority, *hosts: str, ask: bool = False, **when: bool) -> ssl.SSLContext:
    """The server's side; `ask` makes it want a certificate of the client."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.issue(f"registry-{uuid.uuid4().hex}", *hosts, **when))
    if ask:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.cafile)
    return context


@contextmanager
def strict_server(authority: Authority, *, hurried: int) -> Iterator[int]:
    """A server that wants a certificate of the authority, and tells whoever has none. Yields its port.

    To the first so many it has told nothing when the connection is reset: that is what is left of an alert when the
    client had already spoken.
    """
    context = server_tls(authority, "127.0.0.1", ask=True)
    turns = count()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            with suppress(OSError):  # it is closed at the end
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(ssl.SSLError):
                        if next(turns) < hurried:
                            _reset(connection, context)
                        else:
                            context.wrap_socket(connection, server_side=True).close()

        refusing = threading.Thread(target=refuse, name="strict server")
        refusing.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        refusing.join()


def _reset(connection: socket.socket, context: ssl.SSLContext) -> None:
    """Shake hands up to where the client speaks, and reset the connection without a word."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    with suppress(ssl.SSLWantReadError):
        incoming.write(connection.recv(65536))
        server.do_handshake()
    connection.sendall(outgoing.read())
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
