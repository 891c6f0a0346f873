/** The bundle: the folder of graphs and weights, of which every byte is checked before it is used. */

import { BundleError } from "../errors.js";
import { openCache } from "./cache.js";
import { readGolden } from "./golden.js";
import { references } from "./graph-file.js";
import { sha256Of } from "./hashing.js";
import { MANIFEST, readManifest } from "./manifest.js";
import { Pieces } from "./pieces.js";
import { listed, quoted } from "./records.js";
import { openFolder } from "./source.js";
import { WeightReader, checkHash } from "./weights.js";

// Of JSON: in memory it may take twenty times as much.
const MOST_OF_MANIFEST = 2 ** 24;

/** @typedef {import("./manifest.js").ExportedSubnet} ExportedSubnet */
/** @typedef {import("./manifest.js").Flavor} Flavor */
/** @typedef {import("./manifest.js").FileRef} FileRef */
/** @typedef {import("./manifest.js").WeightFile} WeightFile */
/** @typedef {import("./weights.js").ReadOptions} ReadOptions */

/**
 * What an ONNX Runtime session is made of: a graph, and the weights that it refers into, as its option `externalData`.
 * @typedef {object} OpenGraph
 * @property {Uint8Array<ArrayBuffer>} graph
 * @property {{path: string, data: Uint8Array<ArrayBuffer>}[]} externalData
 */

/**
 * Reads a bundle's manifest, from the address or in Node the path of its folder.
 *
 * What is downloaded is kept in `cache`: the browser's storage, else the memory; null keeps nothing. `signal` ends
 * this reading alone.
 *
 * Throws a BundleError for no bundle there, one of another version, and one that was altered; if `signal` ends it, its
 * reason.
 * @param {string | URL} place
 * @param {{signal?: AbortSignal | undefined, cache?: import("./cache.js").HashCache | null | undefined}} options
 */
export async function loadBundle(place, { signal, cache } = {}) {
  const folder = await openFolder(place, MANIFEST);
  const manifest = await currentManifest(folder, signal);
  // What lies on a disk is not kept once more.
  const usual = cache === undefined && !folder(MANIFEST).isLocal ? await openCache() : null;
  const localPlace = folder(MANIFEST).isLocal ? place : null;
  return new Bundle(folder, manifest, cache ?? usual, localPlace);
}

/** @param {(name: string) => import("./source.js").StoredFile} folder @param {AbortSignal | undefined} signal */
async function currentManifest(folder, signal) {
  signal?.throwIfAborted();
  const file = folder(MANIFEST);
  return readManifest(await file.read(MOST_OF_MANIFEST, signal), file.name);
}

/**
 * A bundle whose manifest was read.
 *
 * All bytes that it returns are verified and the caller's own. What reads files throws a BundleError for a file that is
 * missing, cannot be read, or was altered, and if the `signal` of its options ends it, that one's reason.
 */
export class Bundle {
  #folder;
  #cache;

  /**
   * @param {(name: string) => import("./source.js").StoredFile} folder
   * @param {import("./manifest.js").Manifest} manifest @param {import("./cache.js").HashCache | null} cache
   * @param {string | URL | null} localPlace
   */
  constructor(folder, manifest, cache, localPlace = null) {
    this.#folder = folder;
    this.#cache = cache;
    this.manifest = manifest;
    /** The hash that the manifest holds of itself, and so of all that it names. */
    this.sha256 = manifest.sha256;
    /** Where it lies, for another process to open it, if that is on a disk. */
    this.localPlace = localPlace;
    Object.freeze(this);
  }

  /**
   * Returns the sub-network of that name; the BundleError lists those there are.
   * @param {string} id @returns {ExportedSubnet}
   */
  subnet(id) {
    const { subnetworks, name } = this.manifest;
    const found = subnetworks.find((subnet) => subnet.id === id);
    if (found) return found;
    const known = listed(subnetworks.map((subnet) => subnet.id));
    throw new BundleError(`no sub-network ${quoted(id)} in bundle ${quoted(name)}; choose one of ${known}`);
  }

