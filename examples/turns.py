#!/usr/bin/env python3
"""Noughts and crosses for pairs of players, over plain HTTP: a backend that has no link and keeps no session ids.

    cargo run --release -- serve --config examples/turns.toml
    python3 examples/turns.py 127.0.0.1:9001

A player connects as `/ws?user=ada` and is given an opponent. Both are in a group, `match:1`, which remembers what was pushed last
under the key `state`: whoever comes back, with a new connection or a resumed one, gets it by itself. A player says `{"cell":4}`. One
who is gone for longer than `offline_after_ms` has lost.

The backend reads a feed of events (`GET /v1/events`) on one connection, and sends commands on another. Without anything but the
standard library of Python.
"""

import http.client
import json
import sys
import time
from urllib.parse import quote, urlencode

LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]


class Gannet:
    """The backend port of a server, on a connection that stays open."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=60)

    def ask(self, method, path, query=(), body=None):
        """A request and its answer. It is sent again where the connection was lost: all that this program asks for may be done
        twice."""
        target = path + "?" + urlencode(query, doseq=True)
        while True:
            try:
                self.connection.request(method, target, body=body)
                response = self.connection.getresponse()
                answer = json.loads(response.read() or b"{}")
            except (OSError, http.client.HTTPException):
                self.connection.close()
                time.sleep(0.1)
                continue
            if response.status in (429, 503):
                time.sleep(float(response.getheader("Retry-After", "1")))
                continue
            if response.status >= 300:
                raise RuntimeError(f"{method} {target}: {response.status} {answer}")
            return answer

    def events(self, **listen):
        """The events from now on, each once, for as long as the program runs."""
        return self.read_on(listen, self.ask("GET", "/v1/events", listen))

    def read_on(self, listen, answer):
        while True:
            place = {"resume": answer["resume"], "received": answer["received"]}
            answer = self.ask("GET", "/v1/events", {**listen, **place})
            if answer.get("resumed") is False:
                print(f"events were missed: {answer['why']}", file=sys.stderr)
            yield from answer["events"]

    def set_groups(self, user, groups, prefix):
        """All sessions of the user are in these groups, of those with the prefix."""
        self.ask("PUT", f"/v1/users/{quote(user, safe='')}/groups", {"groups": groups, "prefix": prefix})

    def push(self, value, **to):
        """A message to sessions."""
        self.ask("POST", "/v1/push", to, json.dumps(value).encode())


class Match:
    """Two players and a board."""

    def __init__(self, number, players):
        self.group = f"match:{number}"
        self.players = players
        self.cells = [None] * 9
        self.turn = 0
        self.winner = None

    def state(self):
        """What both players see."""
        cells = "".join("." if cell is None else "xo"[cell] for cell in self.cells)
        return {"match": self.group, "players": self.players, "cells": cells,
                "turn": None if self.is_over() else self.players[self.turn], "winner": self.winner}

    def is_over(self):
        return self.winner is not None or None not in self.cells

    def play(self, user, cell):
        """Puts the player's mark into a cell. Why not, where that cannot be."""
        if self.is_over():
            return "the match is over"
        if user != self.players[self.turn]:
            return "it is not your turn"
        if not isinstance(cell, int) or not 0 <= cell < 9 or self.cells[cell] is not None:
            return "this cell cannot be taken"
        self.cells[cell] = self.turn
        if any(all(self.cells[cell] == self.turn for cell in line) for line in LINES):
            self.winner = user
        self.turn = 1 - self.turn
        return None

    def give_up(self, user):
        """The player is gone: the other one has won."""
        if not self.is_over():
            self.winner = self.players[1 - self.players.index(user)]


class Game:
    """All matches. Players are known by their names, whatever connections they have."""

    def __init__(self, gannet):
        self.gannet = gannet
        self.matches = {}
        self.waiting = None
        self.begun = 0

    def take(self, event):
        """One event."""
        user = event.get("user")
        if user is None:
            return
        if event["event"] == "open":
            self.opened(user)
        elif event["event"] == "message":
            self.said(user, event)
        elif event["event"] == "user_offline":
            self.left(user)

    def opened(self, user):
        match = self.matches.get(user)
        if match is not None:
            # The group's newest state comes with it.
            self.gannet.set_groups(user, [match.group], "match:")
        elif self.waiting in (None, user):
            self.waiting = user
        else:
            self.begin(self.waiting, user)

    def begin(self, first, second):
        self.begun += 1
        self.waiting = None
        match = Match(self.begun, [first, second])
        for user in match.players:
            self.matches[user] = match
            self.gannet.set_groups(user, [match.group], "match:")
        self.show(match)

    def said(self, user, event):
        match = self.matches.get(user)
        try:
            cell = json.loads(event.get("text", "")).get("cell")
        except (ValueError, AttributeError):
            cell = None
        fault = "there is no opponent yet" if match is None else match.play(user, cell)
        if fault is not None:
            self.gannet.push({"error": fault}, session=event["session"])
        else:
            self.show(match)

    def left(self, user):
        if self.waiting == user:
            self.waiting = None
        match = self.matches.get(user)
        if match is not None:
            match.give_up(user)
            self.show(match)

    def show(self, match):
        self.gannet.push(match.state(), group=match.group, key="state")
        if match.is_over():
            for user in match.players:
                self.matches.pop(user, None)


def main():
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9001"
    game = Game(Gannet(address))
    events = Gannet(address).events(events="open,message,user_offline")
    print("ready", flush=True)
    for event in events:
        game.take(event)


if __name__ == "__main__":
    main()
