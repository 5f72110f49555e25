// Elements without markup: what a name contains is text, whatever it looks like. No element gets a style attribute, which the
// page's Content-Security-Policy would refuse.

export type Child = Node | string | number | null | undefined | false | Child[];
type Listener = (event: never) => void;
export type Props = Record<string, string | number | boolean | null | undefined | Listener>;

const SVG = "http://www.w3.org/2000/svg";

function put(element: Element, props: Props | null): void {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as unknown as EventListener);
    else if (name === "value") (element as HTMLInputElement).value = String(value ?? "");
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
}

function append(parent: Element, children: Child[]): void {
  for (const child of children) {
    if (Array.isArray(child)) append(parent, child);
    else if (child instanceof Node) parent.appendChild(child);
    else if (child !== null && child !== undefined && child !== false) parent.appendChild(document.createTextNode(String(child)));
  }
}

/** An HTML element. A property whose value is a function listens: `onclick`. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props?: Props | null, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  put(element, props ?? null);
  append(element, children);
  return element;
}

export function svg(tag: string, props: Props, ...children: Child[]): SVGElement {
  const element = document.createElementNS(SVG, tag);
  put(element, props);
  append(element, children);
  return element;
}

/** Sets a text, if it is another one: a tick that changes nothing does no work in the document. */
export function say(node: Node, text: string): void {
  if (node.firstChild instanceof Text && node.childNodes.length === 1) {
    if (node.firstChild.data !== text) node.firstChild.data = text;
  } else if (node instanceof Text) {
    if (node.data !== text) node.data = text;
  } else if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** Sets or removes an attribute, if that changes it. */
export function attribute(element: Element, name: string, value: string | null): void {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

export function classed(element: Element, name: string, is: boolean): void {
  if (element.classList.contains(name) !== is) element.classList.toggle(name, is);
}

export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren();
  append(parent, children);
}

/** Parts of a line, with a dot between them. */
export function dotted(...parts: Child[]): Child[] {
  return parts.filter((part) => part !== null && part !== undefined && part !== false && part !== "").flatMap((part, at) => (at === 0 ? [part] : [h("span", { class: "sep", "aria-hidden": "true" }, "·"), part]));
}
