"""Events, on a connection of their own, so that a program that does not read them holds up no replies."""

from __future__ import annotations

import asyncio
import json
from collections import deque

from .errors import LinkError, LinkLost
from .frames import TEXT
from .line import Line

_LISTEN = 1  # the id of the only command here


class EventStream:
    """What ``async for`` takes one event after the other from. An event counts as read when the next one is asked for.

    To leave the loop does not end the stream: ``aclose()`` does, ``async with``, or the end of the link.
    """

    def __init__(self, url, options, listen, resume=None):
        self._options, self._listen = options, listen
        self._held = deque()  # events with their sizes and numberings
        self._held_bytes = 0
        self._news = asyncio.Event()
        self._out = []  # the numberings of what the program has got and may be at
        self._numbering = 0  # each link that gannet does not know any more has another
        self._ticket = None
        self._was_linked = self._is_listening = resume is not None
        self._counted = self._arrived = 0  # of this numbering
        self._told = 0  # what _counted was when it dialled
        self._skip = 0  # events that come again although they have arrived
        self._is_over = False
        self._end = None
        if resume is not None:
            self._ticket, self._counted = resume["resume"], resume["received"]
            self._arrived = self._counted
        self._line = Line(url, options, self)

    @property
    def place(self):
        """With this, as ``resume`` of a stream of another process, exactly the events come that have not been read."""
        return None if self._ticket is None else {"resume": self._ticket, "received": self._counted}

    @property
    def is_over(self):
        """Whether nothing comes any more."""
        return self._is_over

    async def ready(self):
        """Returns when the server listens for it: whatever happens from then on is an event."""
        while not self._is_listening:
            if self._end is not None or self._is_over:
                raise self._end or LinkLost("the stream is closed", False)
            await self._wait()

    def __aiter__(self):
        return self

    async def __anext__(self):
        self._counted += sum(numbering == self._numbering for numbering in self._out)
        self._out.clear()
        while not self._held:
            if self._is_over:
                raise StopAsyncIteration
            if self._end is not None:
                raise self._end
            await self._wait()
        event, size, numbering = self._held.popleft()
        self._held_bytes -= size
        self._out.append(numbering)
        if not self._is_full() and self._line.connection is not None:
            self._line.connection.resume()
        return event

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.aclose()

    async def aclose(self):
        """Says goodbye: what comes from now on goes to other links of the share."""
        self._is_over = True
        self._held.clear()
        self._held_bytes = 0
        self._news.set()
        await self._line.close()

    async def _wait(self):
        """For anything new, which everybody who waits hears of."""
        news = self._news
        await news.wait()
        if news is self._news:
            self._news = asyncio.Event()

    def query(self):
        self._told = self._counted
        return {"resume": "new"} if self._ticket is None else {"resume": self._ticket, "received": self._told}

    def opened(self):
        """The first message is a ticket."""

    def message(self, message, size):
        if "event" in message:
            self._take(message, size)
        elif "resume" in message:
            self._is_back(message)
        elif "error" in message:
            self.ended(LinkError(message["error"]["code"], message["error"]["message"]))
            self._line.stop()
        else:
            self._is_listening = True
            self._news.set()
        if self._is_full() and self._skip == 0:
            self._line.connection.pause()

    def lost(self, _why):
        self._skip = 0

    def ended(self, error):
        self._end = error
        self._news.set()

    def _take(self, event, size):
        if self._skip > 0:
            self._skip -= 1
            return
        self._arrived += 1
        self._hold(event, size)

    def _hold(self, event, size):
        self._held.append((event, size, self._numbering))
        self._held_bytes += size
        self._news.set()

    def _is_back(self, message):
        """The first message of each connection."""
        self._ticket, was_linked = message["resume"], self._was_linked
        self._was_linked = True
        if message.get("resumed"):
            self._skip = self._arrived - self._told
        else:
            self._numbering += 1
            self._counted = self._arrived = 0
            # It still listens to what it did where events are missing.
            self._is_listening = message.get("why") == "gap" and self._is_listening and not self._listen.get("snapshot")
            # A server that keeps no links says of none that events are missing.
            if was_linked and "resumed" not in message:
                self._hold({"event": "gap"}, 0)
        if not self._is_listening:
            command = {"id": _LISTEN, "op": "listen", **self._listen}
            self._line.connection.write(TEXT, json.dumps(command, ensure_ascii=False).encode())

    def _is_full(self):
        return len(self._held) >= self._options.held_events or self._held_bytes >= self._options.held_bytes
