"""The server of a vector: it does what the script says, on real sockets, and hears what the client writes."""

import asyncio
import base64
import hashlib
import json
from urllib.parse import parse_qsl, urlsplit

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
MOST_S = 20


class Inbox:
    """What comes, in its order, for whoever waits for the next."""

    def __init__(self):
        self.list, self._news = [], asyncio.Event()

    def push(self, one):
        self.list.append(one)
        self._news.set()

    async def next(self, what):
        async def first():
            while not self.list:
                self._news.clear()
                await self._news.wait()
            return self.list.pop(0)

        try:
            return await asyncio.wait_for(first(), MOST_S)
        except asyncio.TimeoutError:
            raise AssertionError(f"waited in vain for {what}") from None


def _frame(opcode, payload, is_final=True):
    size = len(payload)
    head = bytes([(0x80 if is_final else 0) | opcode])
    if size < 126:
        return head + bytes([size]) + payload
    if size < 65_536:
        return head + b"\x7e" + size.to_bytes(2, "big") + payload
    return head + b"\x7f" + size.to_bytes(8, "big") + payload


class Peer:
    """A connection of the client's."""

    def __init__(self, reader, writer, answers_pings):
        self.writer, self.last_id = writer, None
        self.inbox, self.pings = Inbox(), Inbox()
        self.alive = Inbox()  # Pongs that nobody has asked for
        self._reader, self._answers_pings = reader, answers_pings
        self.reading = asyncio.create_task(self._read())

    def write(self, opcode, payload, is_final=True):
        self.writer.write(_frame(opcode, payload, is_final))

    async def _read(self):
        try:
            while True:
                head, second = await self._reader.readexactly(2)
                size = second & 127
                if size >= 126:
                    size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
                mask = await self._reader.readexactly(4)
                payload = bytes(byte ^ mask[at & 3] for at, byte in enumerate(await self._reader.readexactly(size)))
                if head < 0x80 or head & 0x70 or second < 0x80:
                    self.inbox.push({"fault": "a frame that is a fragment, has reserved bits or no mask"})
                else:
                    self._take(head & 15, payload)
        except (OSError, EOFError):
            self.inbox.push({"end": True})

    def _take(self, opcode, payload):
        if opcode == _TEXT:
            self.inbox.push({"text": json.loads(payload)})
        elif opcode == _PONG:
            (self.inbox if payload else self.alive).push({"pong": payload.decode()})
        elif opcode == _CLOSE:
            self.inbox.push({"close": int.from_bytes(payload[:2], "big") if payload else 1005})
        elif opcode != _PING:
            self.inbox.push({"fault": f"the opcode {opcode}"})
        else:
            self.pings.push({"ping": payload.decode()})
            if self._answers_pings:
                self.write(_PONG, payload)


def same(found, expected):
    if found != expected:
        raise AssertionError(f"expected {str(expected)[:500]}, but there was {str(found)[:500]}")


class ScriptedServer:
    def __init__(self):
        self.peers, self.dials = [], Inbox()
        self._server, self._port, self._quiet, self._writers = None, 0, 0, []

    async def start(self):
        self._server = await asyncio.start_server(self._dialled, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self):
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for peer in self.peers:
            await peer.reading

    async def _dialled(self, reader, writer):
        self._writers.append(writer)
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except (OSError, EOFError):
            return
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.dials.push((reader, writer, urlsplit(first.split(" ")[1]), headers))

    async def do(self, action, step):
        """Does one step."""
        what, argument = (action, None) if isinstance(action, str) else next(iter(action.items()))
        if what in ("away", "back"):
            return await (self.stop() if what == "away" else self.start())
        if what in ("accept", "refuse"):
            return await getattr(self, what)(argument, step)
        peer = self.peers[step["on"] - 1 if "on" in step else -1]
        return await getattr(self, "on_" + what)(peer, argument)

    async def accept(self, _, step):
        reader, writer, url, headers = await self.dials.next("a connection")
        same(url.path, "/v1/link")
        if "query" in step:
            same(dict(parse_qsl(url.query)), step["query"])
        for name, value in step.get("headers", {}).items():
            same(headers.get(name), value)
        digest = hashlib.sha1((headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        accept = base64.b64encode(digest).decode()
        writer.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
                     "Sec-WebSocket-Protocol: gannet.link.json\r\n\r\n".encode())
        self.peers.append(Peer(reader, writer, step.get("answersPings", True)))

    async def refuse(self, argument, _):
        status, headers, body = argument
        _, writer, _, _ = await self.dials.next("a connection")
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": len(text), "Connection": "close"}.items())
        writer.write(f"HTTP/1.1 {status} No\r\n{lines}\r\n".encode() + text)
        writer.close()

    async def on_read(self, peer, expected):
        one = await peer.inbox.next(expected)
        peer.last_id = one.get("text", {}).get("id")
        same(one, {"text": {**expected, "id": peer.last_id} if expected["id"] == "any" else expected})

    async def on_answer(self, peer, ok):
        peer.write(_TEXT, json.dumps({"id": peer.last_id, "ok": ok}).encode())

    async def on_send(self, peer, message):
        peer.write(_TEXT, json.dumps(message, ensure_ascii=False).encode())

    async def on_frames(self, peer, frames):
        data = b"".join(_frame(one["opcode"], one["text"].encode(), one["isFinal"]) for one in frames)
        # Each byte by a write of its own: the kernel may still join some.
        for part in [data[at : at + 1] for at in range(len(data))] if len(frames) > 3 else [data]:
            peer.writer.write(part)
            await peer.writer.drain()
            await asyncio.sleep(0)

    async def on_ping(self, peer, payload):
        peer.write(_PING, payload.encode())

    async def on_pong(self, peer, payload):
        same(await peer.inbox.next("a Pong"), {"pong": payload})

    async def on_alive(self, peer, _):
        await peer.alive.next("a Pong that was not asked for")

    async def on_pinged(self, peer, _):
        await peer.pings.next("a Ping")

    async def on_quiet(self, peer, _):
        """Whatever the client has written before the Pong would be seen before it."""
        self._quiet += 1
        peer.write(_PING, f"quiet {self._quiet}".encode())
        same(await peer.inbox.next("a Pong"), {"pong": f"quiet {self._quiet}"})

    async def on_silent(self, peer, _):
        same(peer.inbox.list, [])

    async def on_cut(self, peer, _):
        peer.writer.transport.abort()

    async def on_close(self, peer, argument):
        peer.write(_CLOSE, argument[0].to_bytes(2, "big") + argument[1].encode())

    async def on_closed(self, peer, code):
        same(await peer.inbox.next("a Close"), {"close": code})
        peer.write(_CLOSE, code.to_bytes(2, "big"))
        peer.writer.close()

    async def on_ended(self, peer, _):
        same(await peer.inbox.next("the end"), {"end": True})
