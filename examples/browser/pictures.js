/** The demo's pictures, as trees of SVG: which part of the network runs, and what each network costs. */

import { costOf } from "./edgebert/choosing/cost-model.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [320, 180];

/** Puts shapes into an SVG element; each is a name, its attributes, and perhaps a text. */
export function draw(svg, shapes) {
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  const made = shapes.map(([name, attributes, text = ""]) => {
    const shape = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
    shape.textContent = text;
    return shape;
  });
  svg.replaceChildren(...made);
}

/** Returns a row for each layer, the last on top, with a cell for each attention head and a bar for the neurons. */
export function drawNetwork(subnet, all) {
  const largest = all.reduce((most, one) => (one.parameters > most.parameters ? one : most));
  const [rows, heads] = [largest.layers.length, Math.max(...largest.heads)];
  const [high, wide] = [HEIGHT / rows, (0.6 * WIDTH) / heads];
  return largest.layers.flatMap((layer, row) => {
    const y = HEIGHT - (row + 1) * high + 2;
    const at = subnet?.layers.indexOf(layer) ?? -1;
    const cells = Array.from({ length: heads }, (_, head) => {
      const isOn = at >= 0 && head < subnet.heads[at];
      return ["rect", { class: isOn ? "on" : "off", x: head * wide, y, width: wide - 2, height: high - 4, rx: 2 }];
    });
    const [from, whole] = [0.62 * WIDTH, 0.38 * WIDTH];
    const share = at >= 0 ? subnet.ffn[at] / Math.max(...largest.ffn) : 0;
    const bar = { y, height: high - 4, rx: 2, x: from };
    return [...cells, ["rect", { ...bar, class: "off", width: whole }], ["rect", { ...bar, class: "on", width: share * whole }]];
  });
}

/** Returns a point for each network: how good it is over how long it takes for so many tokens; the budget is a line. */
export function drawFrontier(profile, all, tokens, budgetMs, chosen) {
  const points = all.flatMap(({ id, quality }) => {
    const bounds = profile.subnetworks.filter((entry) => entry.id === id).map((entry) => costOf(entry).boundMs(tokens, 1, 95));
    const known = bounds.filter((ms) => ms !== null);
    return quality && known.length ? [{ id, value: quality.value, ms: Math.min(...known) }] : [];
  });
  const [left, right, top, bottom] = [34, WIDTH - 8, 10, HEIGHT - 22];
  const times = [...points.map(({ ms }) => ms), budgetMs];
  const [least, most] = [Math.min(...times) / 1.2, Math.max(...times) * 1.2];
  const values = points.map(({ value }) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (ms) => left + (Math.log(ms / least) / Math.log(most / least)) * (right - left);
  const y = (value) => bottom - 8 - ((value - low) / (high - low || 1)) * (bottom - top - 8);

  const ticks = [1, 2, 5].flatMap((one) => [0.1, 1, 10, 100, 1000].map((ten) => one * ten));
  return [
    ["line", { class: "axis", x1: left, y1: bottom, x2: right, y2: bottom }],
    ["line", { class: "budget", x1: x(budgetMs), y1: top, x2: x(budgetMs), y2: bottom }],
    ...ticks.filter((ms) => ms > least && ms < most).map((ms) => ["text", { x: x(ms), y: HEIGHT - 10, "text-anchor": "middle" }, `${Number(ms.toFixed(1))}`]),
    ...[low, high].map((value) => ["text", { x: 2, y: y(value) + 3 }, `${(100 * value).toFixed(1)} %`]),
    ...points.map(({ id, value, ms }) => ["circle", { class: `network ${id === chosen ? "is-chosen" : ""}`, cx: x(ms), cy: y(value), r: id === chosen ? 7 : 4 }]),
  ];
}
