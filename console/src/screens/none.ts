// What stands where a screen cannot: an address that is none, a right that the key does not have.
import type { Screen } from "../context.js";
import { h } from "../dom.js";
import { empty, heading } from "../parts.js";
import { href } from "../route.js";

export function notFound(): Screen {
  return { title: "Not found", node: h("div", null, heading("There is no such screen."), empty("The address is not one of this page.", h("a", { href: href("overview") }, "Overview"))) };
}

export function missing(right: string): Screen {
  return { title: "Not allowed", node: h("div", null, heading("This key may not see that."), empty(`It needs the right ${right}. Whoever runs the server can give it one, in [backend] keys.`, h("a", { href: href("overview") }, "Overview"))) };
}
