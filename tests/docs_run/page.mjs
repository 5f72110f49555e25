// A page as the steps that a reader takes, in their order.
//
// A line before a block of code says what the block is; without one, a block of `sh` is a command that is run to its end, and the
// block of `text` or `json` behind it is all that it prints:
//
//     <!-- file: chat.mjs -->       the block is this file
//     <!-- terminal: server -->     the block is a command that goes on running, in a terminal of this name
//     <!-- type: ada -->            the block is typed in this terminal
//     <!-- shows: server -->        this terminal shows the block, behind what it showed before
//     <!-- prints: push -->         the last command has printed the block, and so does the program `push` in each language of the cookbook
//     <!-- runs: events -->         the same program goes on running in each language, in a terminal of its own
//     <!-- console -->          what a player does for such a program to hear: typed into the console of the backend port's own page
//     <!-- token: mint -->         the program prints a token, in each language, of which `gannet token check` says the block
//
// and these stand alone:
//
//     <!-- enter: network -->       Enter in this terminal
//     <!-- stop: server -->         Ctrl-C in this terminal
//     <!-- players: ada bob -->     exactly these users have a session each, before each command from here on
//     <!-- tabs: chat -->           what is done in a browser: the function of this name in tabs.mjs
const MARKER = /^<!-- (file|terminal|type|enter|shows|stop|prints|runs|console|token|players|tabs)(?:: (.+))? -->$/;
const ALONE = new Set(["enter", "stop", "players", "tabs"]);

/** The steps of a page, `path` with this text: `{ line, section, kind, name, text }`. */
export function stepsOf(path, page) {
  const steps = [];
  let section = path;
  let marker;
  let block;
  page.split("\n").forEach((text, at) => {
    const line = at + 1;
    const wrong = (what) => new Error(`${path}:${line}: ${what}`);
    if (block) {
      if (text !== "```") return void (block.text += `${text}\n`);
      steps.push(block);
      block = undefined;
      return;
    }
    if (text.startsWith("```")) {
      block = { line, section, text: "", ...kindOf(text.slice(3), marker, steps.at(-1), wrong) };
      marker = undefined;
      return;
    }
    if (marker) throw wrong(`no block follows <!-- ${marker.kind} -->`);
    if (/^##? /.test(text)) section = text.replace(/^#+ /, "");
    const [, kind, name] = MARKER.exec(text) ?? [];
    if (ALONE.has(kind)) steps.push({ line, section, kind, name });
    else if (kind) marker = { kind, name };
  });
  return steps;
}

/** What a block is, of its marker, or else of its language and the step before it. */
function kindOf(language, marker, last, wrong) {
  if (marker) return marker;
  if (language === "sh") return { kind: "run" };
  if (language !== "text" && language !== "json") throw wrong(`nothing says what this block of ${language} is`);
  if (last?.kind !== "run") throw wrong("this block follows no command that prints it");
  return { kind: "prints" };
}
