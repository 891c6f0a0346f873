/** A profile as a table of text. */

/** @typedef {import("../inputs/manifest.js").Manifest} Manifest */
/** @typedef {import("../inputs/profile.js").DeviceProfile} DeviceProfile */

/**
 * Returns the table of a profile: a row for each sub-network and way, the best first, the faster of equals.
 *
 * @param {DeviceProfile} profile @param {Manifest} manifest
 */
export function profileTable(profile, manifest) {
  const { subnetworks: entries, left_out: leftOut, settings, stability, engine_versions: versions } = profile;
  const qualities = new Map(manifest.subnetworks.map(({ id, quality }) => [id, quality]));
  const metric = [...qualities.values()].find((one) => one)?.metric ?? "quality";
  const size = Math.min(...settings.batch_sizes);
  const lengths = settings.lengths.map((length) => `p95 ms, ${size} x ${length}`);
  const rows = entries.map((entry) => ({
    quality: qualities.get(entry.id)?.value ?? null,
    lastMs: entry.latency.at(-1)?.p95_ms ?? 0,
    cells: [
      entry.id,
      `${entry.way.engine}, ${entry.way.flavor}, ${entry.way.threads}`,
      qualities.get(entry.id)?.value.toFixed(3) ?? "-",
      ...entry.latency.filter((row) => row.batch_size === size).map((row) => row.p95_ms.toFixed(2)),
      entry.peak_memory_mb === null ? "-" : entry.peak_memory_mb.toFixed(1),
      entry.numerics_ok ? "right" : `wrong, ${entry.numerics.drift.toPrecision(2)} off`,
    ],
  }));
  rows.sort((one, other) => (other.quality ?? 0) - (one.quality ?? 0) || one.lastMs - other.lastMs);
  const header = ["sub-network", "engine, flavor, threads", metric, ...lengths, "memory MB", "outputs"];
  const { warning } = /** @type {{warning: string | null}} */ (stability);
  const device = /** @type {{name: string}} */ (profile.device);
  const reasons = new Set(leftOut.map(({ way, reason }) => `left out: ${way.engine}, ${way.flavor}, ${way.threads}: ${reason}`));
  const notes = [...reasons, ...(warning === null ? [] : [`unstable: ${warning}`])];
  const title = `${manifest.name} on ${device.name}, ${Object.values(versions).join(", ")}`;
  return `${[title, "", ...inColumns([header, ...rows.map(({ cells }) => cells)]), "", ...notes].join("\n").trim()}\n`;
}

/** @param {string[][]} rows */
function inColumns(rows) {
  const widths = rows[0].map((_, at) => Math.max(...rows.map((row) => row[at].length)));
  // Names stand at the left, numbers at the right.
  return rows.map((row) => row.map((cell, at) => (at < 2 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join("  "));
}
