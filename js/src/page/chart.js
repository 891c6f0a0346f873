/** Draws quality over latency. The page's style says how it looks. */

/** @typedef {import("./interim.js").Point} Point */

const [WIDTH, HEIGHT] = [350, 210];
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 12, 12, 34];

/** Returns a scale from values to places; of a single value, to the middle. */
export function scaleOf(/** @type {number[]} */ values, /** @type {[number, number]} */ [from, to]) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return (/** @type {number} */ value) =>
    high > low ? from + ((value - low) / (high - low)) * (to - from) : (from + to) / 2;
}

/**
 * Returns round latencies within a range, a few for each power of ten: 1, 2, 5, 10, 20, 50.
 *
 * @param {number} low @param {number} high
 */
export function ticksOf(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
    for (const digit of [1, 2, 5]) {
      const tick = Number((digit * 10 ** power).toPrecision(1));
      if (tick >= low && tick <= high) found.push(tick);
    }
  }
  return found;
}

/**
 * Draws points, the front through them, and a budget with what it buys.
 *
 * @param {SVGSVGElement} svg @param {readonly Point[]} points
 * @param {{metric: string, isShare: boolean, budgetMs: number | null, chosen: string | null, length: number}} labels
 */
export function draw(svg, points, { metric, isShare, budgetMs, chosen, length }) {
  const [leastMs, mostMs] = [points[0].ms / 1.15, points[points.length - 1].ms * 1.15];
  const x = (/** @type {number} */ ms) => scaleOf([leastMs, mostMs].map(Math.log), [LEFT + 6, WIDTH - RIGHT])(Math.log(ms));
  const y = scaleOf(points.map(({ worth }) => worth), [HEIGHT - BOTTOM - 10, TOP + 10]);
  const inWords = (/** @type {number} */ worth) => (isShare ? worth.toFixed(3) : `${(worth / 1e6).toFixed(1)} M`);

  const worths = [...new Set([points[0].worth, ...points.map(({ worth }) => worth)])];
  const shown = [Math.min(...worths), Math.max(...worths)].filter((one, at, all) => all.indexOf(one) === at);
  const front = points.filter(({ isOnFront }) => isOnFront).map(({ ms, worth }) => `${x(ms)},${y(worth)}`);
  const axes = [
    made("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
    ...shown.map((worth) => made("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y(worth), y2: y(worth) })),
    ...shown.map((worth) => text(inWords(worth), { x: LEFT - 6, y: y(worth) + 4, "text-anchor": "end" })),
    ...ticksOf(leastMs, mostMs).map((ms) => text(String(ms), { x: x(ms), y: HEIGHT - BOTTOM + 14, "text-anchor": "middle" })),
    text(`ms for ${length} tokens, p95`, { x: WIDTH - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }),
    text(metric, { x: 0, y: HEIGHT - 4 }),
  ];
  const inRange = budgetMs !== null && budgetMs >= leastMs && budgetMs <= mostMs ? [budgetMs] : [];
  const lines = inRange.map((ms) => made("line", { class: "budget", x1: x(ms), x2: x(ms), y1: TOP, y2: HEIGHT - BOTTOM }));
  const dots = points.map(({ id, ms, worth, isOnFront }) => {
    const kind = ["network", isOnFront && "on-front", id === chosen && "chosen"].filter(Boolean).join(" ");
    return made("circle", { class: kind, cx: x(ms), cy: y(worth), r: id === chosen ? 6 : 4 });
  });
  svg.replaceChildren(...axes, made("polyline", { class: "front", points: front.join(" ") }), ...lines, ...dots);
}

/** Draws how a fixed workload has slowed down, on a scale up to twice as slow. @param {SVGSVGElement} svg */
export function drawHeat(svg, /** @type {readonly number[]} */ readingsMs) {
  const least = Math.min(...readingsMs);
  const x = scaleOf([0, Math.max(1, readingsMs.length - 1)], [0, 100]);
  const places = readingsMs.map((ms, at) => `${x(at)},${22 - 20 * Math.min(1, ms / least - 1)}`);
  svg.replaceChildren(made("polyline", { points: places.join(" ") }));
}

/** @param {string} content @param {Record<string, string | number>} attributes */
function text(content, attributes) {
  const element = made("text", attributes);
  element.textContent = content;
  return element;
}

/** @param {string} name @param {Record<string, string | number>} attributes */
function made(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
