// Writes dist/index.html: the sources as one page, with the script and the styles in it. `npm ci` installs what it needs.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

async function minified(entry, loader) {
  const built = await build({
    entryPoints: [path(entry)],
    bundle: true,
    minify: true,
    format: "esm",
    target: loader === "css" ? "chrome123" : "es2022",
    charset: "utf8",
    legalComments: "none",
    write: false,
  });
  // What ends the element early cannot be in it; in a string it can be written otherwise.
  return built.outputFiles[0].text.trim().replaceAll(/<\/(script|style)/gi, "<\\/$1").replaceAll("<!--", "<\\!--");
}

/** The text of dist/index.html. */
export async function page() {
  const [script, style] = [await minified("src/main.ts", "js"), await minified("src/style/all.css", "css")];
  return readFileSync(path("src/index.html"), "utf8")
    .replace("<style>STYLE</style>", () => `<style>${style}</style>`)
    .replace(`<script type="module">SCRIPT</script>`, () => `<script type="module">${script}</script>`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(path("dist"), { recursive: true });
  writeFileSync(path("dist/index.html"), await page());
}
