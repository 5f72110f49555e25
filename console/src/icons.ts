import { svg } from "./dom.js";

const PATHS: Record<string, string> = {
  pulse: "M1.5 8.5h3L6.5 3l3.5 10 1.8-4.5h2.7",
  grid: "M2 2h4.7v4.7H2zM9.3 2H14v4.7H9.3zM2 9.3h4.7V14H2zM9.3 9.3H14V14H9.3z",
  people: "M5.5 7.5a2.4 2.4 0 1 0 0-4.8 2.4 2.4 0 0 0 0 4.8zM1 13.5c0-2.8 1.8-4.3 4.5-4.3S10 10.7 10 13.5M11.5 7.7a1.9 1.9 0 1 0 0-3.8M12 9.7c1.9.2 3 1.5 3 3.5",
  person: "M8 7.5a2.7 2.7 0 1 0 0-5.4 2.7 2.7 0 0 0 0 5.4zM2.8 14c0-3.1 2-4.6 5.2-4.6s5.2 1.5 5.2 4.6",
  rows: "M1.5 3.5h13M1.5 8h13M1.5 12.5h13",
  send: "M14 2 1.8 6.8l4.7 2.4L9 14zM6.5 9.2 14 2",
  sliders: "M1.5 5h7.5M12.5 5h2M1.5 11h2M7 11h7.5M10.7 6.8a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6zM5.2 12.8a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6z",
  brackets: "M5.5 2.5 1.5 8l4 5.5M10.5 2.5l4 5.5-4 5.5",
  nodes: "M8 5.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM3.5 14.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM12.5 14.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM7 5.3l-2.6 5.3M9 5.3l2.6 5.3M5.5 12.5h5",
  search: "M7 11.7A4.7 4.7 0 1 0 7 2.3a4.7 4.7 0 0 0 0 9.4zM10.5 10.5 14 14",
  warning: "M8 2 1.3 13.7h13.4zM8 6.5v3.3M8 11.7v.1",
  stop: "M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2zM8 4.7v4M8 11.2v.1",
  info: "M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM8 7.3v4M8 4.7v.1",
  cross: "m4.5 4.5 7 7M11.5 4.5l-7 7",
  more: "M3 8.5a.5.5 0 1 0 0-1 .5.5 0 0 0 0 1zM8 8.5a.5.5 0 1 0 0-1 .5.5 0 0 0 0 1zM13 8.5a.5.5 0 1 0 0-1 .5.5 0 0 0 0 1z",
};

/** An icon beside a word; readers of screens hear the word only. */
export function icon(name: string): SVGElement {
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" }, svg("path", { d: PATHS[name] ?? "" }));
}

/** The circle that is half light and half dark. */
export function halves(): SVGElement {
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    svg("circle", { cx: 8, cy: 8, r: 6 }), svg("path", { d: "M8 2a6 6 0 0 0 0 12z", fill: "currentColor" }));
}

export function logo(): SVGElement {
  return svg("svg", { viewBox: "0 0 18 18", "aria-hidden": "true", focusable: "false" },
    svg("path", { class: "wing", d: "M0 .8c4.2.7 7.3 3.4 8.6 8.2L7.4 11.4C4.8 9.3 2.7 5.6 0 .8z" }),
    svg("path", { class: "far", d: "M16.8 2.2c.2 4.6-2 8-5.9 9.6L9.7 9.4c1.6-3.9 3.7-6 7.1-7.2z" }),
    svg("path", { class: "beak", d: "M8.9 8.8l2 3.2L8.7 17.8 7 11.8z" }));
}
