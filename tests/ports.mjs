// Ports for servers that tests start.
import { once } from "node:events";
import { createServer } from "node:net";

/** Below the ports that systems give to connections, so that none of these takes one before its server does. */
let nextPort = 20_000 + Math.floor(Math.random() * 10_000);

/** A port that is free, another one each time. */
export async function freePort() {
  for (;;) {
    const server = createServer().listen(nextPort++, "127.0.0.1");
    const isFree = await once(server, "listening").then(() => true, () => false);
    if (!isFree) continue;
    const { port } = server.address();
    await once(server.close(), "close");
    return port;
  }
}
