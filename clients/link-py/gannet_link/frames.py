"""Frames of RFC 6455, of a client's side."""

from __future__ import annotations

import os

CONTINUATION, TEXT, CLOSE, PING, PONG = 0, 1, 8, 9, 10


class Broken(Exception):
    """The server has broken the rules of RFC 6455 or of the link."""


def frame(opcode, payload):
    """A whole message, or a control frame, as one masked frame (RFC 6455 section 5.2)."""
    size, mask = len(payload), os.urandom(4)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


class Messages:
    """Bytes in, whole messages and control frames out, as pairs of the opcode and the payload."""

    def __init__(self, most):
        self._most = most
        self._input = bytearray()
        self._at = 0  # what is before it has been taken
        self._parts = None  # of the message that is under way

    def push(self, chunk):
        del self._input[: self._at]
        self._at = 0
        self._input += chunk

    def next(self):
        while True:
            frame = self._frame()
            if frame is None:
                return None
            is_final, opcode, payload = frame
            if opcode >= CLOSE:
                return opcode, payload
            if (opcode == CONTINUATION) != (self._parts is not None):
                raise Broken("a fragment of no message")
            self._parts = bytearray(payload) if self._parts is None else self._parts + payload
            if len(self._parts) > self._most:
                raise Broken("a message that is too large")
            if is_final:
                whole, self._parts = self._parts, None
                return TEXT, whole

    def _frame(self):
        data, at = self._input, self._at
        if len(data) - at < 2:
            return None
        head, short = data[at], data[at + 1]
        opcode = head & 15
        if head & 0x70 or short >= 0x80 or opcode not in (CONTINUATION, TEXT, CLOSE, PING, PONG):
            raise Broken(f"a frame that begins with {head:02x} {short:02x}")
        if opcode >= CLOSE and (head < 0x80 or short > 125):
            raise Broken("a control frame that is long or a fragment")
        start = at + (2 if short < 126 else 4 if short == 126 else 10)
        if len(data) < start:
            return None
        size = short if short < 126 else int.from_bytes(data[at + 2 : start], "big")
        if size > self._most:
            raise Broken("a message that is too large")
        if len(data) < start + size:
            return None
        self._at = start + size
        return head >= 0x80, opcode, bytes(data[start : start + size])
