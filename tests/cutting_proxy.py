"""A network that breaks: passes connections on to a server and cuts them in the middle."""

import random
import select
import socket
import threading
from collections.abc import Callable

Verdict = Callable[[bytes, bool], bool]
"""Called with each piece and whether it goes to the server: True cuts instead of passing it on."""


def never(_piece: bytes, _to_server: bool) -> bool:
    """Let everything pass."""
    return False


class CuttingProxy:
    """Listens on loopback; each connection goes to the next server that takes it, without stickiness.

    `cuts` counts the connections that were cut.

    Args:
        ports: Of the servers behind it, on loopback.
        is_cut: Decides for each piece of bytes.
    """

    def __init__(self, *ports: int, is_cut: Verdict = never) -> None:
        self._ports, self._next, self._is_cut, self.cuts = ports, 0, is_cut, 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client:
            for _ in self._ports:
                self._next += 1
                try:
                    server = socket.create_connection(("127.0.0.1", self._ports[self._next % len(self._ports)]), 5)
                except OSError:
                    continue
                with server:
                    self._copy(client, server)
                return

    def _copy(self, client: socket.socket, server: socket.socket) -> None:
        ends = {client: server, server: client}
        try:
            while True:
                for end in select.select(list(ends), [], [], 60)[0]:
                    piece = end.recv(65536)
                    if not piece:
                        return
                    if self._is_cut(piece, end is client):
                        with self._lock:
                            self.cuts += 1
                        return
                    ends[end].sendall(piece)
        except OSError:
            return

    def close(self) -> None:
        self._listener.close()


def now_and_then(seed: int, one_in: int) -> Verdict:
    """Cut at random: before the server hears, and after it has done what the client then never learns."""
    generator, lock = random.Random(seed), threading.Lock()

    def is_cut(_piece: bytes, _to_server: bool) -> bool:
        with lock:
            return generator.randrange(one_in) == 0

    return is_cut


class NextAnswerToCommit:
    """Once armed, cuts the answer to the next COMMIT: the rows are stored, and the client cannot know."""

    def __init__(self) -> None:
        self.is_armed = False
        self._is_waiting = False

    def __call__(self, piece: bytes, to_server: bool) -> bool:
        if self.is_armed and to_server and b"COMMIT\0" in piece:
            self._is_waiting = True
        if self._is_waiting and not to_server:
            self.is_armed = self._is_waiting = False
            return True
        return False
