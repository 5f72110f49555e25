"""A backend of the soak: it hears what players say on two servers, and pushes numbers to their groups on both.

    python3 test/backend.py GROUPS URL…

It says ``ready``. To a line on its standard input it stops pushing, and says ``stopped``; at the end of the input it ends, and says what
it has heard and done, as JSON. What it counts is what ../../link-js/test/backend.mjs counts.
"""

import asyncio
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from gannet_link import Link, LinkBusy, LinkLost  # noqa: E402

COUNTED = "heard gaps wrong doubled opens closes pushed done lost busy written unknown".split()


class Backend:
    def __init__(self, groups, urls):
        self.groups = groups
        self.links = [Link(url, backoff_s=(0.1, 0.2, 30.0, 15.0)) for url in urls]
        self.report = {**dict.fromkeys(COUNTED, 0), "first": ""}
        self.last, self.said, self.is_over = {}, set(), False

    async def start(self):
        streams = [link.events(["open", "message", "close"]) for link in self.links]
        for stream in streams:
            await stream.ready()
        self.reading = [asyncio.create_task(self.read(stream)) for stream in streams]
        self.pushing = asyncio.create_task(self.push())

    async def read(self, stream):
        async for event in stream:
            self.hear(event)

    def hear(self, event):
        report, kind, session = self.report, event["event"], event.get("session")
        if kind == "gap":
            report["gaps"] += 1
        elif kind == "open":
            report["opens"] += 1
            self.last[session] = None
        elif kind == "close":
            report["closes"] += 1
            self.last.pop(session, None)
        else:
            report["heard"] += 1
            number, user, last = int(event["text"]), event["user"], self.last.get(session)
            if session not in self.last or (last is not None and number != last + 1):
                report["wrong"] += 1
                report["first"] = report["first"] or f"{user} {session}: {number} behind {last}"
            report["doubled"] += (user, number) in self.said
            self.said.add((user, number))  # which two servers may tell in any order
            self.last[session] = number

    async def push(self):
        """A number to one group after the other, on both servers: its members are on one of them."""
        replies, number = [], 0
        while not self.is_over:
            for at, link in enumerate(self.links):
                self.report["pushed"] += 1
                try:
                    replies.append(link.push(f"py {number * len(self.links) + at}", group=f"g{number % self.groups}", receipt="written"))
                except LinkBusy:
                    self.report["busy"] += 1
            number += 1
            await asyncio.sleep(0.01)
            if len(replies) > 1_000 or self.is_over:
                for reply in replies:
                    await self.count(reply)
                replies = []
        for reply in replies:
            await self.count(reply)

    async def count(self, reply):
        try:
            receipt = await reply
        except LinkLost:
            self.report["lost"] += 1
        else:
            self.report["done"] += 1
            self.report["written"] += receipt["written"]
            self.report["unknown"] += receipt["closed"] + receipt.get("pending", 0)

    async def end(self):
        """When all that has happened is heard: it has happened before this is called."""
        until = asyncio.get_running_loop().time() + 60
        while self.report["closes"] < self.report["opens"] and self.report["gaps"] == 0 and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)
        for link in self.links:
            await link.close()
        await asyncio.gather(*self.reading)
        return self.report


async def main(groups, urls):
    backend = Backend(groups, urls)
    await backend.start()
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)
    backend.is_over = True
    await backend.pushing
    print("stopped", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps(await backend.end()), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
