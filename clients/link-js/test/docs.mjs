// Runs the two chats of docs/clients.md, as they stand there, against a real server.
//
//   node test/docs.mjs PROGRAM
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { startServer, until } from "../../js/test/servers.mjs";
import { TestWebSocket } from "../../js/test/websocket.mjs";

const [program] = process.argv.slice(2);
if (!program) {
  console.error("usage: node test/docs.mjs PROGRAM");
  process.exit(2);
}
const clients = new URL("../../", import.meta.url);
const page = readFileSync(new URL("../docs/clients.md", clients), "utf8");
const block = (language) => page.match(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``))[1];
let passed = 0;

for (const [language, command, name, folder] of [["js", "node", "chat.mjs", "link-js"], ["py", "python3", "chat.py", "link-py/gannet_link"]]) {
  const server = await startServer(program, "# The defaults.\n");
  // What a reader does: the client is copied to where the program is.
  cpSync(fileURLToPath(new URL(folder, clients)), join(server.directory, folder.replace("link-py/", "")), { recursive: true });
  writeFileSync(join(server.directory, name), block(language));
  const chat = spawn(command, [name, server.backend], { cwd: server.directory, stdio: ["ignore", "pipe", "inherit"] });
  process.on("exit", () => chat.kill());
  for await (const line of createInterface({ input: chat.stdout })) if (line === "ready") break;
  const players = ["ada", "bob"].map((user) => {
    const socket = new TestWebSocket(`ws://${server.clients}/ws?user=${user}`, ["gannet.raw"]);
    const it = { socket, got: [] };
    socket.onmessage = ({ data }) => it.got.push(data);
    return it;
  });
  await until("both are in the chat", async () => (await server.ask("/v1/count?group=chat")).sessions === 2);
  players[0].socket.send("hello");
  await until("what ada said", () => players.every(({ got }) => got.length === 1));
  players[1].socket.send("hi");
  await until("what bob said", () => players.every(({ got }) => got.length === 2));
  for (const { got } of players) assert.deepEqual(got, ["ada: hello", "bob: hi"]);
  assert.equal(chat.exitCode, null);
  chat.kill();
  await server.stop();
  passed += 1;
  console.log(`ok ${passed} - the chat in ${language}`);
}
console.log(`${passed} passed, 0 failed`);
process.exit(0);
