/** The browsers that tests run in, and how each is opened without a window; a page's own code is in `in-page/`. */

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

import { openChromium, openFirefox } from "./puppeteer.js";
import { openWebKit } from "./webkit.js";

/**
 * A page that was opened; `call` returns what a function of a module there returns, which goes the way as JSON.
 *
 * @typedef {object} Tab
 * @property {(url: string) => Promise<void>} go
 * @property {(module: string, name: string, ...parts: any[]) => Promise<any>} call
 * @property {() => Promise<void>} close
 * @property {(bytes: number) => Promise<void>} [limitStorage] to how much this page's origin may keep; Chromium alone
 */

/**
 * @typedef {object} Browser
 * @property {string} version
 * @property {() => Promise<Tab>} newTab
 * @property {() => Promise<void>} close
 */

/**
 * Kinds of browsers: what they need, as programs of which one must be there each, and Debian's packages of these.
 *
 * @typedef {object} Kind
 * @property {string} name
 * @property {string[][]} programs
 * @property {string} packages
 * @property {string | null} whyOneThread why networks are tried on one thread alone, null where they are on two
 * @property {boolean} keepsThings whether what a page keeps is there when it is opened again
 * @property {(...programs: string[]) => Promise<Browser>} open
 */

// Not on the path: only the driver starts it.
const MINI_BROWSER = ["x86_64", "aarch64"].map((cpu) => `/usr/lib/${cpu}-linux-gnu/webkit2gtk-4.1/MiniBrowser`);

/** @type {readonly Kind[]} */
export const KINDS = [
  {
    name: "Chromium",
    programs: [["chromium", "chromium-browser", "google-chrome"]],
    packages: "chromium",
    whyOneThread: null,
    keepsThings: true,
    open: openChromium,
  },
  {
    name: "Firefox",
    programs: [["firefox-esr", "firefox"]],
    packages: "firefox-esr",
    whyOneThread: "with which one load of a hundred never ends (Firefox 153): it has to be asked for",
    keepsThings: true,
    open: openFirefox,
  },
  {
    name: "WebKit",
    programs: [["WebKitWebDriver"], MINI_BROWSER, ["Xvfb"]],
    packages: "webkit2gtk-driver xvfb",
    whyOneThread: "which its pages do not have even if they are isolated",
    // Windows under its WebDriver are private ones.
    keepsThings: false,
    open: openWebKit,
  },
];

/** Returns the paths of what a browser needs, or undefined where something is not here. @param {Kind} kind */
export function programsOf({ programs }) {
  const found = programs.map((names) => names.map(pathOf).find(Boolean));
  return found.every((path) => path !== undefined) ? found : undefined;
}

/** @param {string} program */
function pathOf(program) {
  const folders = program.startsWith("/") ? [""] : (process.env.PATH ?? "").split(delimiter);
  return folders.map((folder) => (folder ? join(folder, program) : program)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
