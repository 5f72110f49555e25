"""A connection that is made anew whenever it is lost, after pauses that grow."""

from __future__ import annotations

import asyncio
import random

from .connection import Connection, Refused, dial
from .errors import LinkError


class Line:
    """Keeps a connection for its user, who is told: opened, message, lost, and ended for good."""

    def __init__(self, url, options, user):
        self.connection = None
        self._url, self._options, self._user = url, options, user
        self._is_over = False
        self._task = asyncio.get_running_loop().create_task(self._stay())

    def stop(self):
        """Ends the connection, and makes no other."""
        self._is_over = True
        if self.connection is not None:
            self.connection.close(1000)
        else:
            self._task.cancel()

    async def close(self):
        self.stop()
        await asyncio.wait([self._task])

    async def _stay(self):
        least, first, most, stable = self._options.backoff_s
        failures = 0
        while not self._is_over:
            opened_at = None
            try:
                streams = await asyncio.wait_for(dial(self._url, self._user.query(), self._options), self._options.connect_s)
                opened_at = asyncio.get_running_loop().time()
                self.connection = Connection(*streams, self._options)
                self._user.opened()
                error = await self.connection.read(self._user.message)
            except LinkError as final:
                return self._user.ended(final)
            except (OSError, EOFError, ValueError, LookupError, asyncio.LimitOverrunError, asyncio.TimeoutError, Refused) as lost:
                error = lost
            self.connection = None
            if self._is_over:
                return None
            if opened_at is not None:
                if asyncio.get_running_loop().time() - opened_at >= stable:
                    failures = 0
                self._user.lost(error)
            told = getattr(error, "retry_s", None)
            spread = first if told is not None else min(most, first * 2**failures)
            failures = min(failures + 1, 30)
            await asyncio.sleep((least if told is None else told) + random.random() * spread)
