// A page as the steps that a reader takes, in their order.
//
// A line before a block of code says what the block is; without one, a block of `sh` is a command that is run to its end, the
// block of `text` or `json` behind it is all that it prints, and blocks of other languages are checked by what reads them (checkers.mjs):
//
//     <!-- file: chat.mjs -->       the block is this file
//     <!-- terminal: server -->     the block is a command that goes on running, in a terminal of this name
//     <!-- terminals -->            each line of the block is one, in a terminal of its own, in their order
//     <!-- in turn -->              each line of the block is one, and is ended with Ctrl-C once it has shown something
//     <!-- type: ada -->            the block is typed in this terminal
//     <!-- shows: server -->        this terminal shows the block, behind what it showed before
//     <!-- prints: push -->         the last command has printed the block, and so does the program `push` in each language of the cookbook
//     <!-- like -->                 the last command, or the requests before, have answered like that: with other numbers, times and ids
//     <!-- like: ada -->            what this terminal shows is like that
//     <!-- fails -->                the block is a command that fails
//     <!-- runs: events -->         the same program goes on running in each language, in a terminal of its own
//     <!-- console -->          what a player does for such a program to hear: typed into the console of the backend port's own page
//     <!-- token: mint -->         the program prints a token, in each language, of which `gannet token check` says the block
//     <!-- do: frame -->            the block is given to the function of this name in blocks.mjs
//
// and these stand alone:
//
//     <!-- enter: network -->       Enter in this terminal
//     <!-- stop: server -->         Ctrl-C in this terminal
//     <!-- players: ada bob -->     exactly these users have a session each, before each command from here on
//     <!-- tabs: chat -->           what is done in a browser: the function of this name in tabs.mjs
//     <!-- scene: game -->          what the page takes for granted from here on: the function of this name in scenes.mjs
//     <!-- in: gannet -->           commands run in this folder from here on, beside the one that the page begins in
const MARKER = /^\s*<!-- (file|terminals|terminal|in turn|type|enter|shows|stop|prints|like|fails|runs|console|token|do|players|tabs|scene|in)(?:: (.+))? -->$/;
const ALONE = new Set(["enter", "stop", "players", "tabs", "scene", "in"]);
const FENCE = /^(\s*)```(.*)$/;

/** What a block is by its language, where nothing else says it. */
const BY_LANGUAGE = new Set(["toml", "ini", "nginx", "haproxy", "dockerfile", "console", "rust", "rust,no_run"]);

/** The steps of a page, `path` with this text: `{ line, section, kind, name, language, text }`. */
export function stepsOf(path, page) {
  const steps = [];
  let section = path;
  let marker;
  let block;
  page.split("\n").forEach((text, at) => {
    const line = at + 1;
    const wrong = (what) => new Error(`${path}:${line}: ${what}`);
    const [, indent, language] = FENCE.exec(text) ?? [];
    if (block) {
      if (language !== "") return void (block.text += `${text.replace(block.indent, "")}\n`);
      steps.push(finished(block));
      block = undefined;
      return;
    }
    if (language !== undefined) {
      block = { line, section, marker, language, indent, text: "" };
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

/** A block with what it is: of its marker, or else of its language. */
function finished({ marker, ...block }) {
  return { ...block, isBlock: true, ...(marker ?? { kind: kindOf(block) }) };
}

function kindOf({ language, text }) {
  if (language === "sh") return "run";
  if (language === "text" || language === "json") return "prints";
  if (BY_LANGUAGE.has(language)) return language.split(",")[0];
  if (language === "" && /^(GET|POST|PUT|DELETE) \//.test(text)) return "requests";
  return "unknown";
}
