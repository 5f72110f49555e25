// Who plays while the requests of a page are made: the sessions that its examples name, and what it says of them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { TestWebSocket } from "../../clients/js/test/websocket.mjs";
import { isLike } from "./shapes.mjs";

/** The sessions of the examples: their names there, and who they are. */
const CAST = {
  "00a0000000000001": { user: "ada", groups: ["g"], tags: ["ios"] },
  "00a0000000000002": { user: "bob", groups: ["g"], tags: ["ios"] },
  "00b0000000000001": { user: "ada", groups: ["g"], tags: ["ios"] },
  "00a0000000000003": { user: null, groups: ["g", "match:1"], tags: [] },
};
const EPOCH = "5f3a00000000c0de";
const TICKET = /A[A-Za-z0-9_-]{31}(?![A-Za-z0-9_-])/g;
const TOKEN = "eyJhbGciOiJIUzI1NiJ9…";
const [CLIENTS, BACKEND] = [9000, 9001];

export class Players {
  #epoch = "";
  #isPlaying = false;
  #isSigned = false;
  #feed = { resume: "", received: 0 };
  #links = [];
  #reader;
  #sessions = {};
  #signed = new Map();
  #sockets = [];
  #talkers = new Map();

  constructor(reader) {
    this.#reader = reader;
  }