  /** Returns the text of tokenizer.json. @param {ReadOptions} options */
  async tokenizer(options = {}) {
    return new TextDecoder().decode(await this.#verified(this.manifest.tokenizer, options));
  }

  /** Returns the golden inputs and outputs. @param {ReadOptions} options */
  async golden(options = {}) {
    const { golden, inputs } = this.manifest;
    return readGolden(await this.#verified(golden, options), golden.file, inputs);
  }

  /**
   * Returns a sub-network's ONNX graph; a BundleError lists the flavors that it has.
   * @param {ExportedSubnet} subnet @param {Flavor} flavor @param {ReadOptions} options
   */
  async graph(subnet, flavor, options = {}) {
    const file = subnet.graphs[flavor];
    if (file) return this.#verified(file, options);
    const known = listed(Object.keys(subnet.graphs));
    throw new BundleError(`${quoted(subnet.id)} has no ${flavor} graph; choose one of ${known}`);
  }

  /**
   * Returns the whole weight file of a storage type; a BundleError lists those there are.
   * @param {WeightFile["dtype"]} storage @param {ReadOptions} options
   */
  async weights(storage, options = {}) {
    const { weight_files: files, name } = this.manifest;
    const file = files.find((one) => one.dtype === storage);
    if (file) return this.#weights(file, (pieces) => pieces.all(), options);
    const known = listed(files.map((one) => one.dtype));
    throw new BundleError(`bundle ${quoted(name)} has no ${storage} weights; choose one of ${known}`);
  }

  /**
   * Returns a sub-network's graph with the weights that it reads; only these are downloaded.
   *
   * Throws a BundleError also for no such flavor, and a graph that reads anything but a weight file of the bundle.
   * @param {ExportedSubnet} subnet @param {Flavor} flavor @param {ReadOptions} options @returns {Promise<OpenGraph>}
   */
  async openGraph(subnet, flavor, options = {}) {
    const graph = await this.graph(subnet, flavor, options);
    const used = references(graph, `${quoted(subnet.id)}, ${flavor}`);
    const file = this.#weightFileOf(subnet, used);
    // Before pieces are counted: a place may be given as any number.
    if (used.some(({ start, size }) => start + size > file.size_bytes)) {
      throw new BundleError(`${file.file} is too short for the graph of ${quoted(subnet.id)}; export the bundle again`);
    }
    const data = await this.#weights(file, (pieces) => pieces.of(used), options);
    return { graph, externalData: [{ path: file.file, data }] };
  }

  /** @param {ExportedSubnet} subnet @param {import("./graph-file.js").Reference[]} used */
  #weightFileOf(subnet, used) {
    const names = [...new Set(used.map((one) => one.file))];
    const file = this.manifest.weight_files.find((one) => one.file === names[0]);
    if (file && names.length === 1) return file;
    const found = `the graph of ${quoted(subnet.id)} reads ${listed(names) || "nothing"}, no weight file of its bundle`;
    throw new BundleError(`${found}; do not use this bundle unless you trust where it comes from; export it again`);
  }

  /**
   * Returns a weight file with some of its pieces in it.
   * @param {WeightFile} weights @param {(pieces: Pieces) => number[]} chosen @param {ReadOptions} options
   */
  async #weights({ file, size_bytes: size, pieces: table }, chosen, options) {
    const pieces = Pieces.read(await this.#verified(table, options), size, file);
    const reader = new WeightReader(this.#folder(file), file, pieces, this.#cache);
    return this.#unreplaced(reader.read(size, chosen(pieces), options), options);
  }

  /** Returns a file's content after checking its hash. @param {FileRef} ref @param {ReadOptions} options */
  async #verified(ref, options) {
    options.signal?.throwIfAborted();
    const kept = await this.#cache?.get(ref.sha256);
    if (kept) return kept;
    const content = await this.#unreplaced(this.#read(ref, options), options);
    await this.#cache?.put(ref.sha256, content);
    return content;
  }

  /** @param {FileRef} ref @param {ReadOptions} options */
  async #read({ file: name, size_bytes: totalBytes, sha256 }, { signal, onProgress }) {
    const file = this.#folder(name);
    const content = new Uint8Array(totalBytes);
    let loadedBytes = 0;
    const onBytes = (/** @type {number} */ count) => {
      loadedBytes += count;
      onProgress?.({ file: name, loadedBytes, totalBytes });
    };
    await file.fill(content, 0, totalBytes, { signal, onBytes });
    checkHash(file.name, await sha256Of(content), sha256);
    return content;
  }

  /**
   * Returns what a reading gives; of a bundle that was replaced meanwhile the error is that it was.
   * @template T
   * @param {Promise<T>} reading @param {ReadOptions} options
   */
  async #unreplaced(reading, { signal }) {
    try {
      return await reading;
    } catch (problem) {
      if (!(problem instanceof BundleError) || !(await this.#isReplaced(signal))) throw problem;
      throw new BundleError(`${this.#folder(MANIFEST).name} was replaced since it was loaded; load it again`);
    }
  }

  /** Returns whether another bundle is at this place now. @param {AbortSignal | undefined} signal */
  async #isReplaced(signal) {
    try {
      return (await currentManifest(this.#folder, signal)).sha256 !== this.sha256;
    } catch {
      // Where there is none, what is missing is the better reason.
      return false;
    }
  }
}
