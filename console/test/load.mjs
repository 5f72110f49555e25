// The sources as Node can run them. They touch the document only when a screen is made.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** The exports of a module of src/. */
export async function load(name) {
  const entryPoints = [fileURLToPath(new URL(`../src/${name}`, import.meta.url))];
  const built = await build({ entryPoints, bundle: true, format: "esm", platform: "neutral", target: "node20", write: false });
  return import(`data:text/javascript;base64,${Buffer.from(built.outputFiles[0].text).toString("base64")}`);
}
