// axe on every screen, in both themes, wide and as on a phone.
import assert from "node:assert/strict";
import { enterGame, go } from "./world.mjs";

const RULES = { resultTypes: ["violations"] };

/** What axe finds on the page as it is. */
async function violations(page) {
  const found = await page.call("Runtime.evaluate", { expression: `axe.run(document, ${JSON.stringify(RULES)}).then(({ violations }) => violations.map(({ id, nodes }) => id + ": " + nodes.map(({ target, failureSummary }) => target.join(" ") + " (" + failureSummary.replace(/\\s+/g, " ") + ")").join("; ")))`, awaitPromise: true, returnByValue: true });
  if (found.exceptionDetails) throw new Error(found.exceptionDetails.exception.description);
  return found.result.value;
}

/** Screens, as `[hash, heading]`, in both themes, wide and as on a phone. */
async function look(page, screens, arrive) {
  const wrong = [];
  for (const [width, height] of [[1280, 900], [390, 844]]) {
    await page.call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
    for (const theme of ["light", "dark"]) {
      await page.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: theme }, { name: "prefers-reduced-motion", value: "reduce" }] });
      for (const [hash, heading] of screens) {
        await arrive(hash, heading);
        for (const found of await violations(page)) wrong.push(`${hash} ${theme} ${width}: ${found}`);
        const wide = await page.evaluate(`document.documentElement.scrollWidth`);
        if (wide > width) wrong.push(`${hash} ${theme} ${width}: the page is ${wide} wide`);
      }
    }
  }
  await page.call("Emulation.setDeviceMetricsOverride", { width: 1280, height: 900, deviceScaleFactor: 1, mobile: false });
  assert.equal(wrong.join("\n"), "");
}

/** The screens of a page that has its key. */
export async function screensAre(page, axe, screens) {
  await page.evaluate(`${axe}; 0`);
  await look(page, screens, async (hash, heading) => {
    await go(page, hash, heading);
    await page.until(`what ${hash} reads`, `document.querySelector("main h1").textContent !== "" && !document.querySelector("main .listing:empty")`);
  });
}

/** The page that asks for a key. */
export async function gateIs(page, axe) {
  await page.evaluate(`${axe}; 0`);
  await look(page, [["the gate", ""]], () => page.until("the field", `document.querySelector("#key")`));
}

export async function everyScreen(page, server, axe) {
  const player = await enterGame(server, [["user", "ada"], ["group", "red"], ["tag", "ios"]]);
  const screens = [
    ["#/", ""], ["#/apps", "Apps"], ["#/groups?app=default", "Groups"], ["#/users?app=default", "Users"], ["#/sessions", "Sessions"], ["#/sessions?behind=1", "Sessions"],
    ["#/group/default/red", "red"], ["#/user/default/ada", "ada"], [`#/session/default/${player.session}`, "ada"], ["#/push", "Push & test"], ["#/operations", "Operations"],
    ["#/configuration?search=limits", "Configuration"], ["#/nowhere", "There is no such screen"],
  ];
  await screensAre(page, axe, screens);
  player.end();
}
