"""The client of gannet's link for backends in Python 3.9 and newer, without dependencies.

    async with Link("http://127.0.0.1:9001", key=key) as link:
        receipt = await link.push("hi", user="ada")
        async for event in link.events(["open", "message"], share="game"):
            ...

docs/link.md of gannet has the commands, replies and events, docs/clients.md this client, and clients/link-vectors.json what it does in
each case.
"""

from .errors import LinkBusy, LinkError, LinkLost
from .events import EventStream
from .link import Link

__all__ = ["EventStream", "Link", "LinkBusy", "LinkError", "LinkLost"]
