"""A proxy between one process and PostgreSQL that can cut the connection at a statement: before the server
gets it, or after the server has executed it, so that the work is committed and the process never learns of
it.

It parses the protocol (version 3, without TLS:
https://www.postgresql.org/docs/18/protocol-message-formats.html) only as far as needed to find a message's
bounds and its statement.
"""

import asyncio
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from infra.tools.local.ports import HOST

When = Literal["before", "after"]

_TLS_CODES: Final = frozenset({80877103, 80877104})  # SSLRequest, GSSENCRequest
_PARSE, _BIND, _QUERY, _COMPLETE = b"P", b"B", b"Q", b"C"


@dataclass(slots=True)
class _Cut:
    """A cut at the first statement that does `verb`. `done` is set when it has happened."""

    when: When
    verb: str
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def of_query(self, text: bytes) -> bool:
        verb = re.compile(rb"\b" + self.verb.encode() + rb"\b", re.IGNORECASE)
        return self.when == "before" and verb.search(text) is not None

    def of_tag(self, tag: bytes) -> bool:
        return self.when == "after" and tag.split(b" ")[0] == self.verb.encode()


class Proxy:
    """Forwards one process's connections: `async with Proxy.serving() as proxy:`. At most one cut is
    pending at a time."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self._cut: _Cut | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def serving(cls, server_port: int = 0) -> AsyncIterator[Self]:
        """Listens on `port`. The server's port may be set later; no connection is forwarded before."""
        proxy = cls(server_port)
        server = await asyncio.start_server(proxy._accept, HOST, 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            for task in proxy._tasks:
                task.cancel()
            await asyncio.gather(*proxy._tasks, return_exceptions=True)

    async def cut(self, when: When, verb: str) -> None:
        """Returns when the cut has happened. Cancelling it calls the cut off."""
        cut = self._cut = _Cut(when, verb)
        try:
            await cut.done.wait()
        finally:
            self._cut = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "inside a coroutine there is a task"
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._carry(reader, writer)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await _startup(reader, writer)
        there_reader, there_writer = await asyncio.open_connection(HOST, self.server_port)
        there_writer.write(hello)
        try:
            ways = {
                asyncio.create_task(self._to_server(reader, there_writer)),
                asyncio.create_task(self._to_process(there_reader, writer)),
            }
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            there_writer.transport.abort()

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forwards messages until the connection is cut."""
        statements: dict[bytes, bytes] = {}
        while True:
            kind, message = await _message(reader)
            text = _text(kind, message[5:], statements)
            if text and self._cut and self._cut.of_query(text):
                self._cut.done.set()
                return
            writer.write(message)
            await writer.drain()

    async def _to_process(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forwards messages until the connection is cut."""
        while True:
            kind, message = await _message(reader)
            if kind == _COMPLETE and self._cut and self._cut.of_tag(message[5:].rstrip(b"\0")):
                self._cut.done.set()
                return
            writer.write(message)
            await writer.drain()


async def _startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Returns the first message that is meant for the server. Refuses offers of encryption, as the local
    server would."""
    while True:
        head = await reader.readexactly(8)
        length, code = struct.unpack(">ii", head)
        rest = await reader.readexactly(length - 8)
        if code not in _TLS_CODES:
            return head + rest
        writer.write(b"N")
        await writer.drain()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Returns a message's kind and the whole message: one byte for the kind, then four for the length,
    which counts itself."""
    head = await reader.readexactly(5)
    (length,) = struct.unpack(">i", head[1:])
    return head[:1], head + await reader.readexactly(length - 4)


def _text(kind: bytes, body: bytes, statements: dict[bytes, bytes]) -> bytes:
    """Returns the SQL that this message executes, as far as it shows; for a prepared statement, at its
    Bind message."""
    if kind == _QUERY:
        return body.rstrip(b"\0")
    if kind == _PARSE:
        name, query, _ = body.split(b"\0", 2)
        statements[name] = query
    elif kind == _BIND:
        _, name, _ = body.split(b"\0", 2)
        return statements.get(name, b"")
    return b""
