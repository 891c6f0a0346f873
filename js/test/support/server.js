/** A real server of a bundle's folder, which can be made to serve it badly. */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

export const BUILTIN = fileURLToPath(new URL("../../../edgebert/builtin/", import.meta.url));

/** @typedef {import("node:http").IncomingMessage} Request */
/** @typedef {import("node:http").ServerResponse} Response */

/**
 * How a file is served: whether in parts where that is asked for, as it is unless told otherwise; `answer` may answer
 * itself and returns true if it did, `change` makes other content of the file.
 * @typedef {object} Manners
 * @property {boolean} [ranges]
 * @property {(request: Request, response: Response, name: string) => unknown} [answer]
 * @property {(content: Buffer, name: string) => Buffer | undefined} [change]
 */

/**
 * Serves the built-in bundle until the test ends; `requests` are those that came, as "name" or "name range".
 * @param {import("node:test").TestContext} t @param {Manners} manners
 */
export async function serve(t, { ranges = true, answer, change } = {}) {
  /** @type {string[]} */
  const requests = [];
  const server = createServer(async (request, response) => {
    const name = new URL(request.url ?? "", "http://x").pathname.replace("/bundle/", "");
    requests.push([name, request.headers.range].filter(Boolean).join(" "));
    if (await answer?.(request, response, name)) return;
    const found = await readFile(BUILTIN + name).catch(() => undefined);
    const content = found && (change?.(found, name) ?? found);
    if (content) give(response, content, ranges ? request.headers.range : undefined);
    else response.writeHead(404).end("nothing here");
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", () => done(null)));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}/bundle`, requests, server };
}

/** @param {Response} response @param {Buffer} content @param {string | undefined} range */
function give(response, content, range) {
  const [, first, last] = range?.match(/^bytes=(\d+)-(\d+)$/) ?? [];
  if (first === undefined) return response.writeHead(200, { "content-length": content.length }).end(content);
  const [start, stop] = [Number(first), Math.min(Number(last) + 1, content.length)];
  if (start >= content.length) return response.writeHead(416, { "content-range": `bytes */${content.length}` }).end();
  response.writeHead(206, { "content-range": `bytes ${start}-${stop - 1}/${content.length}` });
  return response.end(content.subarray(start, stop));
}
