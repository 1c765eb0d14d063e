// The locked memory of the model vault: slots for open blocks, waited for when all are pinned, and leases counted.

import {
  crypto_generichash,
  crypto_onetimeauth_final,
  crypto_onetimeauth_init,
  crypto_onetimeauth_update,
} from "sodium-native";
import type { BlockId, KeyIdKey, OpenBlock, Range, Sealed } from "../../src/vault/vault.ts";
import { encodeBase64 } from "../../src/wire/base64.ts";

/** What was emitted of a block, for whoever checks that no byte is used twice. */
export type Emitted = Range & { readonly block: BlockId };

interface Slot {
  readonly block: BlockId;
  readonly bytes: Uint8Array;
  pins: number;
}

/** Blocks in memory: at most `size`, those that nobody has open dropped when room is needed. */
export class ModelMemory {
  readonly #size: number;
  readonly #slots = new Map<BlockId, Slot>();
  #waiting: (() => void)[] = [];
  /** Blocks destroyed or replaced while open still take their slots. */
  #doomed = 0;
  /** Leases on blocks, and key-ID keys not disposed. */
  readonly leases = { blocks: 0, idKeys: 0 };

  constructor(size: number) {
    this.#size = size;
  }

  /** Resolves when a slot is free or can be had by dropping a block that nobody has open. */
  async room(): Promise<void> {
    while (!this.#reclaim()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #reclaim(): boolean {
    if (this.#slots.size + this.#doomed < this.#size) return true;
    const idle = [...this.#slots.values()].find(({ pins }) => pins === 0);
    return idle !== undefined && this.#slots.delete(idle.block);
  }

  /** The block as it was sealed, with zeros where it is used. */
  load(block: BlockId, sealed: Uint8Array, used: readonly Range[]): void {
    if (this.#slots.has(block)) return;
    const bytes = Uint8Array.from(sealed);
    for (const { offset, length } of used) bytes.fill(0, offset, offset + length);
    this.#slots.set(block, { block, bytes, pins: 0 });
  }

  /** A lease on a block that is loaded. */
  lease(block: BlockId, home: BlockHome): OpenBlock | undefined {
    const slot = this.#slots.get(block);
    if (slot === undefined) return undefined;
    slot.pins++;
    this.leases.blocks++;
    return new ModelBlock(block, slot.bytes, home, () => this.#release(slot));
  }

  #release(slot: Slot): void {
    slot.pins--;
    this.leases.blocks--;
    if (slot.pins === 0 && this.#slots.get(slot.block) !== slot) this.#doomed--;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** The block was destroyed or replaced: whoever has it open keeps it till the end. */
  drop(block: BlockId): void {
    if ((this.#slots.get(block)?.pins ?? 0) > 0) this.#doomed++;
    this.#slots.delete(block);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  idKey(bytes: Uint8Array): KeyIdKey {
    this.leases.idKeys++;
    return new ModelIdKey(bytes, () => {
      this.leases.idKeys--;
    });
  }
}

/** What an open block asks of its vault. */
export interface BlockHome {
  sealIdKey(block: BlockId, bytes: Uint8Array): Promise<{ readonly key: KeyIdKey; readonly sealed: Sealed }>;
  sealCopy(to: BlockId, bytes: Uint8Array): Promise<Sealed>;
  emitted(part: Emitted): void;
}

class ModelBlock implements OpenBlock {
  readonly block: BlockId;
  readonly length: number;
  readonly #home: BlockHome;
  readonly #released: () => void;
  #bytes: Uint8Array | undefined;

  constructor(block: BlockId, bytes: Uint8Array, home: BlockHome, released: () => void) {
    this.block = block;
    this.length = bytes.length;
    this.#bytes = bytes;
    this.#home = home;
    this.#released = released;
  }

  hopTag(context: Uint8Array): Uint8Array {
    return poly1305(this.#open().subarray(0, 32), context, this.#open().subarray(32));
  }

  endTag(context: Uint8Array): Uint8Array {
    return poly1305(this.#open().subarray(32, 64), context, this.#open().subarray(64));
  }

  async keyIdKey(): Promise<{ readonly key: KeyIdKey; readonly sealed: Sealed }> {
    return this.#home.sealIdKey(this.block, this.#open().slice(64, 96));
  }

  /** Seals the same bytes as another block. */
  async copy(to: BlockId): Promise<Sealed> {
    return this.#home.sealCopy(to, this.#open().slice());
  }

  emit(range: Range, target: Uint8Array, at: number): number {
    const bytes = this.#open();
    const end = range.offset + range.length;
    const used = bytes.subarray(range.offset, end).every((byte) => byte === 0);
    if (used) throw new Error(`bytes ${range.offset} to ${end} of ${this.block} were used before`);
    this.#home.emitted({ block: this.block, ...range });
    const behind = encodeBase64(bytes, range.offset, end, target, at);
    bytes.fill(0, range.offset, end);
    return behind;
  }

  wipe({ offset, length }: Range): void {
    this.#open().fill(0, offset, offset + length);
  }

  [Symbol.dispose](): void {
    if (this.#bytes === undefined) return;
    this.#bytes = undefined;
    this.#released();
  }

  #open(): Uint8Array {
    if (this.#bytes === undefined) throw new Error(`${this.block} was used after it was disposed`);
    return this.#bytes;
  }
}

class ModelIdKey implements KeyIdKey {
  #bytes: Uint8Array | undefined;
  readonly #released: () => void;

  constructor(bytes: Uint8Array, released: () => void) {
    this.#bytes = bytes;
    this.#released = released;
  }

  tag(message: Uint8Array, tag: Uint8Array): void {
    if (this.#bytes === undefined) throw new Error("a key-ID key was used after it was disposed");
    crypto_generichash(tag, message, this.#bytes);
  }

  [Symbol.dispose](): void {
    if (this.#bytes === undefined) return;
    this.#bytes = undefined;
    this.#released();
  }
}

function poly1305(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const state = new Uint8Array(256);
  const tag = new Uint8Array(16);
  crypto_onetimeauth_init(state, key);
  for (const part of parts) crypto_onetimeauth_update(state, part);
  crypto_onetimeauth_final(state, tag);
  return tag;
}
