#!/usr/bin/env node
// An arena shooter in real time, over gannet's link. Run as many of these processes as you like, each with a name of its own:
//
//     cargo run --release -- serve --config examples/arena.toml
//     node examples/arena.mjs 127.0.0.1:9001 red
//     node examples/arena.mjs 127.0.0.1:9001 blue
//
// A player connects as `/ws?user=ada` and says
//
//     {"n":1,"play":true}        to be given a seat in a match; go on when the state shows it
//     {"n":2,"move":[1,0]}       to run that way
//     {"n":3,"shoot":[0.6,0.8]}  to shoot that way
//     {"leave":true}             to leave the match; {"left":"match:…"} is the answer
//     {"watch":"match:…"}        to see a match without a seat
//
// A match is a group, and its players get its state 20 times a second. It shows the last `n` of each player, and in `by` the process
// that has the match. If `by` changes, a process has died: the player says again what is behind the `n` that is shown.
//
// The processes do not know each other. A match has one process, and `route` brings it all that the members of the group say. The
// sessions of a process that has died come to others. Each of these is told of the groups that its new sessions are in, and one of
// them takes the match over, from the last state, which gannet remembers.
import { randomUUID } from "node:crypto";
import { Link, Refused } from "./link_client.mjs";

const PREFIX = "match:";
const SEATS = 4;
const STEP_MS = 50;
const SIZE = 100;
const SPEED = 1; // in a step
const RADIUS = 4;

/** A match: its players by name. It knows nothing of sessions. */
class Match {
  constructor(group, { tick, players } = { tick: 0, players: {} }) {
    this.group = group;
    this.tick = tick;
    this.players = new Map(Object.entries(players));
  }

  get hasSeat() {
    return this.players.size < SEATS;
  }

  seat(name, n) {
    this.players.set(name, { n, ...place(), dx: 0, dy: 0, shots: 0, score: 0 });
  }

  /** What a player says next. Anything else is an older one that is said again, or one behind a gap, which will be. */
  take(name, { n, move, shoot }) {
    const player = this.players.get(name);
    if (n !== player?.n + 1) return;
    player.n = n;
    if (isVector(move)) [player.dx, player.dy] = move;
    if (isVector(shoot)) this.#shoot(player, shoot);
  }

  #shoot(player, [dx, dy]) {
    player.shots += 1;
    for (const target of this.players.values()) {
      const [x, y] = [target.x - player.x, target.y - player.y];
      const isHit = target !== player && x * dx + y * dy > 0 && Math.abs(x * dy - y * dx) < RADIUS * Math.hypot(dx, dy);
      if (!isHit) continue;
      player.score += 1;
      Object.assign(target, place());
    }
  }

  step() {
    this.tick += 1;
    for (const player of this.players.values()) {
      player.x = within(player.x + player.dx * SPEED, 0, SIZE);
      player.y = within(player.y + player.dy * SPEED, 0, SIZE);
    }
  }

  get state() {
    return { match: this.group, tick: this.tick, players: Object.fromEntries(this.players) };
  }
}

const within = (value, low, high) => Math.min(Math.max(value, low), high);
const place = () => ({ x: Math.random() * SIZE, y: Math.random() * SIZE });
const isVector = (value) =>
  Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "number" && Math.abs(part) <= 1);

/** The matches of this process, for as long as its link lives. */
class Arena {
  #link;
  #name;
  #matches = new Map();
  /** The matches that this process is about to take over, with the players who leave them meanwhile. */
  #claims = new Map();

  /** The name of a link is never used again: whoever finds a link of this name finds this arena, and not a later one. */
  constructor(address, name) {
    this.#name = `${name}-${randomUUID()}`;
    this.#link = new Link(address, process.env.GANNET_KEY);
    this.#link.on("event", (event) => this.#hear(event));
  }

  /** Runs until the link has ended. */
  async run(ready) {
    const ended = new Promise((resolve) => this.#link.on("end", resolve));
    const listen = { op: "listen", share: "arena", name: this.#name, with: ["groups"], events: ["message", "leave", "assigned"] };
    this.#link.ask(listen).then(ready, (error) => {
      report(error);
      this.stop();
    });
    const timer = setInterval(() => this.#step(), STEP_MS);
    await ended;
    clearInterval(timer);
  }

  stop() {
    this.#link.close();
  }

  #hear(event) {
    const group = event.group ?? event.groups.find((group) => group.startsWith(PREFIX));
    const match = this.#matches.get(group);
    // A session without a user is known by its own name.
    const name = event.user ?? event.session;
    if (event.event === "leave") return this.#left(event.session, name, group, match);
    if (group && !match) this.#claim(group).catch(report);
    if (event.event === "message") this.#said(event.session, name, group, match, parsed(event.text));
  }

