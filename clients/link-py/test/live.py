"""The client against a real server.

    python3 test/live.py PROGRAM [NAME]

PROGRAM is the built ``gannet``. Nothing is timed: what has to happen is waited for, a minute at most.
"""

import asyncio
import base64
import json
import pathlib
import ssl
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from gannet_link import Link, LinkError, LinkLost  # noqa: E402
from gannet_link.frames import Messages  # noqa: E402
from servers import Player, Relay, Server, until  # noqa: E402

QUIET = "[timeouts]\nlink_idle_ms = '60s'\n"  # a machine that is busy ends no link
MEMORY = "[[apps.default.groups]]\nprefix = 'chat/'\nlatest = true\nlog = { messages = 100, bytes = 65536, ttl_ms = 600000 }\n"
SOON = (0.01, 0.02, 30.0, 15.0)
TESTS = []


def test(about):
    def add(body):
        TESTS.append((about, body))
        return body

    return add


class World:
    """What a test makes, which is ended behind it."""

    def __init__(self, program):
        self.program, self._ends = program, []

    def ends(self, it, end):
        self._ends.append(end)
        return it

    async def server(self, toml=QUIET, files=None):
        server = await Server.start(self.program, toml, files)
        return self.ends(server, server.stop)

    async def relay(self, server):
        relay = await Relay.start(server.backend.replace("http://", ""))
        return self.ends(relay, relay.stop)

    def link(self, url, **options):
        link = Link(url, backoff_s=SOON, **options)
        return self.ends(link, link.close)

    async def end(self):
        for end in reversed(self._ends):
            await end()


async def take(stream, count, kinds=("message",)):
    """Takes events until so many have come that are of ``kinds``."""
    events = []
    while len(events) < count:
        event = await stream.__anext__()
        if event["event"] in kinds:
            events.append(event)
    return events


def texts(events):
    return [event.get("text", event["event"]) for event in events]


def numbers(first, last):
    return [str(number) for number in range(first, last)]


async def code_of(reply):
    try:
        await reply()
    except LinkError as error:
        return error.code
    except LinkLost as error:
        return error.maybe_done
    raise AssertionError("it has succeeded")


@test("every operation that the server has is a method, and does what it says")
async def operations(world):
    server = await world.server(MEMORY + QUIET)
    link = world.link(server.backend)
    stream = link.events(["open", "close"], share="game", name="m1")
    await stream.ready()
    schemas = json.loads(await server.ask("/v1/openapi.json"))["components"]["schemas"].values()
    known = {schema["properties"]["op"]["const"] for schema in schemas if "op" in schema.get("properties", {})}
    ada, bob = await Player.join(server, "ada"), await Player.join(server, "bob")
    await take(stream, 2, ["open"])
    text = (HERE.parent.parent / "link-operations.json").read_text().replace("$ada", ada.session).replace("$bob", bob.session)
    steps = json.loads(text)
    assert {step["op"] for step in steps} | {"listen"} == known, known
    for step in steps:
        fields = {name + "_" if name in ("class", "except") else name: value for name, value in step["fields"].items()}
        if step["op"] == "push":
            message = fields.pop("message")
            if isinstance(message, dict):
                message = base64.b64decode(message["base64"]) if "base64" in message else message["json"]
            fields = {**fields.pop("to"), **fields, "message": message}
        method = getattr(link, step["op"])
        if "error" in step:
            code = await code_of(lambda: method(**fields))
            assert code == step["error"], (step, code)
        else:
            reply = await method(**fields)
            assert {**reply, **step["ok"]} == reply, (step, reply)
    assert (ada.got, bob.got) == (["hällo", '{"score":[3,null]}', "000102"], ["hällo"])
    await until("the kick", lambda: ada.closed == 4001)
    bob.close()
    await take(stream, 1, ["close"])


