import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { namesByHints, namesByUserAgent, thisDevice } from "../src/measuring/device.js";
import { VERSION } from "../src/version.js";

test("Node is described by its processor, the same each time", async () => {
  const found = await thisDevice();
  assert.equal(found.runtime, "javascript");
  assert.match(found.user_agent, /^Node\.js v\d/);
  assert.deepEqual([found.isolated, found.gpu], [false, null]);
  assert.ok(Number(found.cores) >= 1 && Number(found.memory_gb) > 0 && found.timer_step_ms > 0);
  assert.match(found.fingerprint, /^[0-9a-f]{64}$/);
  assert.equal((await thisDevice()).fingerprint, found.fingerprint);
});

const GECKO = "(KHTML, like Gecko)";
const CHROME = `Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 ${GECKO} Chrome/156.0.0.0 Mobile Safari/537.36`;
const IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15";
const SAFARI = `${IPHONE} ${GECKO} Version/26.1 Mobile/15E148 Safari/604.1`;
const EDGE = `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${GECKO} Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0`;

test("a browser that gives no hints is called what its user agent says", () => {
  const names = [
    [CHROME, "Chrome 156 on Android"],
    [SAFARI, "Safari 26 on iPhone"],
    ["Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0", "Firefox 153 on Linux"],
    [EDGE, "Edge 156 on Windows"],
    ["something", "a browser"],
    ["", "a browser"],
  ];
  for (const [userAgent, name] of names) assert.equal(namesByUserAgent(userAgent).name, name);
});

test("a phone that gives hints is called by its model", () => {
  const brands = [{ brand: "Not)A;Brand", version: "8" }, { brand: "Chromium", version: "156" }];
  const chrome = { brand: "Google Chrome", version: "156" };
  const hints = { platform: "Android", platformVersion: "16.0.0", model: "Pixel 7" };
  const nameOf = (/** @type {Parameters<typeof namesByHints>[0]} */ given) => namesByHints(given).name;
  assert.equal(nameOf({ ...hints, brands: [...brands, chrome] }), "Google Chrome 156 on Android 16, Pixel 7");
  assert.equal(nameOf({ brands, platform: "Linux", platformVersion: "", model: "" }), "Chromium 156 on Linux");
  assert.equal(nameOf({}), "a browser");
});

test("another version of a browser or a system is the same device, another model is not", () => {
  const newer = CHROME.replace("156", "170").replace("Android 10", "Android 11");
  assert.deepEqual(namesByUserAgent(newer).lasting, namesByUserAgent(CHROME).lasting);
  const later = SAFARI.replace("26_1", "27_0").replace("26.1", "27.0").replace("605.1.15", "606.2");
  assert.deepEqual(namesByUserAgent(later).lasting, namesByUserAgent(SAFARI).lasting);
  const [one, other] = ["Pixel 7", "Pixel 8"].map((model) => namesByHints({ model }).lasting);
  assert.notDeepEqual(one, other);
});

test("the version is that of the package", () => {
  const file = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  assert.equal(VERSION, file.version);
});
