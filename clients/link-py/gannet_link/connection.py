"""A WebSocket to gannet's backend port: its upgrade, its messages, its silence and its end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import ssl
from urllib.parse import parse_qsl, urlencode, urlsplit

from .errors import LinkError
from .frames import CLOSE, PING, PONG, TEXT, Broken, Messages, frame

_MOST_REFUSAL_BYTES = 65_536
_READ_BYTES = 65_536


class Connection:
    """A connection behind its upgrade."""

    def __init__(self, reader, writer, options):
        self._reader, self._writer, self._options = reader, writer, options
        self._messages = Messages(options.message_bytes)
        self._goes = asyncio.Event()
        self._goes.set()
        self._is_closing = False
        self._is_silent = 0
        self._why = self._alive = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(options.silence_s, self._ask)

    async def read(self, take):
        """Gives ``take`` each message and its size, to the end: why it has ended."""
        try:
            while not await self._read_all(take):
                chunk = await self._reader.read(_READ_BYTES)
                self._is_silent = 0
                if not chunk:
                    break
                self._messages.push(chunk)
        except (Broken, ValueError) as error:
            self._why = self._why or error
            if not self._is_closing:
                self.write(CLOSE, (1002).to_bytes(2, "big"))
        except OSError as error:
            self._why = self._why or error
        finally:
            self._timer.cancel()
            self._is_closing = True
            self._writer.close()
        return self._why or ConnectionError("the connection was cut")

    async def _read_all(self, take):
        """Takes all messages that have come; true behind a Close."""
        while True:
            if not self._goes.is_set():
                await self._goes.wait()
            one = self._messages.next()
            if one is None:
                return False
            opcode, payload = one
            if opcode == TEXT and not self._is_closing:
                take(json.loads(payload), len(payload))
            elif opcode == PING and not self._is_closing:
                self.write(PONG, payload)
            elif opcode == CLOSE:
                said = f"{int.from_bytes(payload[:2], 'big')}: {payload[2:].decode('utf-8', 'replace')}"
                self._why = self._why or ConnectionError(f"closed with {said}")
                if not self._is_closing:
                    self.write(CLOSE, payload[:2])
                return True

    @property
    def is_full(self):
        """Whether what is written would only wait in this process."""
        return self._is_closing or self._writer.transport.get_write_buffer_size() > _READ_BYTES

    def write(self, opcode, payload):
        self._writer.write(frame(opcode, payload))

    async def writable(self):
        try:
            await self._writer.drain()
        except OSError:
            pass  # whoever reads hears of it

    def pause(self):
        """Stops reading.

        Pongs that were not asked for say that the program is there, which has to be heard of within link_idle_ms; and the end of a
        connection that is not read shows when something is written.
        """
        if self._goes.is_set() and not self._is_closing:
            self._goes.clear()
            self._alive = self._loop.call_later(self._options.paused_s, self._say)

    def _say(self):
        if not self._goes.is_set() and not self._is_closing:
            if self._writer.transport.is_closing():
                return self._goes.set()
            self.write(PONG, b"")
            self._alive = self._loop.call_later(self._options.paused_s, self._say)

    def resume(self):
        if not self._goes.is_set():
            self._is_silent = 0
            self._alive.cancel()
            self._goes.set()

    def close(self, code, why=None):
        if self._is_closing:
            return
        self._why = self._why or why
        self.write(CLOSE, code.to_bytes(2, "big"))
        self._is_closing = True
        self._goes.set()
        self._timer.cancel()
        self._timer = self._loop.call_later(self._options.close_s, self._writer.transport.abort)

    def _ask(self):
        """A connection that is not read says nothing, and is not asked."""
        if self._goes.is_set():
            self._is_silent += 1
            if self._is_silent == 1:
                self.write(PING, b"")
            else:
                self._why = ConnectionError("the server is silent")
                return self._writer.transport.abort()
        self._timer = self._loop.call_later(self._options.silence_s, self._ask)


class Refused(Exception):
    """The upgrade was refused for now; ``retry_s`` if the server says for how long."""

    def __init__(self, message, retry_s):
        super().__init__(message)
        self.retry_s = retry_s


async def dial(url, query, options):
    """Asks for an upgrade: the streams behind it."""
    address = urlsplit(url)
    is_secure = address.scheme in ("https", "wss")
    context = (options.ssl or ssl.create_default_context()) if is_secure else None
    reader, writer = await asyncio.open_connection(address.hostname, address.port or (443 if is_secure else 80), ssl=context)
    try:
        nonce = base64.b64encode(os.urandom(16)).decode()
        app = {} if options.app is None else {"app": options.app}
        target = (address.path if address.path not in ("", "/") else "/v1/link") + "?"
        target += urlencode({**dict(parse_qsl(address.query)), **app, **query})
        authorization = f"Authorization: Bearer {options.key}\r\n" if options.key else ""
        writer.write((f"GET {target} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{authorization}"
                      f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\nSec-WebSocket-Protocol: gannet.link.json\r\n\r\n").encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        status = head[0].split(" ")[1]
        if status != "101":
            raise await _refusal(int(status), headers, reader)
        accept = hashlib.sha1(f"{nonce}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        if headers.get("sec-websocket-accept") != base64.b64encode(accept).decode() or headers.get("sec-websocket-protocol") != "gannet.link.json":
            raise ConnectionError("the answer is not that of a link")
        return reader, writer
    except BaseException:
        writer.close()
        raise


async def _refusal(status, headers, reader):
    """What an answer without an upgrade means: a LinkError is final."""
    size = int(headers.get("content-length", _MOST_REFUSAL_BYTES))
    body = b""
    while len(body) < min(size, _MOST_REFUSAL_BYTES):
        chunk = await reader.read(_READ_BYTES)
        if not chunk:
            break
        body += chunk
    try:
        said = json.loads(body)["error"]
        code, message = said["code"], said["message"]
    except (ValueError, LookupError, TypeError):  # a proxy has answered, and not gannet
        code, message = f"http_{status}", f"the server answers {status}"
    if status < 500 and status not in (408, 429):
        return LinkError(code, message)
    seconds = headers.get("retry-after", "")
    return Refused(f"{code}: {message}", float(seconds) if seconds.isdigit() else None)