@test("events of a session come in order: open, its messages, close")
async def order(world):
    server = await world.server()
    link = world.link(server.backend)
    stream = link.events(["open", "message", "close"], with_=["groups"], numbers=True)
    await stream.ready()
    eve = await Player.join(server, "eve")
    for number in numbers(0, 100):
        eve.send(number)
    eve.close()
    events = await take(stream, 102, ["open", "message", "close"])
    assert texts(events) == ["open", *numbers(0, 100), "close"]
    assert [event["n"] for event in events] == list(range(1, 103))
    assert events[0]["groups"] == []
    await link.close()
    assert [event async for event in stream] == []


@test("every event once, through cuts, while commands are lost by them")
async def cuts(world):
    server = await world.server()
    relay = await world.relay(server)
    link = world.link(f"http://{relay.address}")
    stream = link.events(["message"])
    await stream.ready()
    gus = await Player.join(server, "gus")
    reading, lost = asyncio.create_task(take(stream, 400)), 0
    for number in numbers(0, 400):
        gus.send(number)
        try:
            await link.push(number, user="gus")
        except LinkLost:
            lost += 1
        if int(number) % 50 == 25:
            relay.cut()
    assert texts(await reading) == numbers(0, 400)
    await until("the pushes", lambda: len(gus.got) >= 400 - lost)
    assert gus.got == sorted(set(gus.got), key=int)


@test("a program that does not ask for events for a while gets each once: its link is given up, and comes back")
async def slow(world):
    server = await world.server("[timeouts]\nlink_idle_ms = '1s'\nlink_ping_ms = '100ms'\nlink_stalled_ms = '1s'\n")
    stream = world.link(server.backend, held_events=16, paused_s=0.1).events(["message"])
    await stream.ready()
    hal, filler = await Player.join(server, "hal"), "x" * 4_000
    for number in numbers(0, 3_000):
        hal.send(number + filler)
    first = await take(stream, 1)

    async def is_back():
        return await server.metric("gannet_link_resumes_total") >= 2

    await until("it was given up and is back", is_back)
    rest = await take(stream, 2_999)
    assert [text.replace(filler, "") for text in texts(first + rest)] == numbers(0, 3_000)
    assert await server.metric("gannet_link_events_lost_total") == 0


@test("a server that was started anew is a gap, and is listened to; commands go on there")
async def anew(world):
    before, behind = await world.server(), await world.server()
    relay = await world.relay(before)
    link = world.link(f"http://{relay.address}")
    stream = link.events(["message"])
    await stream.ready()
    ida = await Player.join(before, "ida")
    ida.send("before")
    assert texts(await take(stream, 1)) == ["before"]
    relay.upstream = behind.backend.replace("http://", "")
    relay.cut()
    assert await stream.__anext__() == {"event": "gap"}
    await stream.ready()
    jan = await Player.join(behind, "jan")
    jan.send("behind")
    assert texts(await take(stream, 1)) == ["behind"]
    assert (await link.push("hi", user="jan", receipt="written"))["written"] == 1


@test("a server that is upgraded loses no event and no push")
async def upgrade(world):
    server = await world.server()
    link = world.link(server.backend)
    stream = link.events(["message"])
    await stream.ready()
    kim = await Player.join(server, "kim")
    reading, lost = asyncio.create_task(take(stream, 60)), 0
    for number in numbers(0, 60):
        kim.send(number)
        try:
            await link.push(number, user="kim")
        except LinkLost as error:
            assert error.maybe_done
            lost += 1
        if number == "30":
            await server.upgrade()
    assert texts(await reading) == numbers(0, 60)
    await until("the pushes", lambda: len(kim.got) >= 60 - lost)


@test("another process goes on where one was that did not say goodbye")
async def place(world):
    server = await world.server()
    relay = await world.relay(server)
    gone = world.link(f"http://{relay.address}").events(["message"], share="place")
    await gone.ready()
    lea = await Player.join(server, "lea")
    for number in numbers(0, 5):
        lea.send(number)
    assert texts(await take(gone, 3)) == ["0", "1", "2"]
    assert gone.place["received"] == 2
    relay.blocks = True
    relay.cut()
    following = world.link(server.backend).events(["message"], share="place", resume=gone.place)
    lea.send("5")
    # What was not known to be read comes again.
    assert texts(await take(following, 4)) == ["2", "3", "4", "5"]


