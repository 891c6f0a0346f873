/** Reads the files of a bundle's folder on a disk, in Node. */

import { BundleError } from "../errors.js";

const COPY_AGAIN = "copy the bundle again";

// Not by their plain names, which bundlers for browsers would look for.
const builtin = (/** @type {string} */ name) => import(/* webpackIgnore: true */ /* @vite-ignore */ `node:${name}`);

/** @typedef {import("./source.js").StoredFile} StoredFile */

/** A file in a folder, or what a link in its place leads to. @implements {StoredFile} */
export class LocalFile {
  isLocal = true;
  #folder;
  #file;
  #beside;

  /**
   * @param {string | URL} folder @param {string} file
   * @param {string} beside the file of the folder beside which a link must lead
   */
  constructor(folder, file, beside) {
    this.#folder = folder;
    this.#file = file;
    this.#beside = beside;
    this.name = `${String(folder).replace(/\/$/, "")}/${file}`;
  }

  /** @type {StoredFile["read"]} */
  async read(most) {
    return this.#opened(async (file, size) => {
      if (size > most) throw this.#wrong(`at most ${most}`, size);
      const content = new Uint8Array(size);
      await this.#readInto(file, content, 0, size);
      return content;
    });
  }

  /** @type {StoredFile["fill"]} */
  async fill(target, start, stop, { onBytes }) {
    return this.#opened(async (file, size) => {
      if (size !== target.length) throw this.#wrong(target.length, size);
      await this.#readInto(file, target, start, stop);
      onBytes?.(stop - start, stop - start);
      return [start, stop];
    });
  }

  /**
   * Opens the file, and closes it after some work with it and its size.
   * @template T
   * @param {(file: import("node:fs/promises").FileHandle, size: number) => Promise<T>} work
   */
  async #opened(work) {
    let file;
    try {
      file = await (await builtin("fs/promises")).open(await this.#located());
      return await work(file, (await file.stat()).size);
    } catch (problem) {
      const code = /** @type {{code?: string}} */ (problem).code;
      if (typeof code !== "string") throw problem;
      const what = code === "ENOENT" ? `${this.name} is missing` : `cannot read ${this.name}: ${code}`;
      throw new BundleError(`${what}; ${COPY_AGAIN}`, { cause: problem });
    } finally {
      await file?.close();
    }
  }

  /** Returns the path of the file, or of what a link in its place leads to. */
  async #located() {
    const [fs, path, { fileURLToPath }] = await Promise.all(["fs/promises", "path", "url"].map(builtin));
    const folder = this.#folder instanceof URL ? fileURLToPath(this.#folder) : this.#folder;
    const place = path.join(folder, this.#file);
    const isLink = (await fs.lstat(place)).isSymbolicLink();
    const found = isLink ? await fs.realpath(place) : place;
    // So it is in Hugging Face's cache, where all files are links to blobs. What a stranger's link leads to lies beside
    // no manifest that names it.
    const home = isLink && path.dirname(await fs.realpath(path.join(folder, this.#beside)));
    if (isLink && path.dirname(found) !== home) {
      const advice = "copy the bundle with what its links lead to: cp -rL";
      throw new BundleError(`${this.name} is a link out of the bundle; ${advice}`);
    }
    // A pipe would be waited for, and a device such as /dev/zero never ends.
    if (!(await fs.stat(found)).isFile()) throw new BundleError(`${this.name} is no plain file; ${COPY_AGAIN}`);
    return found;
  }

  /**
   * @param {import("node:fs/promises").FileHandle} file @param {Uint8Array} target
   * @param {number} start @param {number} stop
   */
  async #readInto(file, target, start, stop) {
    for (let at = start; at < stop;) {
      const { bytesRead } = await file.read(target, at, stop - at, at);
      if (!bytesRead) throw this.#wrong(stop - start, at - start);
      at += bytesRead;
    }
  }

  /** @param {number | string} expected @param {number} found */
  #wrong(expected, found) {
    const advice = `it was truncated or altered: ${COPY_AGAIN}`;
    return new BundleError(`${this.name}: expected ${expected} bytes, found ${found}; ${advice}`);
  }
}
