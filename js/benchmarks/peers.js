/**
 * edgebert and transformers.js in Chromium, on one checkpoint: `node js/benchmarks/peers.js FOLDER`.
 *
 * FOLDER has the built-in bundle's network as others run it: `checkpoint/` (the tokenizer and config.json) and
 * `dynamic/model.onnx`, its export by `quantize_dynamic`; `python benchmarks/peers.py` makes both. transformers.js is
 * installed into build/web-peers. In each round all contenders run one after the other, each in a fresh browser; ratios to
 * transformers.js in a Worker are of one round, and of them the median and the range are printed.
 */

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { median } from "../src/measuring/statistics.js";
import { openChromium } from "./chromium.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PEER = "@huggingface/transformers@4.3.1";
const PEERS = join(ROOT, "build", "web-peers");
const LENGTHS = [16, 64, 128];
const TYPES = { html: "text/html", js: "text/javascript", mjs: "text/javascript", wasm: "application/wasm" };

const { values, positionals } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, threads: { type: "string", default: "1,2" } },
  allowPositionals: true,
});
const [folder] = positionals;
if (!folder || !existsSync(join(folder, "dynamic", "model.onnx"))) {
  throw new Error("expected a FOLDER with checkpoint/ and dynamic/model.onnx; make it with benchmarks/peers.py");
}

await mkdir(PEERS, { recursive: true });
if (!existsSync(join(PEERS, "node_modules"))) {
  execFileSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", PEERS, PEER]);
}
const transformers = join(PEERS, "node_modules", "@huggingface", "transformers", "dist");
const nested = join(PEERS, "node_modules", "@huggingface", "transformers", "node_modules", "onnxruntime-web", "dist");
const theirs = existsSync(nested) ? nested : join(PEERS, "node_modules", "onnxruntime-web", "dist");

/** Where a path of the page lies; of transformers.js the runtime that it brings. @param {string} path */
function placesOf(path) {
  const rest = path.split("/").slice(2).join("/");
  /** @type {Record<string, string[]>} */
  const places = {
    js: [join(ROOT, "js", rest)],
    ort: [join(ROOT, "js/node_modules/onnxruntime-web/dist", rest)],
    bundle: [join(ROOT, "edgebert/builtin", rest)],
    transformers: [join(transformers, rest), join(theirs, rest)],
    models: [join(folder, rest.replace("model/onnx/model_quantized.onnx", "dynamic/model.onnx").replace("model/", "checkpoint/"))],
  };
  return places[path.split("/")[1]] ?? [];
}

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url ?? "", "http://x");
  const headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
  if (pathname === "/") return response.writeHead(200, { ...headers, "content-type": TYPES.html }).end("<!doctype html>");
  for (const place of placesOf(pathname)) {
    const found = await readFile(place).catch(() => undefined);
    const type = TYPES[/** @type {keyof typeof TYPES} */ (place.split(".").at(-1))] ?? "application/octet-stream";
    if (found) return response.writeHead(200, { ...headers, "content-type": type, "cache-control": "max-age=600" }).end(found);
  }
  return response.writeHead(404, headers).end();
});
await new Promise((done) => server.listen(0, "127.0.0.1", () => done(null)));
const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
const url = `http://127.0.0.1:${port}/`;

console.log(`Chromium, ${PEER}, edgebert on onnxruntime-web 1.30.0; medians of ${values.rounds} rounds`);
try {
  for (const threads of values.threads.split(",").map(Number)) await compare(threads);
} finally {
  server.close();
}

/**
 * Calls a function of in-page.js in a browser of its own, which has compiled nothing before.
 *
 * @param {string} name @param {unknown[]} args
 */
async function inBrowser(name, ...args) {
  const browser = await openChromium();
  try {
    const tab = await browser.newTab();
    await tab.go(url);
    return await tab.call("/js/benchmarks/in-page.js", name, ...args);
  } finally {
    await browser.close();
  }
}

/** @param {number} threads */
async function compare(threads) {
  const [full, half] = await inBrowser("chosen", threads);
  const contenders = [
    { name: "transformers.js, in a Worker", network: "worker" },
    { name: "transformers.js, on the page", network: "page" },
    { name: `edgebert, full network (${full})`, network: full },
    { name: `edgebert, best for half of its time (${half})`, network: half },
  ];
  /** @type {Record<string, number[]>[]} */
  const rounds = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    /** @type {Record<string, number[]>} */
    const found = {};
    for (const { name, network } of round % 2 ? [...contenders].reverse() : contenders) {
      found[name] = await inBrowser("timed", network, threads, LENGTHS);
    }
    rounds.push(found);
  }
  console.log(`\n${threads} ${threads === 1 ? "thread" : "threads"}`.padEnd(64), LENGTHS.map((length) => `${length} tokens`.padStart(28)).join(""));
  for (const { name } of contenders) {
    const cells = LENGTHS.map((_, at) => {
      const own = rounds.map((found) => found[name]?.[at] ?? NaN);
      const ratios = rounds.map((found, round) => (own[round] ?? NaN) / (found[contenders[0]?.name ?? ""]?.[at] ?? NaN));
      const [low, high] = [Math.min(...ratios), Math.max(...ratios)].map((ratio) => ratio.toFixed(2));
      return `${median(own).toFixed(2)} ms  ${median(ratios).toFixed(2)} (${low}-${high})`.padStart(28);
    });
    console.log(name.padEnd(64), cells.join(""));
  }
}
