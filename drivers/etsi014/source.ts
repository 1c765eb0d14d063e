// The `etsi014` driver: a vendor's box that serves keys by their IDs over ETSI GS QKD 014. A block is as many of its keys as
// fill it, one after the other; what the last has beyond the block is thrown away at both ends.

import type { Fault } from "../../src/core/fault.ts";
import { LIMITS } from "../../src/core/limits.ts";
import type { Secret } from "../../src/core/memory/secret.ts";
import type { BlockOffer, BoxOptions, BoxPorts, KeyBox, OpenBox } from "../../src/device/key-box.ts";
import type { SourceStatus } from "../../src/device/key-source.ts";
import { BoxFault } from "../common/box-tls.ts";
import { BoxWork } from "../common/box-work.ts";
import { type BoxKey, keysOf, statusOf } from "./answers.ts";
import { BoxClient } from "./client.ts";

/** Keys in one request, at most: their answer fits the memory for it. */
const MOST_KEYS = 128;
/** How long what is left of a block may take that a box gives in several answers. */
const OFFER_WITHIN_MS = 5000;

/** How a block is asked for. */
interface BlockPlan {
  readonly keyBytes: number;
  readonly keys: number;
  readonly keysPerRequest: number;
}

/** Resolves at once. */
export const openEtsi014KeyBox: OpenBox = async (options, ports) => new Etsi014Box(options, ports);

class Etsi014Box implements KeyBox {
  readonly #options: BoxOptions;
  readonly #work: BoxWork;
  /** New keys and keys by their IDs go each over a connection of its own: a slow answer to one holds up no other. */
  readonly #clients: { readonly offer: BoxClient; readonly fetch: BoxClient };
  #plan: BlockPlan | undefined;

  constructor(options: BoxOptions, ports: BoxPorts) {
    this.#options = options;
    this.#work = new BoxWork(options, ports);
    this.#clients = { offer: new BoxClient(options, ports), fetch: new BoxClient(options, ports) };
  }

  status(): SourceStatus {
    return this.#work.state.read();
  }

  offer(into: Secret): Promise<BlockOffer> {
    return this.#work.noted(async () => {
      const { keys, keyBytes, keysPerRequest } = await this.#planned();
      const names: string[] = [];
      const until = this.#work.now + OFFER_WITHIN_MS;
      while (names.length < keys) {
        const number = Math.min(keysPerRequest, keys - names.length);
        const withinMs = names.length === 0 ? 0 : until - this.#work.now;
        names.push(...(await this.#work.again(withinMs, () => this.#take(number, keyBytes, names.length, into))));
      }
      return { names, complete: async () => {} };
    });
  }

  fetch(names: readonly string[], into: Secret, withinMs: number): Promise<void> {
    return this.#work.noted(async () => {
      const { keysPerRequest } = await this.#planned();
      const until = this.#work.now + withinMs;
      for (let from = 0; from < names.length; from += keysPerRequest) {
        const group = names.slice(from, from + keysPerRequest);
        const place = { from, of: names.length };
        await this.#work.again(until - this.#work.now, () => this.#fetch(group, place, into));
      }
    });
  }

  /** What a box says of itself is asked anew after it was gone: it may be another. */
  async #planned(): Promise<BlockPlan> {
    if (this.#work.state.read().line === "down") this.#plan = undefined;
    this.#plan ??= await this.#readPlan();
    return this.#plan;
  }

  async #readPlan(): Promise<BlockPlan> {
    const { blockBytes, remote } = this.#options;
    const box = await this.#clients.offer.call({ path: `${pathTo(remote)}/status` }, statusOf);
    this.#work.state.module = box.kme;
    const { keyBits = Math.min(box.maxKeySize, 8 * blockBytes) } = this.#options;
    if (keyBits > box.maxKeySize || keyBits < box.minKeySize) {
      const bounds = `${box.minKeySize} to ${box.maxKeySize}`;
      throw new BoxFault("box-refuses", `the box gives keys of ${bounds} bits, not of ${keyBits}: change key_bits`);
    }
    const keyBytes = Math.floor(keyBits / 8);
    const keys = Math.ceil(blockBytes / keyBytes);
    if (keys > LIMITS.keys) {
      const most = 2 ** Math.floor(Math.log2(LIMITS.keys * keyBytes));
      throw new BoxFault(
        "box-refuses",
        `a block of ${blockBytes} bytes would be ${keys} keys of ${keyBits} bits: set block_bytes to ${most}, at both ends`,
      );
    }
    return { keyBytes, keys, keysPerRequest: Math.min(box.maxKeysPerRequest, MOST_KEYS) };
  }

  /** Takes so many new keys; `before` are in the block already. Returns their IDs. */
  #take(number: number, keyBytes: number, before: number, into: Secret): Promise<readonly string[]> {
    const path = `${pathTo(this.#options.remote)}/enc_keys`;
    return this.#clients.offer.call({ path, body: JSON.stringify({ number, size: 8 * keyBytes }) }, (answer) => {
      const keys = keysOf(answer, "enc_keys");
      if (keys.length !== number) throw wrong(`${number} keys were asked of the box, and ${keys.length} came`);
      for (const [at, { key }] of keys.entries()) place(key, { keyBytes, at: before + at }, into);
      return keys.map(({ id }) => id);
    });
  }

  /** Fetches keys by their IDs: those from `from` on, of so many that make the block. */
  #fetch(names: readonly string[], { from, of }: { from: number; of: number }, into: Secret): Promise<void> {
    const path = `${pathTo(this.#options.remote)}/dec_keys`;
    const body = JSON.stringify({ key_IDs: names.map((id) => ({ key_ID: id })) });
    return this.#clients.fetch.call({ path, body }, (answer) => {
      const keys = new Map(keysOf(answer, "dec_keys").map((one) => [one.id.toLowerCase(), one]));
      const keyBytes = bytesEach(keys.get(names[0]?.toLowerCase() ?? ""), of, into.length);
      for (const [at, id] of names.entries()) {
        const found = keys.get(id.toLowerCase());
        if (found === undefined) throw wrong("the box gives other keys than those that were asked for");
        place(found.key, { keyBytes, at: from + at }, into);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#work[Symbol.dispose]();
    this.#clients.offer[Symbol.dispose]();
    this.#clients.fetch[Symbol.dispose]();
  }
}

const pathTo = (sae: string): string => `/api/v1/keys/${encodeURIComponent(sae)}`;

const wrong = (sentence: string): Fault => new BoxFault("box-answers-wrong", sentence);

/** How long each of `keys` keys is that make a block. @throws Fault when they do not */
function bytesEach(first: BoxKey | undefined, keys: number, blockBytes: number): number {
  const bytes = first?.key.length ?? 0;
  if (bytes * keys >= blockBytes && bytes * (keys - 1) < blockBytes) return bytes;
  throw wrong(`${keys} keys of ${8 * bytes} bits make no block of ${blockBytes} bytes`);
}

/** Puts a key to its place in the block. @throws Fault when it is of another length */
function place(
  key: Uint8Array,
  { keyBytes, at }: { readonly keyBytes: number; readonly at: number },
  into: Secret,
): void {
  if (key.length !== keyBytes) throw wrong(`a key of the box has ${8 * key.length} bits, not ${8 * keyBytes}`);
  const start = at * keyBytes;
  into.lend((bytes) => bytes.set(key.subarray(0, Math.min(keyBytes, bytes.length - start)), start));
}