@test("keys: a wrong one is final, one that may not do it is refused, one that is taken away ends the link")
async def keys(world):
    reader_key = "keys = [{ name = 'reader', key = 'fedcba9876543210', may = ['read'] }]\n"
    config = "[backend]\nkey = '0123456789abcdef'\n"
    server = await world.server(config + reader_key)
    for key in (None, "wrongwrongwrongwrong"):
        link = world.link(server.backend, key=key)
        assert await code_of(link.stats) == "unauthorized"
        assert await code_of(link.events(["open"]).__anext__) == "unauthorized"
    reader = world.link(server.backend, key="fedcba9876543210")
    assert (await reader.stats())["sessions"] == 0
    assert await code_of(lambda: reader.push("x", all=True)) == "forbidden"
    assert await code_of(reader.events(["open"]).__anext__) == "forbidden"
    (server.directory / "gannet.toml").write_text(config)
    await server.ask("/v1/admin/reload", "POST", headers={"Authorization": "Bearer 0123456789abcdef"})

    async def has_ended():
        try:
            await reader.stats()
        except LinkLost:
            pass
        except LinkError as error:
            return error.code == "unauthorized"

    await until("the end", has_ended)


@test("over TLS, with the server's certificate; without it there is no link")
async def tls(world):
    plain = await world.server()
    subprocess.run([world.program, "cert", "self-signed", "--out", plain.directory], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    files = {name: (plain.directory / name).read_text() for name in ("cert.pem", "key.pem")}
    server = await Server.start(world.program, "[tls]\ncert = 'cert.pem'\nkey = 'key.pem'\nbackend = true\n", files)
    try:
        context = ssl.create_default_context(cadata=files["cert.pem"])
        assert (await world.link(server.backend, ssl=context).stats())["sessions"] == 0
        assert await code_of(world.link(server.backend, patience_s=0.2).stats) is False
    finally:
        await server.stop()


@test("10,000 pushes are pipelined, drained, and all answered; one that nobody waits for any more is sent all the same")
async def pipelined(world):
    server = await world.server()
    link = world.link(server.backend, window=128, waiting_commands=1_000)
    mia, receipts = await Player.join(server, "mia"), []
    for number in numbers(0, 10_000):
        await link.drain()
        receipts.append(link.push(number, user="mia"))
    for receipt in await asyncio.gather(*receipts):
        assert receipt["queued"] + receipt["dropped"] == 1
    await until("the last", lambda: mia.got[-1:] == ["9999"] or mia.has_ended)
    ned = await Player.join(server, "ned")
    await link.stats()
    link.push("cancelled", user="ned").cancel()
    await link.push("behind", user="ned")
    await until("both", lambda: ned.got == ["cancelled", "behind"])


@test("frames are the same, however they are cut")
async def frames(_world):
    data = bytes([1, 2, 0xC3, 0xB6, 0x89, 1, 0x70, 0x80, 1, 0x78, 0x81, 126, 0, 3, 0x61, 0x62, 0x63, 0x88, 2, 3, 0xE8])
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            messages, got = Messages(100), []
            for part in (data[:first], data[first:second], data[second:]):
                messages.push(part)
                got += [(opcode, bytes(payload)) for opcode, payload in iter(messages.next, None)]
            assert got == [(9, b"p"), (1, "öx".encode()), (1, b"abc"), (8, b"\x03\xe8")], got


async def run(program, body):
    world = World(program)
    try:
        await body(world)
    finally:
        await world.end()


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: python3 test/live.py PROGRAM [NAME]")
    passed = 0
    for about, body in TESTS:
        if len(sys.argv) > 2 and sys.argv[2] not in about:
            continue
        try:
            asyncio.run(asyncio.wait_for(run(sys.argv[1], body), 180))
        except BaseException:
            print(f"not ok - {about}\n{passed} passed, 1 failed")
            raise
        passed += 1
        print(f"ok {passed} - {about}", flush=True)
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
