"""Commands and their replies, on a connection of their own: what is in flight, what waits, and what becomes of both when it is lost."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict, deque

from .errors import LinkBusy, LinkError, LinkLost
from .frames import TEXT, Broken
from .line import Line

_LAST_ID = 2**32 - 1


class _Entry:
    """A command until its reply has come: also where nothing waits for that any more."""

    __slots__ = ("id", "payload", "future", "at", "is_written")

    def __init__(self, id, payload, future, at):
        self.id, self.payload, self.future, self.at = id, payload, future, at
        self.is_written = False

    def fail(self, error):
        if not self.future.done():
            self.future.set_exception(error)


class Commands:
    def __init__(self, url, options):
        self._url, self._options = url, options
        self._line = None
        self._asked = {}  # by their ids, until they are answered: those that wait, and those that are written
        self._queue = OrderedDict()  # those that wait
        self._waiting_bytes = 0
        self._next_id = options.first_id
        self._drains = deque()
        self._patience = None
        self._lost_at = 0.0
        self._end = None
        self._drainer = None

    def ask(self, command):
        """The reply to a command, as a future. It is written at once if it may be, before this returns."""
        if self._end is not None:
            raise self._end
        loop = asyncio.get_running_loop()
        number = self._free_id()
        payload = json.dumps({"id": number, **command}, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        must_wait = bool(self._queue) or not self._may_write()
        if must_wait and (len(self._queue) >= self._options.waiting_commands or self._waiting_bytes + len(payload) > self._options.waiting_bytes):
            raise LinkBusy(f"{len(self._queue)} commands wait, of {self._waiting_bytes} bytes")
        entry = _Entry(number, payload, loop.create_future(), loop.time())
        entry.future.add_done_callback(lambda future: self._cancelled(entry) if future.cancelled() else None)
        self._asked[number] = self._queue[number] = entry
        self._waiting_bytes += len(payload)
        if self._line is None:
            self._line = Line(self._url, self._options, self)
        self._write()
        self._be_patient()
        return entry.future

    async def drain(self):
        """Returns when at most half of what may wait waits."""
        if not self._has_room():
            self._drains.append(asyncio.get_running_loop().create_future())
            await self._drains[-1]

    async def close(self):
        self.ended(LinkLost("the link is closed", False))
        if self._line is not None:
            await self._line.close()
        if self._drainer is not None:
            self._drainer.cancel()

    def query(self):
        return {}

    def opened(self):
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._write()

    def message(self, message, _size):
        entry = self._asked.get(message.get("id"))
        if entry is None or not entry.is_written:
            # One of the commands will not be answered, and it is not known which.
            raise Broken(f"a reply to no command: {message.get('error', message.get('id'))}")
        del self._asked[entry.id]
        if not entry.future.done():
            error = message.get("error")
            if error is None:
                entry.future.set_result(message["ok"])
            else:
                entry.future.set_exception(LinkError(error["code"], error["message"]))
        self._write()

    def lost(self, why):
        self._lost_at = asyncio.get_running_loop().time()
        for entry in [entry for entry in self._asked.values() if entry.is_written]:
            del self._asked[entry.id]
            error = LinkLost(f"the link was lost: {why}", True)
            error.__cause__ = why
            entry.fail(error)
        self._be_patient()

    def ended(self, error):
        self._end = self._end or error
        if self._patience is not None:
            self._patience.cancel()
        for entry in self._asked.values():
            entry.fail(LinkLost(str(error), entry.is_written) if isinstance(error, LinkLost) else error)
        self._asked.clear()
        self._queue.clear()
        self._waiting_bytes = 0
        self._drained()

    def _free_id(self):
        while True:
            number = self._next_id
            self._next_id = 1 if number == _LAST_ID else number + 1
            if number not in self._asked:
                return number

    def _may_write(self):
        """Cancelled commands that are written count too: their ids are not free before their replies have come."""
        connection = self._line and self._line.connection
        return connection is not None and not connection.is_full and len(self._asked) - len(self._queue) < self._options.window

    def _write(self):
        while self._queue and self._may_write():
            entry = next(iter(self._queue.values()))
            self._leaves(entry)
            if entry.future.done():
                del self._asked[entry.id]
                continue
            entry.is_written = True
            self._line.connection.write(TEXT, entry.payload)
        self._drained()
        if self._queue and self._drainer is None and self._line.connection is not None and self._line.connection.is_full:
            self._drainer = asyncio.get_running_loop().create_task(self._write_later(self._line.connection))

    async def _write_later(self, connection):
        await connection.writable()
        self._drainer = None
        self._write()

    def _leaves(self, entry):
        """It waits no more."""
        del self._queue[entry.id]
        self._waiting_bytes -= len(entry.payload)

    def _cancelled(self, entry):
        if entry.id in self._queue and self._queue[entry.id] is entry:
            del self._asked[entry.id]
            self._leaves(entry)
            self._drained()

    def _has_room(self):
        return len(self._queue) * 2 <= self._options.waiting_commands and self._waiting_bytes * 2 <= self._options.waiting_bytes

    def _drained(self):
        while self._drains and self._has_room():
            future = self._drains.popleft()
            if not future.done():
                future.set_result(None)

    def _be_patient(self):
        """Without a connection a command waits for so long, and no longer. They wait in their order: one timer is enough."""
        if self._line is None or self._line.connection is not None or not self._queue or self._patience is not None:
            return
        first = next(iter(self._queue.values()))
        until = max(first.at, self._lost_at) + self._options.patience_s
        self._patience = asyncio.get_running_loop().call_at(until, self._give_up)

    def _give_up(self):
        self._patience = None
        before = asyncio.get_running_loop().time() - self._options.patience_s
        while self._queue:
            entry = next(iter(self._queue.values()))
            if max(entry.at, self._lost_at) > before:
                break
            del self._asked[entry.id]
            self._leaves(entry)
            entry.fail(LinkLost(f"no connection for {self._options.patience_s} s", False))
        self._drained()
        self._be_patient()
