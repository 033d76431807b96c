"""The kernel's queue of new connections is emptied in a few turns of the event loop."""

import asyncio
import contextlib
import errno
import logging
import socket

import pytest
import uvloop

from app.server.accept_queue import AcceptQueue


class Greeting(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"hello")
        transport.close()


class WithoutFiles(socket.socket):
    """A listener whose first accepts find no file left."""

    failures = 1
    failed = 0

    def accept(self):
        if self.failed < self.failures:
            self.failed += 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@pytest.fixture
def listen():
    with contextlib.ExitStack() as stack:

        def begin(kind=socket.socket):
            listener = stack.enter_context(kind(socket.AF_INET, socket.SOCK_STREAM))
            listener.bind(("127.0.0.1", 0))
            listener.setblocking(False)
            listener.listen(300)
            return listener

        yield begin


@pytest.fixture
def connect():
    with contextlib.ExitStack() as stack:

        def begin(listener, count):
            address = listener.getsockname()
            return [
                stack.enter_context(socket.create_connection(address, timeout=20))
                for _ in range(count)
            ]

        yield begin


def greetings(clients):
    return [client.recv(100, socket.MSG_WAITALL) for client in clients]


def test_200_connections_are_accepted_in_a_few_turns(listen, connect):
    listener = listen()
    clients = connect(listener, 200)
    accepted = []

    async def turns():
        queue = AcceptQueue(listener, lambda: accepted.append(1) or Greeting())
        count = 0
        while len(accepted) < len(clients):
            await asyncio.sleep(0)
            count += 1
        await queue.close()
        return count

    # libuv's own listener needs a turn for each
    assert uvloop.run(turns()) <= 20
    assert greetings(clients) == [b"hello"] * 200


def test_connections_in_the_queue_are_served_when_it_closes(listen, connect):
    listener = listen()
    clients = connect(listener, 200)

    async def close():
        await AcceptQueue(listener, Greeting).close()
        await asyncio.sleep(0.01)

    uvloop.run(close())
    assert greetings(clients) == [b"hello"] * 200
    assert listener.fileno() == -1


def test_without_a_free_file_connections_wait(listen, connect, caplog):
    listener = listen(WithoutFiles)
    (client,) = connect(listener, 1)

    async def serve():
        queue = AcceptQueue(listener, Greeting)
        received = await asyncio.to_thread(greetings, [client])
        await queue.close()
        return received

    with caplog.at_level(logging.ERROR, "hubel"):
        assert uvloop.run(serve()) == [b"hello"]
    assert "new connections wait" in caplog.text


def test_the_queue_closes_while_connections_wait_for_a_file(listen, connect):
    listener = listen(WithoutFiles)
    clients = connect(listener, 3)

    async def close():
        queue = AcceptQueue(listener, Greeting)
        while not listener.failed:
            await asyncio.sleep(0.001)
        await queue.close()
        await asyncio.sleep(0.01)

    uvloop.run(close())
    assert greetings(clients) == [b"hello"] * 3


def test_a_queue_that_finds_no_file_when_it_closes_ends(listen, caplog):
    listener = listen(WithoutFiles)
    listener.failures = 2

    async def close():
        queue = AcceptQueue(listener, Greeting)
        while not listener.failed:
            await asyncio.sleep(0.001)
        await queue.close()
        await asyncio.sleep(0.6)  # longer than the pause

    connect_one = socket.create_connection(listener.getsockname(), timeout=20)
    with connect_one, caplog.at_level(logging.ERROR):
        uvloop.run(close())
    assert listener.failed == 2
    assert {line.name for line in caplog.records} == {"hubel"}  # none by asyncio


def test_an_unexpected_error_closes_the_connection_and_is_logged(listen, connect, caplog):
    listener = listen()
    (client,) = connect(listener, 1)

    def fail():
        raise ValueError("no protocol")

    async def serve():
        queue = AcceptQueue(listener, fail)
        received = await asyncio.to_thread(greetings, [client])
        await queue.close()
        return received

    with caplog.at_level(logging.ERROR, "hubel"):
        assert uvloop.run(serve()) == [b""]
    assert "no protocol" in caplog.text
