/** Serves the pages that tests run in: files of this repository and the built-in bundle, well or badly. */

import { readFile, readdir } from "node:fs/promises";
import { createServer } from "node:http";
import { networkInterfaces } from "node:os";
import { fileURLToPath } from "node:url";

import { NO_PYTHON, printedLater } from "../support/python.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PACKAGES = ["onnxruntime-web/dist", "@huggingface/tokenizers/dist"].map((name) => `js/node_modules/${name}`);
const FOLDERS = ["js/src", "js/test", "js/benchmarks", ...PACKAGES, "edgebert/builtin", "tests/laws", "profiles"];
const SCRIPTS = ["/printed/token_vectors.py/texts", "/printed/token_vectors.py/code-points"];

const IN_PAGE = "/js/test/browsers/in-page";
const IMPORTS = {
  edgebert: "/js/src/index.js",
  "onnxruntime-web/wasm": `/${PACKAGES[0]}/ort.wasm.min.mjs`,
  "@huggingface/tokenizers": `/${PACKAGES[1]}/tokenizers.mjs`,
  // Tests that Node runs too find in a page what they use of it.
  "node:assert/strict": `${IN_PAGE}/node/assert.js`,
  "node:fs": `${IN_PAGE}/node/fs.js`,
  "node:test": `${IN_PAGE}/node/test.js`,
  "/js/test/support/python.js": `${IN_PAGE}/node/python.js`,
};
const PAGE = `<!doctype html><meta charset="utf-8"><title>edgebert's tests</title><link rel="icon" href="data:,">
<script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>`;

const ISOLATED = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
const TYPES = { html: "text/html", js: "text/javascript", mjs: "text/javascript", wasm: "application/wasm" };

/** @typedef {import("node:http").IncomingMessage} Request */
/** @typedef {import("node:http").ServerResponse} Response */

/**
 * How the site is served: at which address, isolated and with parts of files or not; `change` returns other content of
 * a file of the bundle, and `answer` may answer for one itself and returns true if it did.
 *
 * @typedef {object} Manners
 * @property {string} [host]
 * @property {boolean} [isolated]
 * @property {boolean} [ranges]
 * @property {(content: Buffer, name: string) => Buffer | undefined} [change]
 * @property {(response: Response, name: string, range: string | undefined) => unknown} [answer]
 */

/** A site; `given` tells what it gave of the bundle so far. @typedef {Awaited<ReturnType<typeof startSite>>} Site */

/**
 * Serves a site on a port of its own, and so with an origin and a storage of its own, until the test ends.
 *
 * @param {{after: (end: () => unknown) => void}} t @param {Manners} manners
 */
export async function startSite(t, { host = "127.0.0.1", isolated = true, ranges = true, change, answer } = {}) {
  /** @type {{name: string, range: string | undefined, bytes: number}[]} */
  const given = [];
  const server = createServer(async (request, response) => {
    if (isolated) Object.entries(ISOLATED).forEach(([name, value]) => response.setHeader(name, value));
    response.setHeader("cross-origin-resource-policy", "same-origin");
    const path = decodeURIComponent(new URL(request.url ?? "", "http://x").pathname);
    if (!path.startsWith("/bundle/")) return giveFile(response, path);

    const [name, range] = [path.slice("/bundle/".length), ranges ? request.headers.range : undefined];
    if (await answer?.(response, name, range)) return;
    const found = await contentOf(`edgebert/builtin/${name}`);
    if (!found) return response.writeHead(404).end("nothing here");
    const content = part(response, change?.(found, name) ?? found, range);
    given.push({ name, range, bytes: content.length });
    response.setHeader("content-length", content.length).end(content);
  });
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  await new Promise((done) => server.listen(0, host, () => done(null)));
  t.after(stop);
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://${host}:${port}/`, given, stop };
}

/** Returns an address of this machine at which pages are not secure, or undefined where it has none. */
export function insecureHost() {
  const all = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
  return all.find(({ internal, family }) => !internal && family === "IPv4")?.address;
}

/** Returns how many bytes of a bundle's files were given. @param {Site} site @param {RegExp} [names] */
export function bytesOf({ given }, names = /./) {
  return given.filter(({ name }) => names.test(name)).reduce((sum, { bytes }) => sum + bytes, 0);
}

/** @param {Response} response @param {string} path */
async function giveFile(response, path) {
  const found = path === "/" ? Buffer.from(PAGE) : ((await script(path)) ?? (await contentOf(path.slice(1))));
  if (!found) return response.writeHead(404).end("nothing here");
  const ending = path === "/" ? "html" : (path.split(".").pop() ?? "");
  const type = TYPES[/** @type {keyof typeof TYPES} */ (ending)] ?? "application/octet-stream";
  // Each network's Worker asks for the same 13 MB.
  const cache = path.includes("/node_modules/") ? "max-age=3600" : "no-store";
  return response.writeHead(200, { "content-type": type, "cache-control": cache }).end(found);
}

/** @type {Map<string, Promise<string>>} */
const scripts = new Map();

/** Starts what takes long, so that it is there when a page asks for it. */
export function startScripts() {
  for (const path of NO_PYTHON ? [] : SCRIPTS) {
    const [, , name, part] = path.split("/");
    const text = printedLater(name, part);
    // Whoever asks for it is told.
    text.catch(() => {});
    scripts.set(path, text);
  }
}

/** Returns what a script prints, or whether there is Python. @param {string} path */
async function script(path) {
  if (path === "/printed/") return Buffer.from(JSON.stringify(NO_PYTHON));
  const text = await scripts.get(path)?.catch(String);
  return text === undefined ? undefined : Buffer.from(text);
}

/** Returns a file, or the names in a folder, of what may be served. @param {string} path */
async function contentOf(path) {
  const isServed = FOLDERS.some((folder) => path.startsWith(`${folder}/`)) && !path.split("/").includes("..");
  if (!isServed) return undefined;
  const names = async () => Buffer.from(JSON.stringify(await readdir(ROOT + path)));
  return (path.endsWith("/") ? names() : readFile(ROOT + path)).catch(() => undefined);
}

/**
 * Says which part of a file is given, and returns it.
 *
 * @param {Response} response @param {Buffer} whole @param {string | undefined} range
 */
function part(response, whole, range) {
  const [, first, last] = range?.match(/^bytes=(\d+)-(\d+)$/) ?? [];
  if (first === undefined) return whole;
  const content = whole.subarray(Number(first), Number(last) + 1);
  response.statusCode = 206;
  response.setHeader("content-range", `bytes ${first}-${Number(first) + content.length - 1}/${whole.length}`);
  return content;
}
