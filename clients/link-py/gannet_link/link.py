"""A link: what a program has to do with."""

from __future__ import annotations

import base64

from .commands import Commands
from .errors import LinkLost
from .events import EventStream
from .operations import Operations
from .options import Options


def _message_field(message):
    """The field of a push that a message is: text, bytes, or any other value as JSON."""
    if isinstance(message, str):
        return {"text": message}
    if isinstance(message, (bytes, bytearray, memoryview)):
        return {"data": base64.b64encode(message).decode()}
    return {"json": message}


class Link(Operations):
    """A link to a gannet's backend port: commands on one connection, and each stream of events on another.

    Every operation of docs/link.md is a method, and returns a future: it is sent when it is called, and its reply is what it is
    awaited for. To cancel the future does not undo the command. ``options`` are those of ``gannet_link.options.Options``.
    """

    def __init__(self, url, *, key=None, app=None, **options):
        self._url, self._options = url, Options(key=key, app=app, **options)
        self._commands = Commands(url, self._options)
        self._streams = []
        self._is_closed = False

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    def command(self, command):
        """Any command, with its fields as docs/link.md has them."""
        return self._commands.ask(command)

    def push(self, message, *, session=None, user=None, group=None, tag=None, all=None, all_of=None, ttl_ms=None, key=None,
             class_=None, except_=None, receipt=None, names=None, app=None, scope=None):
        """Sends a message to sessions: a text, bytes, or any other value as JSON."""
        to = {"session": session, "user": user, "group": group, "tag": tag, "all": all, "all_of": all_of}
        to = {name: value for name, value in to.items() if value is not None}
        fields = {"ttl_ms": ttl_ms, "key": key, "class": class_, "except": except_, "receipt": receipt, "names": names}
        return self._ask("push", {"to": to, **_message_field(message)}, {**fields, "app": app, "scope": scope})

    def events(self, events, *, share=None, with_=None, name=None, snapshot=None, numbers=None, scope=None, resume=None):
        """Events from now on, on a connection of their own. One counts as read when the next one is asked for.

        ``resume`` is the ``place`` of a stream of another process, which goes on here. With ``scope="cluster"`` they are about the
        sessions of all nodes of a cluster.
        """
        if self._is_closed:
            raise LinkLost("the link is closed", False)
        listen = {"share": share, "with": with_, "name": name, "snapshot": snapshot, "numbers": numbers, "scope": scope}
        listen = {name: value for name, value in listen.items() if value is not None}
        stream = EventStream(self._url, self._options, {"events": events, **listen}, resume)
        self._streams = [stream for stream in self._streams if not stream.is_over] + [stream]
        return stream

    async def drain(self):
        """Returns when at most half of what may wait waits."""
        await self._commands.drain()

    async def close(self):
        """Says goodbye. What is not answered fails with LinkLost, and streams end."""
        self._is_closed = True
        await self._commands.close()
        for stream in self._streams:
            await stream.aclose()

    def _ask(self, operation, required, optional):
        fields = {name: value for name, value in optional.items() if value is not None}
        return self._commands.ask({"op": operation, **required, **fields})
