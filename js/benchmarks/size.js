/**
 * How many bytes of JavaScript a page loads for `load`, without ONNX Runtime: `node js/benchmarks/size.js`.
 *
 * By esbuild, minified and gzipped; what a page may load later, such as what measures, is listed below.
 */

import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const INDEX = fileURLToPath(new URL("../src/index.js", import.meta.url));
const ESBUILD = "esbuild@0.28.2";

/** @typedef {{imports: {path: string, kind: string, external?: boolean}[], entryPoint?: string}} Output */

const folder = await mkdtemp(join(tmpdir(), "edgebert-size-"));
try {
  const [entry, facts] = ["entry.js", "facts.json"].map((name) => join(folder, name));
  await writeFile(entry, `export { load } from ${JSON.stringify(INDEX)};`);
  const outside = ["onnxruntime-*", "node:*", "@huggingface/*"].map((name) => `--external:${name}`);
  const form = ["--bundle", "--minify", "--format=esm", "--splitting", "--log-level=error"];
  const asked = [entry, ...form, ...outside, `--outdir=${join(folder, "out")}`, `--metafile=${facts}`];
  execFileSync("npx", ["--yes", ESBUILD, ...asked], { cwd: folder, stdio: ["ignore", "inherit", "inherit"] });
  /** @type {Record<string, Output>} */
  const outputs = JSON.parse(await readFile(facts, "utf8")).outputs;
  const sizeOf = async (/** @type {string} */ path) => gzipSync(await readFile(join(folder, path)), { level: 9 }).length;

  const [start] = Object.keys(outputs).filter((path) => outputs[path].entryPoint?.endsWith("entry.js"));
  const atOnce = new Set([start]);
  for (const path of atOnce) {
    for (const { path: next, kind, external } of outputs[path].imports) {
      if (kind === "import-statement" && !external) atOnce.add(next);
    }
  }
  const sizes = await Promise.all([...atOnce].map(sizeOf));
  console.log(`load: ${sizes.reduce((sum, one) => sum + one, 0)} bytes gzipped, in ${sizes.length} files; later, if need be:`);
  for (const path of Object.keys(outputs)) if (!atOnce.has(path)) console.log(`  ${path}: ${await sizeOf(path)}`);
} finally {
  await rm(folder, { recursive: true });
}
