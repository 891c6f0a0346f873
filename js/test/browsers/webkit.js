/** Opens WebKitGTK by its own WebDriver, on a screen that nobody sees. */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:net";

/** @typedef {import("./browsers.js").Tab} Tab */
/** @typedef {import("node:child_process").ChildProcess} Process */

const STARTS_WITHIN_MS = 20_000;
const CALLS_WITHIN_MS = 180_000;
const POLL_MS = 50;

/** @param {string} driver @param {string} browser @param {string} screen */
export async function openWebKit(driver, browser, screen) {
  const home = mkdtempSync(join(tmpdir(), "edgebert-webkit-"));
  /** @type {Process[]} */
  const processes = [];
  const kill = () => processes.reverse().forEach(killed);
  const clear = () => rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  const end = async () => {
    const gone = processes.map(ended);
    kill();
    await Promise.all(gone);
    clear();
  };
  // Where this process ends before it closes the browser.
  process.once("exit", () => {
    kill();
    clear();
  });
  try {
    const shown = spawn(screen, ["-displayfd", "3", "-screen", "0", "800x600x24", "-nolisten", "tcp"], {
      stdio: ["ignore", "ignore", "ignore", "pipe"],
    });
    processes.push(shown);
    const display = `:${await firstLine(/** @type {import("node:stream").Readable} */ (shown.stdio[3]))}`;
    const port = await freePort();
    // In a group of its own, so that what it starts ends with it.
    const options = { env: environment(home, display), detached: true };
    processes.push(spawn(driver, [`--port=${port}`], { ...options, stdio: "ignore" }));

    const session = await newSession(`http://127.0.0.1:${port}`, browser);
    const first = await session.ask("GET", "/window");
    return {
      version: `WebKitGTK ${session.version}`,
      newTab: () => newTab(session.ask, first),
      close: async () => {
        await session.ask("DELETE", "").catch(() => {});
        await end();
      },
    };
  } catch (problem) {
    await end();
    throw problem;
  }
}

/** @typedef {(method: string, path: string, body?: object) => Promise<any>} Ask */

/** @param {string} driver @param {string} binary */
async function newSession(driver, binary) {
  const ask = askerOf(`${driver}/session`);
  const capabilities = { alwaysMatch: { "webkitgtk:browserOptions": { binary, args: ["--automation"] } } };
  const endMs = Date.now() + STARTS_WITHIN_MS;
  for (;;) {
    try {
      const { sessionId, capabilities: found } = await ask("POST", "", { capabilities });
      return { ask: askerOf(`${driver}/session/${sessionId}`), version: found.browserVersion };
    } catch (problem) {
      if (Date.now() > endMs) throw problem;
      await passed(POLL_MS);
    }
  }
}

/** @param {string} session @returns {Ask} */
function askerOf(session) {
  return async (method, path, body) => {
    const response = await fetch(session + path, { method, body: body ? JSON.stringify(body) : null });
    const { value } = /** @type {any} */ (await response.json());
    if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
    return value;
  };
}

/** @param {Ask} ask @param {string} first a window that stays open @returns {Promise<Tab>} */
async function newTab(ask, first) {
  const { handle } = await inWindow(ask, first, "POST", "/window/new", { type: "tab" });
  /** @type {Ask} */
  const there = (...parts) => inWindow(ask, handle, ...parts);
  const script = (/** @type {string} */ text, /** @type {any[]} */ ...args) =>
    there("POST", "/execute/sync", { script: text, args });
  return {
    go: (url) => there("POST", "/url", { url }),
    call: async (module, name, ...parts) => {
      await script(CALL, module, name, JSON.stringify(parts));
      const endMs = Date.now() + CALLS_WITHIN_MS;
      // A script that is waited for would let no other tab have one.
      while (Date.now() < endMs) {
        const { result, problem } = JSON.parse((await script("return window.told ?? '{}'")) || "{}");
        if (problem !== undefined) throw new Error(problem);
        if (result) return result[0];
        await passed(POLL_MS);
      }
      throw new Error(`${name} of ${module} did not end within ${CALLS_WITHIN_MS / 1000} s`);
    },
    close: () => there("DELETE", "/window"),
  };
}

const CALL = `
  const [module, name, parts] = arguments;
  window.told = undefined;
  const tell = (found) => (window.told = JSON.stringify(found));
  import(module)
    .then((found) => found[name](...JSON.parse(parts)))
    .then((result) => tell({ result: [result] }), (problem) => tell({ problem: String(problem?.message ?? problem) }));`;

/** @type {WeakMap<Ask, Promise<unknown>>} */
const turns = new WeakMap();

/** Asks a window, when no other is asked. @param {Ask} ask @param {string} handle @param {Parameters<Ask>} parts */
function inWindow(ask, handle, ...parts) {
  const own = (turns.get(ask) ?? Promise.resolve()).then(async () => {
    await ask("POST", "/window", { handle });
    return ask(...parts);
  });
  turns.set(ask, own.catch(() => {}));
  return own;
}

/** What it keeps goes into a folder that is removed. @param {string} home @param {string} display */
function environment(home, display) {
  const kept = ["PATH", "LANG", "LD_LIBRARY_PATH"].map((name) => [name, process.env[name]]);
  const folders = ["HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"];
  const env = Object.fromEntries([...kept.filter(([, value]) => value), ...folders.map((name) => [name, home])]);
  return { ...env, DISPLAY: display, GDK_BACKEND: "x11", NO_AT_BRIDGE: "1" };
}

/** @param {Process} one */
function killed({ pid, spawnfile }) {
  try {
    if (pid !== undefined) process.kill(spawnfile.endsWith("Xvfb") ? pid : -pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

/** @param {Process} one */
function ended(one) {
  const isGone = one.pid === undefined || one.exitCode !== null || one.signalCode !== null;
  return isGone ? undefined : new Promise((done) => one.once("exit", done));
}

/** @param {import("node:stream").Readable} stream @returns {Promise<string>} */
function firstLine(stream) {
  return new Promise((done, fail) => {
    stream.once("data", (content) => done(String(content).trim()));
    stream.once("end", () => fail(new Error("there is no screen: Xvfb ended")));
  });
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
      server.close(() => done(port));
    });
  });
}

/** @param {number} ms */
function passed(ms) {
  return new Promise((done) => setTimeout(done, ms));
}
