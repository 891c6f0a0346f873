#!/usr/bin/env node
/** The command line in Node: `npx edgebert profile BUNDLE`. */

import { open, rename, rm } from "node:fs/promises";
import { parseArgs } from "node:util";

import { EdgeBertError, ProfileError } from "../errors.js";
import { loadBundle } from "../inputs/bundle.js";
import { profile } from "../measuring/profiler.js";
import { profileTable } from "./table.js";

const USAGE = `usage: edgebert profile BUNDLE [--out FILE] [--lengths L,...] [--batch-sizes B,...] [--threads N,...]
                        [--subnets ID,...] [--quick] [--json]

Measure what every sub-network of a bundle costs on this device, by onnxruntime-node.

  BUNDLE           a bundle's folder, or its address
  --out FILE       write the profile there too
  --lengths L,...  tokens of your inputs (default: 16,64,128 and the longest there is)
  --batch-sizes B,...
                   texts in a request (default: 1)
  --threads N,...  default: one, half the cores and all
  --subnets ID,... only these sub-networks
  --quick          some seconds: one round, one way
  --json           print the profile as JSON and nothing else
`;

const OPTIONS = /** @type {const} */ ({
  out: { type: "string" },
  lengths: { type: "string" },
  "batch-sizes": { type: "string" },
  threads: { type: "string" },
  subnets: { type: "string" },
  quick: { type: "boolean" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
});

/** A mistake in how the command was called. */
class UsageError extends Error {}

/** Runs the command, and returns its exit status: 0 done, 1 it could not be done, 2 wrong usage. @param {string[]} args */
async function main(args) {
  try {
    const { values, positionals } = parsed(args);
    if (values.help) return say(process.stdout, USAGE);
    const [verb, place, ...more] = positionals;
    if (verb !== "profile") throw new UsageError(`expected the verb profile, found ${verb ?? "none"}`);
    if (!place || more.length) throw new UsageError(`expected one BUNDLE, found ${place ? more.length + 1 : "none"}`);
    await profiled(place, values);
    return 0;
  } catch (problem) {
    if (problem instanceof UsageError) return say(process.stderr, `${USAGE}\nerror: ${problem.message}\n`, 2);
    if (problem instanceof EdgeBertError) return say(process.stderr, `error: ${problem.message}\n`, 1);
    throw problem;
  }
}

/** @param {string[]} args */
function parsed(args) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch (problem) {
    throw new UsageError(/** @type {Error} */ (problem).message);
  }
}

/** @param {string} place @param {ReturnType<typeof parsed>["values"]} values */
async function profiled(place, values) {
  const options = {
    ...numbers("lengths", values.lengths),
    ...numbers("batchSizes", values["batch-sizes"]),
    ...numbers("threads", values.threads),
    ...(values.subnets === undefined ? {} : { subnets: values.subnets.split(",") }),
    quick: values.quick ?? false,
  };
  const bundle = await loadBundle(place);
  const show = process.stderr.isTTY ? showProgress : undefined;
  const found = await profile(bundle, { ...options, ...(show && { onProgress: show }) });
  if (show) process.stderr.write("\r\x1b[K");
  const content = `${JSON.stringify(found, null, 2)}\n`;
  if (values.out !== undefined) await written(values.out, content);
  process.stdout.write(values.json ? content : profileTable(found, bundle.manifest));
}

/** @param {string} name @param {string | undefined} given */
function numbers(name, given) {
  if (given === undefined) return {};
  const found = given.split(",").map(Number);
  if (found.every((one) => Number.isInteger(one) && one > 0)) return { [name]: found };
  throw new UsageError(`expected whole numbers above 0, separated by commas, found ${given}`);
}

/** @param {{done: number, total: number, subnet: string}} progress */
function showProgress({ done, total, subnet }) {
  process.stderr.write(`\r\x1b[K${done} of ${total}: ${subnet}`);
}

/** Writes a file in one step, so that nobody ever reads half of it. @param {string} path @param {string} content */
async function written(path, content) {
  const beside = `${path}.${process.pid}.part`;
  try {
    const file = await open(beside, "wx");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (problem) {
    await rm(beside, { force: true });
    const { code } = /** @type {NodeJS.ErrnoException} */ (problem);
    throw new ProfileError(`cannot write ${path}: ${code}; choose another --out`);
  }
}

/** @param {NodeJS.WriteStream} stream @param {string} text @param {number} status */
function say(stream, text, status = 0) {
  stream.write(text);
  return status;
}

process.exitCode = await main(process.argv.slice(2));
