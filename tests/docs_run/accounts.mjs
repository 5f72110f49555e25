// The blocks that the runner does not run, each with the reason. A block is named by its page and how it begins.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const CHECKOUT = new URL("../../", import.meta.url);

/** Done by another program of the tests: its file, and what it does. */
const ELSEWHERE = [
  ["docs/architecture.md", "protocol\n", "tests/rooms/main.rs", "reads the map and holds the imports to it"],
  ["docs/cli.md", "session 00000f7e37400000\n", "src/cli/record.rs", "prints the table of such a record in its tests"],
  ["docs/clients.md", "import { Link, LinkError", "clients/link-js/test/docs.mjs", "runs the chat as it stands there"],
  ["docs/clients.md", "import asyncio\n", "clients/link-js/test/docs.mjs", "runs the chat as it stands there"],
  ["docs/cluster.md", "ACL SETUSER gannet on >PASSWORD resetkeys ~{*}", "tests/it/cluster/shards.rs", "has nodes log in so to a Redis Cluster"],
  ["docs/console.md", "cd console\n", "tests/run", "has the tests of the console as a step: with network and browser they take minutes"],
  ["docs/contributing.md", "cargo build --release\ncargo test", "tests/run", "has the tests as a step: they take half an hour"],
  ["docs/contributing.md", "tests/run\n", "tests/run", "is what runs this"],
  ["docs/contributing.md", "cargo test --all-features --lib hub", "tests/run", "has each of these as a part of a step"],
  ["docs/contributing.md", "GANNET_WRITE_REFERENCE=1", "tests/run", "has these tests as a part of a step, and they fail where the tables are not as it writes them"],
  ["docs/contributing.md", "fuzz/run --seconds 600", "tests/run", "fuzzes this target too, for ten seconds"],
  ["docs/http-api.md", `{"session":"00a0000000000001","began_unix_ms"`, "tests/it/recorder.rs", "reads records of sessions that have ended, with every event that is in this one"],
  ["docs/link.md", `{"event":"open","session":"00a0000000000001","app"`, "tests/it/openapi.rs", "holds events of a server to their schemas"],
  ["docs/link.md", `{"event":"message","session":"00a0000000000001","user":"ada","text":"hi","groups"`, "tests/it/openapi.rs", "holds events of a server to their schemas"],
  ["docs/link.md", `{"event":"message","session":"00a0000000000001","user":"ada","text":"hi","n"`, "tests/it/openapi.rs", "holds events of a server to their schemas"],
  ["docs/operations.md", "cp contrib/systemd/gannet.service", "tests/systemd_check.sh", "does it under a systemd of its own"],
  ["docs/operations.md", "cargo build --release\ncontrib/debian/build", "tests/systemd_check.sh", "builds the package and installs it"],
  ["docs/protocol.md", "new WebSocket(", "tests/browser/tokens.mjs", "shows tokens so in pages"],
  ["docs/protocol.md", "const source = new EventSource", "tests/browser/streams.mjs", "reads streams so in pages, through nginx"],
  ["docs/protocol.md", "GET /poll?user=ada", "tests/browser/streams.mjs", "polls so in pages, through nginx"],
  ["docs/resume.md", `{"type":"welcome","session":"94e00c2c76400000"`, "tests/it/cluster/resuming/mod.rs", "reads this welcome of another node"],
  ["docs/upgrade.md", "GANNET_WRITE_REFERENCE=1", "tests/run", "has this test as a part of a step; it writes the file only for a new version"],
  ["docs/upgrade.md", "UPGRADE_PLAYERS=10000", "tests/run", "has this test as a part of a step, with fewer players: so many take minutes and a release build"],
];

/** Not run: why it cannot be here. */
const NOT_HERE = [
  ["docs/architecture.md", "socket → reactor", "It is a picture in letters."],
  ["docs/bench.md", "printf 'POST /pub", "It measures another server, which is not installed."],
  ["docs/coming-from.md", "$ curl --request POST --data", "It asks nginx with nchan, which is not installed."],
  ["docs/coming-from.md", "$ curl -s -v -X POST", "It asks nginx with the push stream module, which is not installed."],
  ["docs/coming-from.md", "$ curl --header", "It asks Centrifugo, which is not installed."],
  ["docs/coming-from.md", `import { createClient } from "./gannet.js"`, "It is of a page of the game's own domain, whose backend makes the tokens."],
  ["docs/coming-from.md", `io.on("connection"`, "It is of a server with Socket.IO, which is not installed."],
  ["docs/link.md", " 0        1        2        3        4                                   8        9\n", "It is a picture of the layout, which the vectors of clients/link-js hold."],
  ["docs/link.md", " 0        1        2        3        4                                   8\n", "It is a picture of the layout, which the vectors of clients/link-js hold."],
  ["docs/link.md", " 0        1        2                 4", "It is a picture of the layout, which the vectors of clients/link-js hold."],
  ["docs/operations.md", "docker build", "It needs an engine for containers, and images of the network; tests/container_check.sh does without."],
  ["docs/operations.md", "certbot renew", "It needs a domain, and an authority that certifies it."],
];

const ACCOUNTS = [...ELSEWHERE.map(([page, begins, file, what]) => [page, begins, `${file} ${what}`]), ...NOT_HERE];
const isOf = (page, step) => ([ofPage, begins]) => ofPage === page && Boolean(step.isBlock) && step.text.startsWith(begins);

/** Whether a block is accounted for here. */
export const isExcused = (page, step) => ACCOUNTS.some(isOf(page, step));

/** What is wrong: blocks that are neither run nor accounted for, entries for blocks that are not there. `pages` has the steps of each. */
export function account(pages) {
  const wrong = [];
  for (const [page, steps] of pages) {
    for (const step of steps.filter((step) => step.isBlock)) {
      const entries = ACCOUNTS.filter(isOf(page, step));
      if (entries.length > 1) wrong.push(`${page}:${step.line}: accounted for twice`);
      if (entries.length === 0 && step.kind === "unknown") wrong.push(`${page}:${step.line}: nothing says what this block is: mark it, as page.mjs says, or account for it in accounts.mjs`);
    }
  }
  for (const [page, begins, why] of ACCOUNTS) {
    const found = (pages.get(page) ?? []).filter((step) => isOf(page, step)([page, begins]));
    if (found.length !== 1) wrong.push(`accounts.mjs: ${found.length} blocks of ${page} begin with ${JSON.stringify(begins)}`);
    if (!why) wrong.push(`accounts.mjs: ${page}, ${JSON.stringify(begins)}: say why`);
  }
  for (const [, , file] of ELSEWHERE) if (!existsSync(fileURLToPath(new URL(file, CHECKOUT)))) wrong.push(`accounts.mjs: there is no ${file}`);
  return wrong;
}
