import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { BundleError } from "../src/errors.js";
import { loadBundle } from "../src/inputs/bundle.js";
import { MemoryCache } from "../src/inputs/cache.js";
import { references } from "../src/inputs/graph-file.js";
import { Pieces } from "../src/inputs/pieces.js";
import { BUILTIN, serve } from "./support/server.js";

const SMALL = "w0.25-d0.50-int8-static";
const WEIGHTS = "weights-int8.bin";
const whole = readFileSync(BUILTIN + WEIGHTS);

/**
 * Checks that all that a graph refers to is what the file has there.
 * @param {import("../src/inputs/bundle.js").OpenGraph} opened
 */
function checkParts({ graph, externalData: [{ path, data }] }) {
  assert.equal(path, WEIGHTS);
  assert.equal(data.length, whole.length);
  for (const { start, size } of references(graph, "the graph")) {
    assert.ok(whole.subarray(start, start + size).equals(data.subarray(start, start + size)));
  }
}

/** @param {Promise<unknown>} work @param {RegExp} message */
async function refused(work, message) {
  await assert.rejects(work, (/** @type {any} */ error) => {
    assert.ok(error instanceof BundleError, String(error?.stack));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

test("a bundle at an address is the one in the folder", async (t) => {
  const { url } = await serve(t);
  const [far, near] = [await loadBundle(url), await loadBundle(BUILTIN)];
  assert.equal(far.sha256, near.sha256);
  assert.deepEqual(far.manifest, near.manifest);
  assert.deepEqual(await far.golden(), await near.golden());
  assert.equal(await far.tokenizer(), readFileSync(`${BUILTIN}tokenizer.json`, "utf8"));
  const subnet = far.subnet(SMALL);
  assert.deepEqual(await far.graph(subnet, "fused"), await near.graph(subnet, "fused"));
});

test("an address may have a slash at its end, and a question mark that goes with every file", async (t) => {
  /** @type {(string | undefined)[]} */
  const asked = [];
  const { url } = await serve(t, { answer: (request) => void asked.push(request.url) });
  await (await loadBundle(new URL(`${url}/?key=1`))).golden();
  assert.deepEqual(asked, ["/bundle/bundle.json?key=1", "/bundle/golden.json?key=1"]);
});

test("of the weights only what a sub-network reads is downloaded, in parts, where the server gives them", async (t) => {
  const { url, requests } = await serve(t);
  const bundle = await loadBundle(url);
  /** @type {{file: string, loadedBytes: number, totalBytes: number}[]} */
  const seen = [];
  checkParts(await bundle.openGraph(bundle.subnet(SMALL), "fused", { onProgress: (one) => seen.push(one) }));

  const ranges = requests.filter((one) => one.startsWith(WEIGHTS)).map((one) => one.match(/ bytes=(\d+)-(\d+)$/) ?? []);
  const bytes = ranges.reduce((sum, [, first, last]) => sum + Number(last) + 1 - Number(first), 0);
  const used = references(await bundle.graph(bundle.subnet(SMALL), "fused"), SMALL);
  const ownBytes = used.reduce((sum, { size }) => sum + size, 0);
  const table = bundle.manifest.weight_files[0]?.pieces.size_bytes ?? 0;
  assert.ok(bytes + table <= 1.01 * ownBytes, `${bytes} bytes and ${table} of pieces for ${ownBytes}`);
  assert.ok(1 < ranges.length && ranges.length < 50, `${ranges.length} parts`);

  const ofWeights = seen.filter((one) => one.file === WEIGHTS);
  assert.deepEqual(ofWeights.at(-1), { file: WEIGHTS, loadedBytes: bytes, totalBytes: bytes });
  assert.ok(ofWeights.every((one, place) => one.loadedBytes > (ofWeights[place - 1]?.loadedBytes ?? 0)));
});

test("what was downloaded is not downloaded again, and is not for others to change", async (t) => {
  const { url, requests } = await serve(t);
  const bundle = await loadBundle(url);
  const { externalData: [{ data }], graph } = await bundle.openGraph(bundle.subnet(SMALL), "fused");
  data.fill(1);
  graph.fill(1);
  const before = requests.length;
  checkParts(await bundle.openGraph(bundle.subnet(SMALL), "fused"));
  assert.equal(requests.length, before);

  const wider = await bundle.openGraph(bundle.subnet("w1.00-d0.50-int8-static"), "fused");
  checkParts(wider);
  const rangesOf = (/** @type {string[]} */ asked) => asked
    .map((one) => (one.match(/\.bin bytes=(\d+)-(\d+)$/) ?? []).slice(1).map(Number))
    .filter((range) => range.length);
  const [first, then] = [rangesOf(requests.slice(0, before)), rangesOf(requests.slice(before))];
  assert.ok(then.length > 0);
  for (const [start, last] of then) assert.ok(first.every(([from, to]) => to < start || last < from));
});

test("a null cache keeps nothing", async (t) => {
  const { url, requests } = await serve(t);
  const bundle = await loadBundle(url, { cache: null });
  await bundle.golden();
  await bundle.golden();
  assert.equal(requests.filter((one) => one === "golden.json").length, 2);
});

test("a server that gives no parts is asked once, and everything is kept", async (t) => {
  const { url, requests } = await serve(t, { ranges: false });
  const bundle = await loadBundle(url);
  /** @type {number[][]} */
  const seen = [];
  const onProgress = (/** @type {any} */ one) => one.file === WEIGHTS && seen.push([one.loadedBytes, one.totalBytes]);
  checkParts(await bundle.openGraph(bundle.subnet(SMALL), "fused", { onProgress }));
  assert.deepEqual(seen.at(-1), [whole.length, whole.length]);
  assert.ok(whole.equals(await bundle.weights("int8")));
  assert.equal(requests.filter((one) => one.startsWith(WEIGHTS)).length, 1);
});

test("a compressed answer is read", async (t) => {
  const { gzipSync } = await import("node:zlib");
  const { url } = await serve(t, {
    answer: (_request, response, name) =>
      response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(readFileSync(BUILTIN + name))),
  });
  const bundle = await loadBundle(url);
  assert.ok(whole.equals(await bundle.weights("int8")));
});

test("a missing bundle, a server that is gone and a page in its place are told apart", async (t) => {
  const { url } = await serve(t);
  await refused(loadBundle(`${url}/nowhere`), /^cannot read http.*\/nowhere\/bundle\.json: .*answered 404; check the/);
  const page = await serve(t, { change: () => Buffer.from("<!doctype html>\n<p>Welcome</p>") });
  await refused(loadBundle(page.url), /bundle\.json: expected JSON, found "<!doctype html>/);
  const gone = new URL(url);
  gone.port = "1";
  await refused(loadBundle(gone), /^cannot read http.*bundle\.json: .+; check the address and the connection/);
});

test("a secret in an address stands in no message", async (t) => {
  const { url } = await serve(t, { answer: (_request, response) => response.writeHead(403).end() });
  await refused(loadBundle(`${url}?token=hunter2`), /^(?!.*hunter2).*answered 403/);
});

test("a manifest in which a byte was changed, or that is too long, is refused", async (t) => {
  const change = (/** @type {Buffer} */ content) => Buffer.from(content.toString().replace('"negative"', '"Negative"'));
  const { url } = await serve(t, { change });
  await refused(loadBundle(url), /bundle\.json was altered: expected sha256 [0-9a-f]{12}\.\.\., found/);
  const endless = await serve(t, { answer: (_request, response) => feed(response) });
  await refused(loadBundle(endless.url), /bundle\.json: expected at most 16777216 bytes, found more; it was truncated/);
});

/** Writes until the other side goes away. @param {import("node:http").ServerResponse} response */
function feed(response) {
  const block = Buffer.alloc(2 ** 20, " ");
  const more = () => {
    while (!response.destroyed && response.write(block));
  };
  response.on("drain", more);
  more();
  return true;
}

/** @type {[what: string, change: (content: Buffer) => Buffer, message: RegExp][]} */
const DAMAGES = [
  ["one byte changed", (content) => content.fill(content[9] ^ 1, 9, 10), / was altered: expected sha256 /],
  ["its end missing", (content) => content.subarray(0, -1), /expected \d+ bytes, found \d+; it was truncated/],
  ["a byte more", (content) => Buffer.concat([content, Buffer.of(0)]), /expected at most \d+ bytes, found more; /],
  ["nothing in it", () => Buffer.alloc(0), /expected \d+ bytes, found 0; /],
];

for (const [what, change, message] of DAMAGES) {
  for (const file of ["golden.json", `${SMALL}.fused.onnx`, "weights-int8.pieces"]) {
    test(`${file} with ${what} is refused and not kept`, async (t) => {
      let isDamaged = true;
      const { url } = await serve(t, {
        change: (content, name) => (name === file && isDamaged ? change(content) : content),
      });
      const bundle = await loadBundle(url);
      const read = async () => [await bundle.golden(), await bundle.openGraph(bundle.subnet(SMALL), "fused")];
      await refused(read(), message);
      await refused(read(), message);
      isDamaged = false;
      await read();
    });
  }
}

for (const ranges of [true, false]) {
  const how = ranges ? "in parts" : "as a whole";
  test(`weights in which a byte was changed are refused ${how}, and what was right is kept`, async (t) => {
    let isDamaged = true;
    const { url } = await serve(t, {
      ranges,
      change: (content, name) => (name === WEIGHTS && isDamaged ? content.fill(content[9] ^ 1, 9, 10) : content),
    });
    const bundle = await loadBundle(url);
    await refused(bundle.openGraph(bundle.subnet(SMALL), "fused"), /weights-int8\.bin was altered: expected sha256 /);
    isDamaged = false;
    checkParts(await bundle.openGraph(bundle.subnet(SMALL), "fused"));
  });

  test(`weights of another length are refused ${how}`, async (t) => {
    const { url } = await serve(t, {
      ranges,
      change: (content, name) => (name === WEIGHTS ? content.subarray(4) : content),
    });
    const bundle = await loadBundle(url);
    await refused(bundle.weights("int8"), /weights-int8\.bin: expected .*, found .*; it was truncated or altered/);
  });
}

test("bytes that changed beyond what a sub-network reads do not matter to it", async (t) => {
  const { url } = await serve(t);
  const bundle = await loadBundle(url);
  const { graph } = await bundle.openGraph(bundle.subnet(SMALL), "fused");
  const used = references(graph, SMALL);
  const pieces = Pieces.read(readFileSync(`${BUILTIN}weights-int8.pieces`), whole.length, WEIGHTS);
  const read = pieces.of(used);
  const piece = pieces.all().find((one) => !read.includes(one));
  assert.ok(piece !== undefined);

  const place = pieces.start(piece);
  const altered = await serve(t, {
    change: (content, name) => (name === WEIGHTS ? content.fill(content[place] ^ 1, place, place + 1) : content),
  });
  const other = await loadBundle(altered.url);
  checkParts(await other.openGraph(other.subnet(SMALL), "fused"));
  await refused(other.weights("int8"), /was altered/);
});

test("a server that gives parts and then no more is one error", async (t) => {
  let parts = 0;
  const { url, requests } = await serve(t, {
    answer: (request, response) =>
      request.headers.range && parts++ > 0 && response.writeHead(200, { "content-length": whole.length }).end(whole),
  });
  const bundle = await loadBundle(url);
  const opening = bundle.openGraph(bundle.subnet(SMALL), "fused");
  await refused(opening, /weights-int8\.bin: the server gave parts of it and then no more; /);
  const before = requests.length;
  await new Promise((done) => setTimeout(done, 50));
  assert.equal(requests.length, before);
});

test("where one part fails the others end", async (t) => {
  let [parts, stalled] = [0, 0];
  const { url } = await serve(t, {
    answer: (request, response) => {
      if (!request.headers.range || parts++ === 0) return false;
      if (parts === 4) return response.writeHead(500).end();
      stalled++;
      response.on("close", () => stalled--);
      return stall(response);
    },
  });
  const bundle = await loadBundle(url);
  await refused(bundle.openGraph(bundle.subnet(SMALL), "fused"), /weights-int8\.bin: .*answered 500/);
  for (let wait = 0; wait < 100 && stalled > 0; wait++) await new Promise((done) => setTimeout(done, 20));
  assert.deepEqual([stalled, parts], [0, 5]);
});

test("a part other than the one that was asked for is refused", async (t) => {
  const { url } = await serve(t, {
    answer: (request, response) =>
      request.headers.range && response.writeHead(206, { "content-range": `bytes 5-9/${whole.length}` }).end("12345"),
  });
  const bundle = await loadBundle(url);
  const opening = bundle.openGraph(bundle.subnet(SMALL), "fused");
  await refused(opening, /expected bytes 0-\d+\/23087112, found bytes 5-9\/23087112; /);
});

test("a connection that breaks off is an error, and goes on with what was there", async (t) => {
  let [parts, isBroken] = [0, true];
  const { url, requests } = await serve(t, {
    answer: (request, response) => {
      if (!isBroken || !request.headers.range || parts++ === 0) return false;
      response.writeHead(206, { "content-length": 2 ** 20 });
      response.write(Buffer.alloc(1000), () => response.destroy());
      return true;
    },
  });
  const bundle = await loadBundle(url);
  const opening = bundle.openGraph(bundle.subnet(SMALL), "fused");
  await refused(opening, /^cannot read http.*weights-int8\.bin: .*; check the address/);
  isBroken = false;
  const before = requests.length;
  checkParts(await bundle.openGraph(bundle.subnet(SMALL), "fused"));
  assert.ok(!requests.slice(before).some((one) => one.includes("bytes=0-")));
});

/** Answers with the first bytes of a part, and no more. @param {import("node:http").ServerResponse} response */
function stall(response) {
  response.writeHead(206).write("slow");
  return true;
}

test("reading ends when it is told to, with the reason that was given", async (t) => {
  const { url, requests } = await serve(t, {
    answer: (request, response) => request.headers.range && stall(response),
  });
  const bundle = await loadBundle(url);
  const control = new AbortController();
  const onProgress = (/** @type {any} */ one) => one.file === WEIGHTS && control.abort("enough");
  const options = { signal: control.signal, onProgress };
  await assert.rejects(bundle.openGraph(bundle.subnet(SMALL), "fused", options), (error) => error === "enough");
  const before = requests.length;
  await assert.rejects(bundle.golden(options), (error) => error === "enough");
  await assert.rejects(loadBundle(url, options), (error) => error === "enough");
  assert.equal(requests.length, before);
  assert.equal((await bundle.golden()).texts.length, 6);
});

test("what a caller's own function throws is not taken for an error of the bundle", async (t) => {
  const bundle = await loadBundle((await serve(t)).url);
  const onProgress = () => {
    throw new TypeError("mine");
  };
  await assert.rejects(bundle.golden({ onProgress }), { name: "TypeError", message: "mine" });
});

test("parts that are being read end with the signal, too", async (t) => {
  let parts = 0;
  const { url } = await serve(t, {
    answer: (request, response) => request.headers.range && parts++ > 0 && stall(response),
  });
  const bundle = await loadBundle(url);
  const control = new AbortController();
  const reading = bundle.openGraph(bundle.subnet(SMALL), "fused", { signal: control.signal });
  setTimeout(() => control.abort(), 300);
  await assert.rejects(reading, { name: "AbortError" });
  assert.ok(parts > 2);
});

test("a redirection is followed to what has the right hash, and the manifest nowhere else", async (t) => {
  const other = await serve(t);
  const { url } = await serve(t, {
    answer: (_request, response, name) =>
      name !== "bundle.json" && response.writeHead(302, { location: `${other.url}/${name}` }).end(),
  });
  const bundle = await loadBundle(url);
  checkParts(await bundle.openGraph(bundle.subnet(SMALL), "fused"));
  const away = await serve(t, {
    answer: (_request, response, name) => response.writeHead(302, { location: `${other.url}/${name}` }).end(),
  });
  await refused(loadBundle(away.url), new RegExp(`bundle.json leads to ${new URL(other.url).origin}; give the`));
  const within = await serve(t, {
    answer: (_request, response, name) =>
      name.startsWith("old/") && response.writeHead(302, { location: `/bundle/${name.slice(4)}` }).end(),
  });
  assert.equal((await loadBundle(`${within.url}/old`)).sha256, bundle.sha256);
});

test("a bundle that was replaced since it was loaded says so", async (t) => {
  let isNew = false;
  const { url } = await serve(t, {
    change: (content, name) => {
      if (!isNew) return content;
      return name === "bundle.json" ? renamed(content) : content.fill(0);
    },
  });
  const bundle = await loadBundle(url);
  isNew = true;
  await refused(bundle.golden(), /bundle\.json was replaced since it was loaded; load it again/);
});

/** Returns a manifest of another name, with its right hash. @param {Buffer} content */
function renamed(content) {
  const other = content.toString().replace('"name": "', '"name": "new-');
  const blank = other.replace(/"sha256": "[0-9a-f]{64}"/, '"sha256": ""');
  const sha256 = createHash("sha256").update(blank).digest("hex");
  return Buffer.from(blank.replace('"sha256": ""', `"sha256": "${sha256}"`));
}

test("what others have put into a cache is used by its hash", async (t) => {
  const { url, requests } = await serve(t);
  const cache = new MemoryCache();
  await (await loadBundle(url, { cache })).golden();
  const again = await loadBundle(url, { cache });
  await again.golden();
  assert.deepEqual(requests, ["bundle.json", "golden.json", "bundle.json"]);
});
