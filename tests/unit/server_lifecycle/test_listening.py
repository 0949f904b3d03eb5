"""The sockets of the server."""

from __future__ import annotations

import socket

import pytest

from clouddeploy.errors import SpecError
from clouddeploy.server.listening import Listening


def test_each_worker_has_a_socket_of_its_own_on_one_port() -> None:
    listening = Listening("127.0.0.1", 0, 3)
    try:
        assert {sock.getsockname()[1] for sock in listening.sockets} == {listening.port}
        assert len({sock.fileno() for sock in listening.sockets}) == 3
        assert not listening.shared
    finally:
        listening.close()


def test_where_a_port_cant_be_shared_the_workers_share_one_socket() -> None:
    listening = Listening("127.0.0.1", 0, 3, share=False)
    try:
        assert len({sock.fileno() for sock in listening.sockets}) == 1
        assert listening.shared
        with socket.create_connection(("127.0.0.1", listening.port), 5):
            listening.sockets[0].accept()[0].close()
    finally:
        listening.close()


def test_a_port_in_use_is_refused_also_where_it_could_be_shared() -> None:
    first = Listening("127.0.0.1", 0, 2)
    try:
        with pytest.raises(SpecError, match="in use"):
            Listening("127.0.0.1", first.port, 2)
    finally:
        first.close()
    Listening("127.0.0.1", first.port, 2).close()


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host"])
def test_an_address_that_isnt_ours_is_refused(host: str) -> None:
    with pytest.raises(SpecError, match="can't listen"):
        Listening(host, 0, 1)
