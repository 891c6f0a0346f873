/** A profile of the built-in bundle in Node with latencies that were made up, so that choices are known beforehand. */

import { loadBundle } from "../../src/inputs/bundle.js";
import { BUILTIN } from "./server.js";

export const LENGTHS = [16, 64, 128];

/** Returns the built-in bundle and a profile of it, in which networks take `msOf` for so many tokens. */
export async function madeProfile(/** @type {(subnet: any, length: number) => number} */ msOf = usualMs) {
  const bundle = await loadBundle(BUILTIN);
  const subnetworks = bundle.manifest.subnetworks.map((subnet) => ({
    id: subnet.id,
    way: { engine: "node", device: "CPU", flavor: "fused", threads: 1, options: [] },
    load_ms: 50,
    first_ms: 5,
    new_shape_ms: 0,
    peak_memory_mb: subnet.parameters / 1e6,
    steady_memory_mb: subnet.parameters / 1e6,
    private_memory_mb: 1,
    numerics_ok: true,
    numerics: { drift: 0, tolerance: 0.01, wrong_answers: 0 },
    pad_to: [],
    latency: LENGTHS.map((length) => rowOf(length, msOf(subnet, length))),
  }));
  const profile = {
    schema_version: 5,
    bundle_sha256: bundle.sha256,
    created_at: "2026-11-27T00:00:00+00:00",
    edgebert_version: "0.1.0",
    engine_versions: { node: "onnxruntime-node 1.30.0" },
    device: {
      runtime: "javascript",
      name: "made up",
      user_agent: "made up",
      cores: 2,
      memory_gb: null,
      gpu: null,
      isolated: true,
      timer_step_ms: 0.001,
      fingerprint: "0".repeat(64),
    },
    settings: {
      lengths: LENGTHS,
      batch_sizes: [1],
      min_rounds: 1,
      min_runs: 1,
      min_seconds: 0,
      max_seconds: 1,
      interval_share: 0.02,
      requests_per_s: null,
      emulated: null,
    },
    subnetworks,
    left_out: [],
    stability: {},
  };
  return { bundle, profile };
}

/** @param {{parameters: number}} subnet @param {number} length */
function usualMs({ parameters }, length) {
  return (parameters * length) / 1e8;
}

/** @param {number} length @param {number} ms */
function rowOf(length, ms) {
  const times = { p50_ms: ms, p90_ms: 1.1 * ms, p95_ms: 1.2 * ms, p99_ms: 1.3 * ms, p50_ci95_ms: [ms, ms] };
  return { batch_size: 1, length, runs: 20, runs_per_sample: 1, ...times };
}
