/** Opens Chromium and Firefox by the package puppeteer-core. */

import puppeteer from "puppeteer-core";

/** @typedef {import("./browsers.js").Tab} Tab */

// Nothing here is asked of other machines, so no proxy is.
const FOR_CHROMIUM = ["--no-proxy-server", "--disable-dev-shm-usage", "--disable-gpu"];
// Else it waits for the next clearing up, for up to a minute, before it says how much memory a page takes.
const MEASURES_AT_ONCE = "--enable-blink-features=ForceEagerMeasureMemory";
// Browsers' own sandboxes do not work for root in a container.
const AS_ROOT = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
// Who started the tests ends them: with these browsers, and others too.
const QUIET = { headless: true, handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };
const FOR_FIREFOX = { "network.proxy.type": 0, "datareporting.policy.dataSubmissionEnabled": false };

/** @param {string} program */
export async function openChromium(program) {
  const args = [...FOR_CHROMIUM, MEASURES_AT_ONCE, ...AS_ROOT];
  return opened(await puppeteer.launch({ ...QUIET, browser: "chrome", executablePath: program, args }));
}

/** @param {string} program */
export async function openFirefox(program) {
  const options = { executablePath: program, extraPrefsFirefox: FOR_FIREFOX };
  return opened(await puppeteer.launch({ ...QUIET, browser: "firefox", ...options }));
}

/** @param {import("puppeteer-core").Browser} browser */
async function opened(browser) {
  return {
    version: await browser.version(),
    newTab: async () => tabOf(await browser.newPage()),
    close: () => browser.close(),
  };
}

/** @param {import("puppeteer-core").Page} page @returns {Tab} */
function tabOf(page) {
  return {
    go: async (url) => void (await page.goto(url)),
    call: (module, name, ...parts) => page.evaluate(called, module, name, parts),
    close: () => page.close(),
    limitStorage: async (quotaSize) => {
      const session = await page.createCDPSession();
      await session.send("Storage.overrideQuotaForOrigin", { origin: new URL(page.url()).origin, quotaSize });
    },
  };
}

/** In the page. @param {string} module @param {string} name @param {any[]} parts */
async function called(module, name, parts) {
  return (await import(module))[name](...parts);
}
