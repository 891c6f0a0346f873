/** Reads the files of a folder, at an address by fetch or in Node from a disk; knows nothing of hashes. */

import { BundleError } from "../errors.js";

/**
 * A file that is to be read; `isLocal` says that it is on a disk.
 *
 * `read` returns all of it, if it has at most so many bytes. `fill` puts the bytes from `start` to `stop` at their
 * place in `target`, which has the size that the file must have; it returns from where to where it was filled: as asked
 * for, or all, where a server does not give parts and `orWhole` allows that.
 * @typedef {object} StoredFile
 * @property {string} name as messages show it
 * @property {boolean} isLocal
 * @property {(most: number, signal?: AbortSignal) => Promise<Uint8Array<ArrayBuffer>>} read
 * @property {Fill} fill
 */

/**
 * @callback Fill
 * @param {Uint8Array<ArrayBuffer>} target @param {number} start @param {number} stop @param {FillOptions} options
 * @returns {Promise<[from: number, to: number]>}
 */

/**
 * `onBytes` is told how many bytes came, and of how many in this reading.
 * @typedef {object} FillOptions
 * @property {AbortSignal | undefined} [signal]
 * @property {boolean} [orWhole]
 * @property {(count: number, of: number) => void} [onBytes]
 */

/**
 * Returns what opens the files of a folder by their names; `file` is one that stands in it for sure.
 *
 * A text is an address if it begins like one or if there is a page that it can be relative to, else a path.
 * @param {string | URL} place @param {string} file @returns {Promise<(name: string) => StoredFile>}
 */
export async function openFolder(place, file) {
  const url = addressOf(place);
  if (url && url.protocol !== "file:") return (name) => new WebFile(inside(url, name));
  // Only here, so that no browser loads it.
  const { LocalFile } = await import("./local-file.js");
  const folder = url ?? String(place);
  return (name) => new LocalFile(folder, name, file);
}

/** @param {string | URL} place */
function addressOf(place) {
  const page = globalThis.document?.baseURI ?? globalThis.location?.href;
  const isAddress = place instanceof URL || page !== undefined || /^(https?|file):/.test(place);
  try {
    return isAddress ? new URL(place, page) : undefined;
  } catch {
    throw new BundleError(`expected an address of a bundle, found ${String(place).slice(0, 160)}; check it`);
  }
}

/**
 * Returns the address of a file in a folder, with what an address may have behind its path.
 * @param {URL} folder @param {string} name
 */
function inside(folder, name) {
  const url = new URL(folder);
  url.pathname = `${url.pathname.replace(/\/$/, "")}/${name}`;
  return url;
}

/** A file at an address. @implements {StoredFile} */
class WebFile {
  isLocal = false;
  #url;

  constructor(/** @type {URL} */ url) {
    this.#url = url;
    // What stands behind the path may be a secret.
    this.name = url.href.replace(/[?#].*/, "").replace(/\/\/[^/]*@/, "//");
  }

  /** @param {number} most @param {AbortSignal} [signal] */
  async read(most, signal) {
    const response = await this.#ask({}, signal);
    // Nothing vouches for what is read in this way but the place that it is from.
    if (response.redirected && new URL(response.url).origin !== this.#url.origin) {
      await dropped(response);
      throw new BundleError(`${this.name} leads to ${new URL(response.url).origin}; give the address that is meant`);
    }
    /** @type {Uint8Array[]} */
    const chunks = [];
    const size = await this.#receive(response, signal, most, (chunk) => chunks.push(chunk));
    const content = new Uint8Array(size);
    let at = 0;
    for (const chunk of chunks) {
      content.set(chunk, at);
      at += chunk.length;
    }
    return content;
  }

  /** @type {Fill} */
  async fill(target, start, stop, { signal, orWhole = false, onBytes = () => {} }) {
    const isAll = start === 0 && stop === target.length;
    const response = await this.#ask(isAll ? {} : { range: `bytes=${start}-${stop - 1}` }, signal);
    const [from, to] = response.status === 206 ? [start, stop] : [0, target.length];
    await this.#check(response, [start, stop], [from, to], target.length, orWhole);

    let at = from;
    await this.#receive(response, signal, to - from, (chunk) => {
      target.set(chunk, at);
      at += chunk.length;
      onBytes(chunk.length, to - from);
    });
    if (at !== to) throw this.#wrong(`expected ${to - from} bytes, found ${at - from}`);
    return [from, to];
  }

  /** @param {Record<string, string>} headers @param {AbortSignal | undefined} signal */
  async #ask(headers, signal) {
    /** @type {Response} */
    let response;
    try {
      // Not from the browser's own cache, which may hold files of a bundle that stood there before.
      response = await fetch(this.#url, { headers, signal: signal ?? null, cache: "no-store" });
    } catch (problem) {
      throw this.#unreadable(problem, signal);
    }
    if (response.ok) return response;
    await dropped(response);
    const what = `expected it there, the server answered ${response.status}`;
    throw new BundleError(`cannot read ${this.name}: ${what}; check the address, which is that of the bundle's folder`);
  }

  /**
   * Checks that an answer is the asked part, or may be the whole.
   * @param {Response} response @param {number[]} asked @param {number[]} given
   * @param {number} size @param {boolean} orWhole
   */
  async #check(response, asked, given, size, orWhole) {
    // Of another origin a page may not see it; that these are the right bytes is for their hashes to say.
    const range = response.headers.get("content-range");
    const expected = `bytes ${given[0]}-${given[1] - 1}/`;
    const isOther = response.status === 206 && range && range !== `${expected}${size}` && range !== `${expected}*`;
    const isRefused = !orWhole && given.join() !== asked.join();
    if (!isOther && !isRefused) return;
    await dropped(response);
    if (isOther) throw this.#wrong(`expected ${expected}${size}, found ${range.slice(0, 60)}`);
    throw new BundleError(`${this.name}: the server gave parts of it and then no more; load the bundle again`);
  }

  /**
   * Gives the bytes of an answer as they come, and returns how many there were.
   * @param {Response} response @param {AbortSignal | undefined} signal @param {number} most
   * @param {(chunk: Uint8Array) => void} take
   */
  async #receive(response, signal, most, take) {
    const reader = response.body?.getReader();
    const next = async () => {
      try {
        return (await reader?.read())?.value;
      } catch (problem) {
        throw this.#unreadable(problem, signal);
      }
    };
    let size = 0;
    for (let chunk = await next(); chunk; chunk = await next()) {
      size += chunk.length;
      if (size > most) {
        await reader?.cancel();
        throw this.#wrong(`expected at most ${most} bytes, found more`);
      }
      take(chunk);
    }
    return size;
  }

  /** @param {string} what */
  #wrong(what) {
    return new BundleError(`${this.name}: ${what}; it was truncated or altered: copy the bundle again`);
  }

  /**
   * Returns why nothing could be read; that it was to end is no error of the bundle.
   * @param {unknown} problem @param {AbortSignal | undefined} signal
   */
  #unreadable(problem, signal) {
    if (signal?.aborted) return signal.reason;
    // A browser tells a page no more than that it failed.
    const { cause, message } = /** @type {Error & {cause?: {code?: string, message?: string}}} */ (problem);
    const why = cause?.code ?? cause?.message ?? message;
    const advice = "check the address and the connection, and whether the server lets this page read it (CORS)";
    return new BundleError(`cannot read ${this.name}: ${why}; ${advice}`, { cause: problem });
  }
}

/** Ends an answer that nobody reads. @param {Response} response */
async function dropped(response) {
  await response.body?.cancel().catch(() => {});
}
