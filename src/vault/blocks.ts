// Blocks and key-ID keys on their way between drivers, the store and locked memory.

import { Fault } from "../core/fault.ts";
import { type Secret, secretOf } from "../core/secret.ts";
import { isStored } from "./index-of-records.ts";
import { KEY_ID_KEY_BYTES, type KeyIdKeys } from "./key-ids.ts";
import { type BlockHome, KEY_ID_KEY, OpenedBlock } from "./open-block.ts";
import { type Reader, readRecord } from "./reader.ts";
import { type Resident, Residents } from "./residents.ts";
import type { Slab } from "./slab.ts";
import { checkName } from "./store.ts";
import type { TokenLink } from "./token-link.ts";
import type { BlockId, KeyIdKey, OpenBlock, Range, Sealed } from "./vault.ts";

export interface BlocksParts extends Reader {
  readonly link: TokenLink;
  readonly slab: Slab;
  readonly keyIds: KeyIdKeys;
  /** Locked memory in which Poly1305 works. */
  readonly tagState: Uint8Array;
  readonly blockBytes: number;
}

export class Blocks {
  readonly #parts: BlocksParts;
  readonly #residents: Residents;
  readonly #home: BlockHome;

  constructor(parts: BlocksParts) {
    this.#parts = parts;
    this.#residents = new Residents(parts.slab, (block, slot) => readRecord(parts, { kind: "block", block }, slot));
    this.#home = {
      tagState: parts.tagState,
      unpin: (resident) => this.#residents.unpin(resident),
      keyIdKey: (resident) => this.#extract(resident),
    };
  }

  /** Slots that someone uses now. */
  get pinned(): number {
    const { all, free } = this.#parts.slab;
    return all - free - this.#residents.idle;
  }

  seal(block: BlockId, key: Secret): Promise<Sealed> {
    this.#check(block, key.length);
    return key.lend((plain) => this.#parts.sealer.seal("block", block, plain));
  }

  async generate(blocks: readonly BlockId[], length: number): Promise<readonly Sealed[]> {
    for (const block of blocks) this.#check(block, length);
    const { link, sealer, slab } = this.#parts;
    if (link.state !== "ready") throw new Fault("HSM_UNAVAILABLE");
    const slot = await slab.acquire();
    try {
      const secret = secretOf(slot.subarray(0, length));
      await link.use((token) => token.random(secret));
      const sealed: Sealed[] = [];
      for (const block of blocks) sealed.push(await secret.lend((plain) => sealer.seal("block", block, plain)));
      return sealed;
    } finally {
      slab.release(slot);
    }
  }

  async open(block: BlockId, used?: () => readonly Range[]): Promise<OpenBlock> {
    if (this.#parts.link.state !== "ready") throw new Fault("HSM_UNAVAILABLE");
    if (!this.has(block)) throw new Error(`there is no block ${block}`);
    return new OpenedBlock(await this.#residents.open(block, used), this.#home);
  }

  resident(block: BlockId): OpenBlock | undefined {
    if (this.#parts.link.state !== "ready" || !this.has(block)) return undefined;
    const resident = this.#residents.resident(block);
    return resident && new OpenedBlock(resident, this.#home);
  }

  async keyIdKey(block: BlockId): Promise<KeyIdKey> {
    if (this.#parts.link.state !== "ready") throw new Fault("HSM_UNAVAILABLE");
    const place = this.#parts.keyIds.place();
    try {
      await readRecord(this.#parts, { kind: "key-id", block }, place.bytes);
      return place.ready();
    } catch (thrown) {
      place.release();
      throw thrown;
    }
  }

  has(block: BlockId): boolean {
    return isStored(this.#parts.keeper.index.get("block", block));
  }

  /** The block is destroyed or replaced. */
  doom(block: BlockId): void {
    this.#residents.doom(block);
  }

  /** Nothing is usable any more. The memory is zeroed by whoever owns it. */
  close(): void {
    this.#parts.slab.close();
    this.#residents.close();
    this.#parts.keyIds.close();
  }

  async #extract({ block, slot }: Resident): Promise<{ readonly key: KeyIdKey; readonly sealed: Sealed }> {
    const place = this.#parts.keyIds.place();
    const plain = place.bytes.subarray(0, KEY_ID_KEY_BYTES);
    try {
      plain.set(slot.subarray(KEY_ID_KEY, KEY_ID_KEY + KEY_ID_KEY_BYTES));
      const sealed = await this.#parts.sealer.seal("key-id", block, plain);
      return { key: place.ready(), sealed };
    } catch (thrown) {
      place.release();
      throw thrown;
    }
  }

  #check(block: BlockId, length: number): void {
    checkName("block", block);
    if (length > 0 && length <= this.#parts.blockBytes) return;
    throw new RangeError(`a block of ${length} bytes: it must have 1 to ${this.#parts.blockBytes}`);
  }
}
