"""The sockets on which the server listens, made before any worker is."""

from __future__ import annotations

import errno
import socket

from clouddeploy.errors import SpecError

BACKLOG = 2048


class Listening:
    """One socket for each worker on the same port, or one for all where the system can't share a port.

    Args:
        host: address to listen on.
        port: 0 takes a free one.
        count: of workers.
        share: let each worker have its own (``SO_REUSEPORT``).
        listen: take connections from now on; otherwise none is taken before somebody listens.

    Attributes:
        sockets: by number of the worker.
        port: the real one.
        shared: all workers have the same socket.

    Raises:
        SpecError: the address can't be listened on.
    """

    def __init__(self, host: str, port: int, count: int, *, share: bool = True, listen: bool = True) -> None:
        self._host, self.port, self._listen = host, port, listen
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.shared = not (share and hasattr(socket, "SO_REUSEPORT"))
        self.sockets: list[socket.socket] = []
        try:
            self._probe()
            self.sockets.append(self._bound())
            self.port = self.sockets[0].getsockname()[1]
            for _ in range(count - 1):
                self.sockets.append(self.sockets[0] if self.shared else self._bound())
        except OSError as error:
            self.close()
            raise self._refusal(error) from error

    def _probe(self) -> None:
        """Fail when another server is on the port already, also one that would share it."""
        if self.port:
            with socket.socket(self._family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((self._host, self.port))

    def _bound(self) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if not self.shared:
                try:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                except OSError:
                    self.shared = True  # a kernel or a sandbox that doesn't have it
            sock.bind((self._host, self.port))
            if self._listen:
                sock.listen(BACKLOG)
        except OSError:
            sock.close()
            raise
        return sock

    def _refusal(self, error: OSError) -> SpecError:
        fixes = {
            errno.EADDRINUSE: "stop what listens there, or choose another port (--port 0 takes a free one)",
            errno.EACCES: "choose a port from 1024 up",
            errno.EADDRNOTAVAIL: "choose an address of this machine, such as 127.0.0.1 or 0.0.0.0",
        }
        return SpecError(
            f"the server can't listen on {self._host}:{self.port}",
            why=str(error.strerror or error),
            fix=fixes.get(error.errno or 0, "choose another host or port"),
        )

    def close(self) -> None:
        """Take no more connections, as far as this process is concerned."""
        for sock in self.sockets:
            sock.close()
