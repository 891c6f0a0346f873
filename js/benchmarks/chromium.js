/** The browser that is measured. */

import { KINDS, programsOf } from "../test/browsers/browsers.js";

/** Opens Chromium. */
export async function openChromium() {
  const kind = KINDS.find(({ name }) => name === "Chromium");
  const programs = kind && programsOf(kind);
  if (!kind || !programs) throw new Error("expected Chromium, found none; install it");
  return kind.open(...programs);
}
