"""Every limit and time of a link."""

from __future__ import annotations

import dataclasses
import ssl as tls
from typing import Optional


@dataclasses.dataclass(frozen=True)
class Options:
    """Every limit and time. Those of seconds are named so; a link takes each as an argument."""

    key: Optional[str] = None
    app: Optional[str] = None
    ssl: Optional[tls.SSLContext] = None  # of https: and wss: addresses
    window: int = 1_024  # commands that are written and not answered
    waiting_commands: int = 65_536  # commands that wait to be written
    waiting_bytes: int = 16 * 1_024 * 1_024
    held_events: int = 4_096  # events that have been read from the socket and not been asked for
    held_bytes: int = 16 * 1_024 * 1_024
    message_bytes: int = 64 * 1_024 * 1_024  # of the largest message that is taken
    patience_s: float = 10.0  # how long a command waits for a connection
    connect_s: float = 8.0  # for an upgrade
    silence_s: float = 10.0  # then a Ping is sent; as long again, then the connection is given up
    paused_s: float = 1.0  # how often a connection that is not read says that it is there
    close_s: float = 1.0  # how long the answer to a Close is waited for
    backoff_s: tuple = (0.1, 1.0, 30.0, 15.0)  # least, first, most; and how long a connection has to be open to be stable
    first_id: int = 1
