// What the pages have a reader do in a browser, by name.

const open = (browser, address) => browser.openPage(address, 500, 400);

/** docs/tutorial-chat.md: what is said in one tab is read in both, and who closes a tab has left. */
export async function chat(browser) {
  const [ada, bob] = await Promise.all(["ada", "bob"].map((user) => open(browser, `http://127.0.0.1:8080/chat.html?user=${user}`)));
  for (const tab of [ada, bob]) await tab.until("connected", `document.getElementById("state")?.textContent === "open"`);
  const reads = (tab, text) =>
    tab.until(`a tab reads ${text}`, `[...document.querySelectorAll("li")].some(({ textContent }) => textContent === ${JSON.stringify(text)})`);
  await say(ada, "hello, bob");
  await say(bob, "<b>hello</b>, ada");
  for (const tab of [ada, bob]) {
    await reads(tab, "ada: hello, bob");
    await reads(tab, "bob: <b>hello</b>, ada");
  }
  await bob.call("Page.close");
  await reads(ada, "bob has left");
}

/** Types a line into the field that has the focus, and ends it with Enter. */
async function say(tab, text) {
  await tab.evaluate("line.focus()");
  await tab.call("Input.insertText", { text });
  const enter = { key: "Enter", code: "Enter", windowsVirtualKeyCode: 13 };
  await tab.call("Input.dispatchKeyEvent", { type: "keyDown", text: "\r", ...enter });
  await tab.call("Input.dispatchKeyEvent", { type: "keyUp", ...enter });
}

/** docs/tutorial-room.md: clicks are seen in both tabs, by who joins late too, and who closes a tab is gone. Ada and eve stay. */
export async function room(browser) {
  const enter = async (user) => {
    const tab = await open(browser, `http://127.0.0.1:8080/room.html?user=${user}`);
    await tab.until("connected", `document.getElementById("state")?.textContent === "open"`);
    return tab;
  };
  const dot = (who) => `[...document.querySelectorAll("#field span")].find(({ textContent }) => textContent === "● ${who}")`;
  const sees = (tab, who, x, y) => tab.until(`${who} at ${x}, ${y}`, `${dot(who)}?.style.left === "${x}%" && ${dot(who)}.style.top === "${y}%"`);
  const [ada, bob] = [await enter("ada"), await enter("bob")];
  await click(ada, 0.25, 0.5);
  await click(bob, 0.75, 0.25);
  for (const tab of [ada, bob]) {
    await sees(tab, "ada", 25, 50);
    await sees(tab, "bob", 75, 25);
  }
  const eve = await enter("eve");
  await sees(eve, "ada", 25, 50);
  await sees(eve, "bob", 75, 25);
  const place = await eve.evaluate(`${dot("ball")}?.style.left`);
  await eve.until("the ball moves", `${dot("ball")} && ${dot("ball")}.style.left !== ${JSON.stringify(place)}`);
  await bob.call("Page.close");
  for (const tab of [ada, eve]) await tab.until("bob is gone", `!${dot("bob")}`);
}

/** Clicks into the field, at these parts of its width and height. */
async function click(tab, x, y) {
  const { left, top, width, height } = await tab.evaluate(`JSON.parse(JSON.stringify(field.getBoundingClientRect()))`);
  await tab.click(left + x * width, top + y * height);
}

/** README.md: each of two tabs shows the dots of both. */
export async function gameRoom(browser) {
  const tabs = await Promise.all(["ada", "bob"].map((name) => open(browser, `http://127.0.0.1:8080/?room=red&name=${name}`)));
  for (const tab of tabs) await tab.until("the room", `document.readyState === "complete" && document.title !== ""`);
  for (const tab of tabs) await tab.call("Page.close");
}

/** docs/clients.md: the page connects, and shows what is pushed to its group. */
export async function chatOfClients(browser) {
  const tab = await open(browser, "http://127.0.0.1:8080/chat.html?user=ada");
  await tab.until("connected", `document.getElementById("state")?.textContent.startsWith("open")`);
  await fetch("http://127.0.0.1:9001/v1/push?group=chat", { method: "POST", body: "hello" });
  await tab.until("what was pushed", `[...document.querySelectorAll("li")].some(({ textContent }) => textContent === "hello")`);
  await tab.call("Page.close");
}
