"""Real servers for the tests, a relay before one that cuts connections, and players."""

import asyncio
import base64
import json
import os
import pathlib
import re
import shutil
import tempfile
import urllib.error
import urllib.request

from gannet_link.frames import CLOSE, PING, PONG, TEXT, frame


async def until(what, holds, most_s=60):
    """Waits until something holds, and says what was waited for if that takes too long."""
    deadline = asyncio.get_running_loop().time() + most_s
    while True:
        found = holds()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert asyncio.get_running_loop().time() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.01)


class Server:
    """A gannet of its own, with this configuration; it ends with ``stop``, whichever process serves by then."""

    @classmethod
    async def start(cls, program, toml, files=None):
        self = cls()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="gannet-link-"))
        for name, text in {**(files or {}), "gannet.toml": toml}.items():
            (self.directory / name).write_text(text)
        arguments = ["serve", "--listen", "127.0.0.1:0", "--backend", "127.0.0.1:0", "--log", "error", "--config", self.directory / "gannet.toml"]
        self._process = await asyncio.create_subprocess_exec(program, *arguments, stdout=asyncio.subprocess.PIPE)
        self._pid, said = self._process.pid, ""
        while "try  " not in said:
            line = await self._process.stdout.readline()
            assert line, f"the server ended: {said}"
            said += line.decode()
        self.clients = re.search(r"wss?://([\d.]+:\d+)", said)[1]
        self.backend = re.search(r"https?://[\d.]+:\d+", said)[0]
        self._draining = asyncio.create_task(self._process.stdout.read())
        return self

    async def ask(self, path, method="GET", body=None, headers=None):
        def answer():
            request = urllib.request.Request(self.backend + path, method=method, data=body, headers=headers or {})
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.read().decode()

        return await asyncio.get_running_loop().run_in_executor(None, answer)

    async def metric(self, name):
        lines = (await self.ask("/metrics")).split("\n")
        return sum(float(line.split(" ")[-1]) for line in lines if line.startswith(name))

    async def upgrade(self):
        self._pid = json.loads(await self.ask("/v1/admin/upgrade", "POST"))["pid"]

    async def stop(self):
        os.kill(self._pid, 15)
        await self._process.wait()

        async def is_gone():
            try:
                await self.ask("/healthz")
            except (OSError, urllib.error.URLError):
                return True

        await until("the end of the server", is_gone)
        await self._draining
        shutil.rmtree(self.directory, ignore_errors=True)


class Relay:
    """A relay before ``upstream``."""

    @classmethod
    async def start(cls, upstream):
        self = cls()
        self.upstream, self.blocks, self._writers = upstream, False, set()
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.address = "127.0.0.1:%d" % self._server.sockets[0].getsockname()[1]
        return self

    async def _relay(self, reader, writer):
        if self.blocks:
            return writer.transport.abort()
        host, port = self.upstream.split(":")
        there, to = await asyncio.open_connection(host, int(port))
        self._writers |= {writer, to}
        await asyncio.gather(self._copy(reader, to), self._copy(there, writer))
        self._writers -= {writer, to}

    async def _copy(self, reader, writer):
        try:
            while True:
                data = await reader.read(65_536)
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    def cut(self):
        for writer in list(self._writers):
            writer.transport.abort()

    async def stop(self):
        self._server.close()
        self.cut()


class Player:
    """A player, and what it gets."""

    @classmethod
    async def join(cls, server, user):
        self = cls()
        self.got, self.session, self.closed, self.has_ended = [], None, None, False
        host, port = server.clients.split(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port))
        key = base64.b64encode(os.urandom(16)).decode()
        self._writer.write((f"GET /ws?user={user} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        self._reading = asyncio.create_task(self._read())
        await until("the welcome", lambda: self.session)
        return self

    async def _read(self):
        try:
            while True:
                # Frames of a server are not masked, and gannet does not fragment messages.
                head, size = await self._reader.readexactly(2)
                if size >= 126:
                    size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
                self._take(head & 15, await self._reader.readexactly(size))
        except (OSError, EOFError):
            self.has_ended = True

    def _take(self, opcode, payload):
        if opcode == PING:
            self._writer.write(frame(PONG, payload))
        elif opcode == CLOSE:
            self.closed = int.from_bytes(payload[:2], "big")
            self._writer.write(frame(CLOSE, payload[:2]))
            self._writer.close()
        elif self.session is None:
            self.session = json.loads(payload)["session"]
        elif opcode == TEXT:
            self.got.append(payload.decode())
        else:
            self.got.append(payload.hex())

    def send(self, text):
        self._writer.write(frame(TEXT, text.encode()))

    def close(self):
        self._writer.write(frame(CLOSE, (1000).to_bytes(2, "big")))
