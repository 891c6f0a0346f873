/** How browsers download bundles and keep them, from good servers and bad ones. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

import { loadBundle } from "../../../src/index.js";
import { references } from "../../../src/inputs/graph-file.js";
import { sha256Of } from "../../../src/inputs/hashing.js";
import { Pieces } from "../../../src/inputs/pieces.js";
import { BUILTIN } from "../../support/server.js";
import { bytesOf, insecureHost, startSite } from "../site.js";

/** @typedef {import("./check.js").Context} Context */
/** @typedef {Parameters<import("./check.js").Check>[1]} Browser */
/** @typedef {import("../browsers.js").Tab} Tab */

const MODULE = "/js/test/browsers/in-page/bundles.js";
const SMALLEST = "w0.25-d0.50-int8-static";
const WEIGHTS = "weights-int8.bin";

const { used, ownBytes, pieceBytes, pieceCount } = await onDisk();

/** What Node reads from the disk, how many bytes the graph refers to, and how many the pieces have that hold these. */
async function onDisk() {
  const bundle = await loadBundle(BUILTIN);
  const { graph, externalData: [{ data }] } = await bundle.openGraph(bundle.subnet(SMALLEST), "fused");
  const parts = references(graph, SMALLEST);
  const hashes = await Promise.all(parts.map(({ start, size }) => sha256Of(data.slice(start, start + size))));
  const ownBytes = parts.reduce((sum, { size }) => sum + size, 0);
  const table = await readFile(`${BUILTIN}weights-int8.pieces`);
  const pieces = Pieces.read(table, data.length, WEIGHTS);
  const read = pieces.of(parts);
  const pieceBytes = read.reduce((sum, piece) => sum + pieces.end(piece) - pieces.start(piece), 0);
  assert.ok(pieceBytes + table.length <= 1.01 * ownBytes);
  return { used: await sha256Of(new TextEncoder().encode(hashes.join())), ownBytes, pieceBytes, pieceCount: read.length };
}

/**
 * Opens a page of a site that is served in a certain way.
 *
 * @param {Context} t @param {Browser} browser @param {import("../site.js").Manners} [manners]
 */
async function opened(t, browser, manners) {
  const site = await startSite(t, manners);
  const tab = await browser.newTab();
  t.after(() => tab.close());
  await tab.go(site.url);
  return { site, tab, call: (/** @type {string} */ name) => tab.call(MODULE, name, SMALLEST) };
}

/** @type {import("./check.js").Check} */
export async function bundles(t, browser, say) {
  await t.test("the pieces that are needed are downloaded, and nothing the second time", async (own) => {
    const { site, call, tab } = await opened(own, browser);
    const first = await call("read");
    assert.equal(first.used, used);
    const [bytes, all] = [bytesOf(site, /\.bin$/), bytesOf(site)];
    const more = (100 * (bytes / ownBytes - 1)).toFixed(2);
    say.fact(`${bytes} bytes of weights for ${ownBytes} that ${SMALLEST} reads (${more} % more), ${all} bytes in all`);
    assert.equal(bytes, pieceBytes);

    site.given.length = 0;
    if (browser.kind.keepsThings) await tab.go(site.url);
    else say.notChecked("that bundles are kept for the next visit: windows under its WebDriver are private");
    assert.deepEqual(await call("read"), first);
    assert.deepEqual(site.given.map(({ name }) => name), ["bundle.json"]);
    assert.equal(await call("clear"), 0);
  });

  await t.test("where the server gives no parts the whole is downloaded, once", async (own) => {
    const { site, call } = await opened(own, browser, { ranges: false });
    assert.equal((await call("read")).used, used);
    assert.equal((await call("read")).used, used);
    assert.equal(site.given.filter(({ name }) => name === WEIGHTS).length, 1);
  });

  await t.test("a byte that was altered on the way is a BundleError, and is not kept", (own) => altered(own, browser));
  await t.test("what was altered in the storage is downloaded again", async (own) => {
    const { site, call } = await opened(own, browser);
    const first = await call("read");
    await call("alterKept");
    site.given.length = 0;
    assert.deepEqual(await call("read"), first);
    assert.ok(bytesOf(site, /\.bin$/) >= ownBytes);
  });
  await t.test("a page that may store nothing, or has no room, reads", (own) => withoutStorage(own, browser, say));
  await t.test("two tabs at once read the same", async (own) => {
    const { site, call } = await opened(own, browser);
    const other = await browser.newTab();
    await other.go(site.url);
    const found = await Promise.all([call("read"), other.call(MODULE, "read", SMALLEST)]);
    await other.close();
    assert.deepEqual(found.map((one) => one.used), [used, used]);
    site.given.length = 0;
    assert.equal((await call("read")).used, used);
    assert.equal(bytesOf(site, /\.bin$/), 0);
  });
  await t.test("reading ends by a signal, and goes on later", async (own) => {
    const { call } = await opened(own, browser);
    assert.deepEqual(await call("aborted"), ["AbortError", true]);
    assert.equal((await call("read")).used, used);
  });
  await t.test("a server that is gone is a BundleError", async (own) => {
    const { site, call } = await opened(own, browser);
    await call("read");
    site.stop();
    assert.match(await call("refusal"), /^BundleError: cannot read http.*bundle\.json: .*; check the address and the con/);
  });
}

/** @param {Context} t @param {Browser} browser */
async function altered(t, browser) {
  let file = "";
  const change = (/** @type {Buffer} */ content, /** @type {string} */ name) =>
    name === file ? content.fill(content[99] ^ 1, 99, 100) : content;
  const { call } = await opened(t, browser, { change });
  for (const name of ["bundle.json", "golden.json", `${SMALLEST}.fused.onnx`, "weights-int8.pieces", WEIGHTS]) {
    file = name;
    const message = new RegExp(`^BundleError: .*${name}.*was altered: expected sha256|^BundleError: .*${name}: expected`);
    assert.match(await call("refusal"), message);
    assert.match(await call("refusal"), message);
  }
  file = "";
  assert.equal((await call("read")).used, used);
}

/** @type {import("./check.js").Check} */
async function withoutStorage(t, browser, say) {
  for (const how of ["readWithoutRoom", "readWithoutStorage"]) {
    const { call } = await opened(t, browser);
    const found = await call(how);
    assert.deepEqual(found, { used, kept: 0 });
  }
  const host = insecureHost();
  if (host) {
    const { call } = await opened(t, browser, { host });
    assert.deepEqual(await call("read"), { used, kept: 0 });
  }
  const { tab, call } = await opened(t, browser);
  if (!(await full(tab))) return say.notChecked("a storage that is really full: only Chromium lets tests limit it");
  const { used: found, kept } = await call("read");
  assert.equal(found, used);
  assert.ok(kept < pieceCount / 2, `${kept} things are kept`);
}

/** Leaves a page room for a megabyte, if that can be. @param {Tab} tab */
async function full(tab) {
  return tab.limitStorage?.(1e6).then(() => true, () => false);
}
