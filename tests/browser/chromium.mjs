// A headless Chromium and its pages, driven over the DevTools protocol on a pipe: no packages are needed.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FLAGS = [
  "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
  // A page in the background ticks and draws as one in front does.
  "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
];

/** Starts a browser with an empty profile and further flags; `close()` ends it. */
export async function startChromium(flags = []) {
  const profile = await mkdtemp(join(tmpdir(), "gannet-chromium-"));
  const program = process.env.CHROMIUM || "chromium";
  const child = spawn(program, [...FLAGS, ...flags, `--user-data-dir=${profile}`, "about:blank"], {
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
  });
  const [toBrowser, fromBrowser] = [child.stdio[3], child.stdio[4]];
  const waiting = new Map();
  const pages = new Map();
  let last = 0;

  const failAll = (error) => {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  child.on("error", (error) => failAll(new Error(`cannot start ${program}: ${error.message}`)));
  child.on("exit", (code) => failAll(new Error(`${program} ended with ${code}`)));
  toBrowser.on("error", failAll);
  let rest = "";
  fromBrowser.setEncoding("utf8").on("data", (data) => {
    const messages = (rest + data).split("\0");
    rest = messages.pop();
    for (const { id, result, error, method, params, sessionId } of messages.map((message) => JSON.parse(message))) {
      if (method) pages.get(sessionId)?.tell(method, params);
      const asked = waiting.get(id);
      waiting.delete(id);
      if (error) asked?.reject(new Error(`${asked.method}: ${error.message}`));
      else asked?.resolve(result);
    }
  });

  const call = (method, params = {}, sessionId = undefined) =>
    new Promise((resolve, reject) => {
      const id = ++last;
      waiting.set(id, { method, resolve, reject });
      toBrowser.write(JSON.stringify({ id, method, params, sessionId }) + "\0");
    });

  return {
    async openPage(url, width, height) {
      const { browserContextId } = await call("Target.createBrowserContext");
      const { targetId } = await call("Target.createTarget", { url: "about:blank", browserContextId, width, height });
      const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
      const page = new Page((method, params) => call(method, params, sessionId), {
        open: async () => (await call("Target.createTarget", { url: "about:blank", browserContextId })).targetId,
        raise: (tab = targetId) => call("Target.activateTarget", { targetId: tab }),
        close: (tab) => call("Target.closeTarget", { targetId: tab }),
      });
      pages.set(sessionId, page);
      await page.call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
      await page.call("Emulation.setFocusEmulationEnabled", { enabled: true });
      await page.call("Page.navigate", { url });
      return page;
    },
    async close() {
      if (child.exitCode === null) {
        const ended = once(child, "exit");
        child.kill();
        await ended;
      }
      await rm(profile, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

class Page {
  #told = new Map();
  #tabs;
  /** The tab in front of this one. */
  #other = null;

  constructor(call, tabs) {
    this.call = call;
    this.#tabs = tabs;
  }

  /** Puts another tab of the same window in front: the page is hidden, as a tab is that nobody looks at. */
  async hide() {
    // A page that is made to believe that it has the focus is never hidden.
    await this.call("Emulation.setFocusEmulationEnabled", { enabled: false });
    this.#other ??= await this.#tabs.open();
    await this.#tabs.raise(this.#other);
    await this.until("the page to be hidden", `document.visibilityState === "hidden"`);
  }

  /** Puts it in front again. */
  async show() {
    await this.#tabs.raise();
    await this.call("Emulation.setFocusEmulationEnabled", { enabled: true });
    if (this.#other) await this.#tabs.close(this.#other);
    this.#other = null;
    await this.until("the page to be seen", `document.visibilityState === "visible"`);
  }

  /** Listens for an event of the protocol, of a domain that was enabled. */
  on(method, listener) {
    this.#told.set(method, listener);
  }

  tell(method, params) {
    this.#told.get(method)?.(params);
  }

  /** The value of a JavaScript expression in the page. */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", { expression, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression}: ${result.description ?? exceptionDetails.text}`);
    return result.value;
  }

  /** Waits until an expression is true in the page, and says what was waited for if that takes too long. */
  async until(what, expression, patienceMs = 60_000) {
    const deadline = Date.now() + patienceMs;
    while (!(await this.evaluate(`Boolean(${expression})`).catch(() => false))) {
      if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  press(code) {
    return this.call("Input.dispatchKeyEvent", { type: "rawKeyDown", code, key: code });
  }

  release(code) {
    return this.call("Input.dispatchKeyEvent", { type: "keyUp", code, key: code });
  }

  async click(x, y) {
    for (const type of ["mousePressed", "mouseReleased"]) {
      await this.call("Input.dispatchMouseEvent", { type, x, y, button: "left", buttons: 1, clickCount: 1 });
    }
  }

  /** The page as a PNG. */
  async screenshot() {
    const { data } = await this.call("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data, "base64");
  }
}
