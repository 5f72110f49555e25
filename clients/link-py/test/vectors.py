"""Runs ../../link-vectors.json, whose form ../../README.md describes, against the client.

    python3 test/vectors.py [NAME…]
"""

import asyncio
import base64
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from gannet_link import Link, LinkBusy, LinkError, LinkLost  # noqa: E402
from script import MOST_S, ScriptedServer, same  # noqa: E402

_SELECTORS = ("session", "user", "group", "tag", "all", "all_of")


def expanded(value):
    """A value with every ``{"times":["x",300]}`` in it as the text that it means."""
    if isinstance(value, list):
        return [expanded(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "times" in value:
        return value["times"][0] * value["times"][1]
    return {name: expanded(one) for name, one in value.items()}


def _message(message):
    if isinstance(message, dict):
        return base64.b64decode(message["base64"]) if "base64" in message else message["json"]
    return message


def _outcome(error):
    if isinstance(error, LinkError):
        return {"error": "LinkError", "code": error.code}
    if isinstance(error, LinkLost):
        return {"error": "LinkLost", "maybe_done": error.maybe_done}
    if isinstance(error, asyncio.CancelledError):
        return {"error": "cancelled"}
    return {"error": type(error).__name__}


class Run:
    """The client of a vector, and what the script does with it."""

    def __init__(self, url, options):
        least, first, most, stable = options.pop("backoff_ms", [1, 1, 1, 15_000])
        options = {name.replace("_ms", "_s"): value / 1e3 if name.endswith("_ms") else value for name, value in options.items()}
        self.link = Link(url, backoff_s=(least / 1e3, first / 1e3, most / 1e3, stable / 1e3), **options)
        self.calls, self.outcomes, self.streams, self.others = {}, {}, {}, []

    def app(self, action, name, step):
        if action == "close":
            self.others.append(asyncio.create_task(self.link.close()))
        elif action == "drain":
            self.call(name, lambda: asyncio.ensure_future(self.link.drain()))
        elif "cancel" in action:
            self.calls[action["cancel"]].cancel()
        elif "leave" in action:
            self.others.append(asyncio.create_task(self.streams[action["leave"]].aclose()))
        elif "next" in action:
            self.call(name, lambda: asyncio.ensure_future(self.next(self.streams[action["next"]])), lambda outcome: outcome)
        elif "echo" in action:
            self.call(name, lambda: asyncio.ensure_future(self.echo(self.streams[action["echo"]])))
        elif "events" in action:
            options = {"with_" if name == "with" else name: value for name, value in {**step, **action}.items()}
            self.streams[name] = self.link.events(options.pop("events"), **options)
        else:
            self.call(name, lambda: self.command(*next(iter(action.items()))))

    def command(self, operation, fields):
        fields = {name + "_" if name in ("class", "except") else name: value for name, value in fields.items()}
        if operation != "push":
            return getattr(self.link, operation)(**fields)
        return self.link.push(_message(fields.pop("message")), **{name: value for name, value in fields.pop("to").items() if name in _SELECTORS}, **fields)

    async def next(self, stream):
        try:
            return {"event": await stream.__anext__()}
        except StopAsyncIteration:
            return {"end": True}

    async def echo(self, stream):
        pushed = 0
        async for event in stream:
            await self.link.push(event["text"], all=True)
            pushed += 1
        return pushed

    def call(self, name, begin, outcome_of=lambda ok: {"ok": ok}):
        try:
            self.calls[name] = future = begin()
        except (LinkError, LinkLost, LinkBusy) as error:
            self.outcomes[name] = _outcome(error)
            return

        async def settled():
            try:
                self.outcomes[name] = outcome_of(await future)
            except (Exception, asyncio.CancelledError) as error:
                self.outcomes[name] = _outcome(error)

        self.others.append(asyncio.create_task(settled()))

    async def expect(self, expected):
        for name, value in expected.items():
            if name == "pending":
                await asyncio.sleep(0)
                for one in value:
                    same((one, self.outcomes.get(one)), (one, None))
            elif name == "place":
                same({"of": value["of"], **self.streams[value["of"]].place}, value)
            else:
                until = asyncio.get_running_loop().time() + MOST_S
                while name not in self.outcomes and asyncio.get_running_loop().time() < until:
                    await asyncio.sleep(0.001)
                same({name: self.outcomes.get(name)}, {name: value})


async def run(vector):
    server = ScriptedServer()
    await server.start()
    it = Run(server.url, dict(vector.get("options", {})))
    try:
        for number, step in enumerate(vector["steps"], 1):
            rest = expanded(step)
            app, action, expected, name = (rest.pop(key, None) for key in ("app", "server", "expect", "as"))
            try:
                if app is not None:
                    it.app(app, name, rest)
                    # What the program has begun runs up to where it waits.
                    await asyncio.sleep(0)
                if action is not None:
                    await server.do(action, rest)
                if expected is not None:
                    await it.expect(expected)
            except Exception as error:
                raise AssertionError(f"step {number}: {json.dumps(step)[:300]}\n  {type(error).__name__}: {error}") from error
        same(len(server.dials.list), 0)
    finally:
        closed = asyncio.create_task(it.link.close())
        await asyncio.sleep(0)
        await server.stop()
        await closed
        await asyncio.gather(*it.others)


def main():
    vectors = json.loads((HERE.parent.parent / "link-vectors.json").read_text())
    chosen = [vector for vector in vectors if len(sys.argv) < 2 or vector["name"] in sys.argv]
    failed = 0
    for vector in chosen:
        try:
            asyncio.run(run(vector))
            print(f"ok - {vector['name']}")
        except Exception as error:
            failed += 1
            print(f"not ok - {vector['name']}\n  {error}")
    print(f"{len(chosen) - failed} passed, {failed} failed")
    sys.exit(0 if failed == 0 and chosen else 1)


if __name__ == "__main__":
    main()
