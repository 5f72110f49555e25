// Writes dist/gannet.js: the sources as one file, minified. `npm ci` installs what it needs.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { minify } from "terser";

/** The text of dist/gannet.js. */
export async function bundle() {
  const entryPoints = [fileURLToPath(new URL("src/client.js", import.meta.url))];
  const built = await build({ entryPoints, bundle: true, format: "esm", target: "es2021", write: false });
  const { code } = await minify(built.outputFiles[0].text, {
    module: true,
    ecma: 2020,
    compress: { passes: 3, unsafe_arrows: true },
    // Names that begin so are nobody else's.
    mangle: { properties: { regex: /^_/ } },
    format: { ascii_only: true },
  });
  return code + "\n";
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL("dist/gannet.js", import.meta.url), await bundle());
}