  #said(session, name, group, match, said) {
    const hasSeat = match?.players.has(name);
    if (said.play && !hasSeat && Number.isInteger(said.n)) this.#seat(session, name, said.n, match);
    else if (said.leave) this.#link.ask(inGroups(session, [])).catch(report);
    else if (isMatch(said.watch)) this.#watch(session, said.watch).catch(report);
    else match?.take(name, said);
  }

  /** Gives a player a seat: in the match that it watches if one is free there, else in another one of this process. */
  #seat(session, name, n, watched) {
    const match = [watched, ...this.#matches.values()].find((match) => match?.hasSeat) ?? this.#begin();
    if (!match.players.has(name)) match.seat(name, n);
    this.#link.ask(inGroups(session, [match.group])).catch((error) => {
      match.players.delete(name);
      report(error);
    });
  }

  /** A new match. What is asked for behind the route finds it in force. */
  #begin() {
    const match = new Match(PREFIX + randomUUID());
    this.#matches.set(match.group, match);
    this.#link.ask(this.#claimOf(match.group)).catch(report);
    this.#route(match.group, this.#name).catch(report);
    return match;
  }

  /** Lets a session see a match: the route of the group takes it to the process that has the match. */
  async #watch(session, group) {
    await this.#link.ask(inGroups(session, [group]));
    if (!this.#matches.has(group)) await this.#claim(group);
  }

  #left(session, name, group, match) {
    match?.players.delete(name);
    this.#claims.get(group)?.add(name);
    if (group.startsWith(PREFIX)) this.#link.ask(push({ session }, { left: group })).catch(report);
  }

  async #claim(group) {
    if (this.#claims.has(group)) return;
    const left = new Set();
    this.#claims.set(group, left);
    try {
      if (await this.#isHeir(group)) await this.#takeOver(group, left);
    } finally {
      this.#claims.delete(group);
    }
  }

  /**
   * Whether a match whose members come to this process is its own from now on. Processes that want it leave their names in what the
   * group remembers, which is in one order for all; the first of them that still has a link has the match, and gets the members.
   */
  async #isHeir(group) {
    for (;;) {
      const { owners } = await this.#remembered(group);
      const own = owners.indexOf(this.#name);
      for (const owner of own < 0 ? owners : owners.slice(0, own)) {
        if (await this.#route(group, owner)) return false;
      }
      if (own >= 0) return true;
      await this.#link.ask(this.#claimOf(group));
    }
  }

  /** Goes on with a match where its last process was, with those of its players who are still there. */
  async #takeOver(group, left) {
    await this.#route(group, this.#name);
    const [{ state }, { present }] = await Promise.all([
      this.#remembered(group),
      this.#link.ask({ op: "presence", group, limit: 1000 }),
    ]);
    const match = new Match(group, state);
    const there = new Set(present.map(({ user, sessions }) => user ?? sessions[0].session));
    for (const name of match.players.keys()) if (!there.has(name) || left.has(name)) match.players.delete(name);
    this.#matches.set(group, match);
  }

  /** Brings the members of a group to a link, now and in future. Whether that link is there. */
  async #route(group, link) {
    try {
      await this.#link.ask({ op: "route", group, link });
      return true;
    } catch (error) {
      if (error instanceof Refused && error.code === "not_found") return false;
      throw error;
    }
  }

  #claimOf(group) {
    return { ...push({ group }, { owner: this.#name }), key: `owner ${this.#name}` };
  }

  /** The last state of a match, and the processes that have wanted it, the first one first. */
  async #remembered(group) {
    const { messages } = await this.#link.ask({ op: "latest", group });
    const said = messages.map(({ text }) => JSON.parse(text));
    return { state: said.find(({ players }) => players), owners: said.flatMap(({ owner }) => owner ?? []) };
  }

  /** One step of all matches, in one message. A slow player gets the newest state only. */
  #step() {
    const states = [];
    for (const match of this.#matches.values()) {
      if (match.players.size === 0) {
        this.#end(match);
        continue;
      }
      match.step();
      const state = { ...match.state, by: this.#name };
      states.push({ ...push({ group: match.group }, state), key: "state", class: "droppable", receipt: "none" });
    }
    this.#link.tell(states);
  }

  /** A match without players is over. */
  #end({ group }) {
    this.#matches.delete(group);
    this.#link.ask({ op: "route", group, link: null }).catch(report);
    this.#link.ask({ op: "destroy", group }).catch(report);
  }
}

const push = (to, json) => ({ op: "push", to, json });
const inGroups = (session, groups) => ({ op: "set_groups", session, groups, prefix: PREFIX });
const isMatch = (group) => typeof group === "string" && group.startsWith(PREFIX);
const report = (error) => console.error(error.message);

/** What a player says: an object, whatever it sends. */
function parsed(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

const [address = "127.0.0.1:9001", name = "arena"] = process.argv.slice(2);
let isStopping = false;
let arena;
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    isStopping = true;
    arena.stop();
  });
}
// An arena that has lost its link has lost its matches to others: it begins anew, with new ones.
while (!isStopping) {
  arena = new Arena(address, name);
  await arena.run(() => console.log("ready"));
}