  /** From now on the sessions of the examples are there before each request and each command. */
  async play({ isSigned }) {
    [this.#isPlaying, this.#isSigned] = [true, isSigned];
  }

  /** They are not any more. */
  leave() {
    this.#isPlaying = false;
    for (const socket of this.#sockets.splice(0)) socket.close();
  }

  get arePlaying() {
    return this.#isPlaying;
  }

  /** One message of a player, or of the link of a backend, and the socket. */
  async connect(port, path, protocols = [path.startsWith("/v1/link") ? "gannet.link.json" : "gannet.v1"]) {
    const socket = new TestWebSocket(`ws://127.0.0.1:${port}${path}`, protocols);
    this.#sockets.push(socket);
    const heard = [];
    socket.onmessage = ({ data }) => heard.push(data);
    await new Promise((opened, failed) => {
      socket.onopen = opened;
      socket.onerror = socket.onclose = () => failed(new Error(`${path} is refused`));
    });
    socket.onclose = () => {};
    const next = async () => {
      while (heard.length === 0) await sleep(2);
      return heard.shift();
    };
    return { socket, next };
  }

  /** A player with this query; its session. */
  async enter(query, app = "") {
    const { socket, next } = await this.connect(CLIENTS, `/ws${app && `/${app}`}?${new URLSearchParams(query)}`);
    return { socket, next, ...JSON.parse(await next()) };
  }

  /** What `gannet token mint` prints with these arguments. */
  mint(...args) {
    const key = args.join(" ");
    if (!this.#signed.has(key)) {
      const file = join(this.#reader.folder, args.includes("chess") ? "secrets" : "default.secrets");
      this.#signed.set(key, execFileSync("gannet", ["token", "mint", ...args, "--secret-file", file], { encoding: "utf8", env: this.#reader.terminals.variables }).trim());
    }
    return this.#signed.get(key);
  }

  /** Everything is as the examples take it: nobody else is there, nobody is banned, the group `g` remembers, ada is recorded and has said something. */
  async settle({ hasLink = true } = {}) {
    for (const socket of this.#sockets.splice(0)) socket.close();
    for (const [method, path] of [["DELETE", "/v1/admin/drain"], ["DELETE", "/v1/bans?user=ada"], ["DELETE", "/v1/bans?address=192.0.2.0%2F24"], ["DELETE", "/v1/groups/g"], ["DELETE", "/v1/groups/h"], ["DELETE", "/v1/users/ada/record"]]) await this.#send(BACKEND, method, path);
    while (JSON.parse((await this.#send(BACKEND, "GET", "/v1/count")).body).sessions > 0) await sleep(5);
    const link = hasLink && (await this.connect(BACKEND, "/v1/link"));
    if (link) link.socket.send(JSON.stringify({ id: 1, op: "listen", events: ["open", "message", "close"], share: "game", name: "m7" }));
    if (link) await link.next();
    for (const [name, { user, groups, tags }] of Object.entries(CAST)) {
      const player = await this.enter(this.#query(user, groups, tags));
      this.#sessions[name] = player.session;
      if (user === null && this.#isSigned) await this.#send(BACKEND, "PUT", `/v1/sessions/${player.session}/user?user=`);
      this.#talkers.set(name, player.socket);
      if (name !== "00a0000000000001") continue;
      await this.#send(BACKEND, "POST", `/v1/sessions/${player.session}/record`);
      player.socket.send("hi");
    }
    const pushes = [["score", "3:1", "text/plain"], ["", Buffer.from([0, 1, 2]), "application/octet-stream"]];
    for (const [key, body, type] of pushes) {
      const answer = await this.#send(BACKEND, "POST", `/v1/push?group=g${key && `&key=${key}`}`, body, { "Content-Type": type });
      this.#epoch = JSON.parse(answer.body).epoch ?? "";
    }
    await this.#send(BACKEND, "POST", "/v1/push?group=chat%2Flobby", "hi", { "Content-Type": "text/plain" });
    await this.#send(BACKEND, "POST", "/v1/push?group=chat%2Flobby&key=score", Buffer.from([0, 1, 2]), { "Content-Type": "application/octet-stream" });
  }

  #query(user, groups, tags) {
    const names = [...groups.map((group) => ["group", group]), ...tags.map((tag) => ["tag", tag])];
    if (!this.#isSigned) return [...(user ? [["user", user]] : []), ...names];
    return [["token", this.mint("--user", user ?? "nobody", ...names.flatMap(([kind, name]) => [`--${kind}`, name]))]];
  }

  /** A player says something. */
  say(name, text) {
    this.#talkers.get(name).send(text);
  }

  /** A text of the page with the names of what is there now. */
  here(text) {
    const named = text.replaceAll(/\b00[ab][0-9a-f]{13}\b/g, (name) => this.#sessions[name] ?? name).replaceAll(EPOCH, this.#epoch).replace(/(after=|"after":)17\b/, "$10");
    const resumed = named.replaceAll(TICKET, this.#feed.resume).replace(/received=\d+/, `received=${this.#feed.received}`);
    return resumed.replaceAll(TOKEN, () => this.mint("--user", "ada"));
  }

  /** Makes the requests of a block. A text behind an empty line is the body of the last one, a text behind a request its answer. */
  async ask(text) {
    const [head, body] = text.split("\n\n");
    const answers = [];
    let last;
    for (const line of head.split("\n").filter((line) => line !== "")) {
      if (line.startsWith("{")) {
        assert(isLike(JSON.parse(line.replaceAll(/[^"]…/g, "1")), JSON.parse(last)), `the answer is\n${last}\nwhere the page shows\n${line}`);
        continue;
      }
      last = await this.#request(line, body);
      answers.push(...last.split("\n"));
    }
    // What the pages tell the answers of beside: a push without a receipt, a feed that is over and a link that is not there.
    if (head.includes("POST /v1/push?")) answers.push(await this.#request("POST /v1/push?user=ada"));
    if (head.includes("DELETE /v1/events")) answers.push(await this.#request(`GET /v1/events?events=open&resume=${this.#feed.resume}&received=0`));
    if (head.includes("/v1/link?resume=new")) answers.push(await this.#request("GET /v1/link?resume=BKAAAAAAAAEAAAAAAAAAAAAAAAAAAAAB&received=1"));
    return answers;
  }

  async #request(line, body = "hello") {
    if (this.#isPlaying) await this.settle();
    const [, method, path] = /^(\S+) (\S+)$/.exec(this.here(line)) ?? [];
    assert(path, `${line} is no request`);
    const isForPlayers = /^\/(ws|echo|sse|poll|send|session)\b/.test(path);
    if (/^\/(ws|echo|v1\/link)\b/.test(path)) return this.#upgrade(isForPlayers, path);
    const answer = await this.#send(isForPlayers ? CLIENTS : BACKEND, method, path, method === "GET" ? "" : this.here(body));
    assert(answer.status >= 200 && answer.status < 300, `${method} ${path}: ${answer.status} ${answer.body}`);
    const feed = /"resume":"([^"]+)","received":(\d+)/.exec(answer.body);
    if (feed) this.#feed = { resume: feed[1], received: Number(feed[2]) };
    return answer.body;
  }

  async #upgrade(isForPlayers, path) {
    const { socket, next } = await this.connect(isForPlayers ? CLIENTS : BACKEND, path);
    const answer = /^\/echo|^\/v1\/link(?!.*resume)/.test(path) ? "{}" : await next();
    const ticket = /"resume":"([^"]+)"/.exec(answer);
    if (ticket) this.#feed = { resume: ticket[1], received: 0 };
    socket.close();
    return answer;
  }

  /** One request. Of a stream the first part is enough. */
  #send(port, method, path, body = "", headers = {}) {
    return new Promise((resolve, reject) => {
      const asked = request({ host: "127.0.0.1", port, method, path, headers, agent: false }, (response) => {
        let text = "";
        const done = () => resolve({ status: response.statusCode, body: text.trim() });
        const isStream = response.headers["content-type"]?.startsWith("text/event-stream");
        response.setEncoding("utf8").on("data", (data) => {
          text += data;
          if (isStream) done();
        });
        response.on("end", done).on("error", () => {});
      });
      asked.on("error", reject);
      asked.end(body);
      this.#links.push(asked);
    });
  }

  close() {
    for (const socket of this.#sockets) socket.close();
    for (const asked of this.#links) asked.destroy();
  }
}

