// Blocks in the model vault's memory: tags, base64, pads and masks in plain arithmetic.

import { crypto_onetimeauth_final, crypto_onetimeauth_init, crypto_onetimeauth_update } from "sodium-native";
import type {
  BlockId,
  EmptySlot,
  KeyIdKey,
  Masked,
  OpenBlock,
  PadPiece,
  Range,
  Sealed,
} from "../../src/vault/vault.ts";
import { encodeBase64 } from "../../src/wire/base64.ts";

/** What left of a block, for whoever checks that no byte is used twice. */
export type Emitted = Range & { readonly block: BlockId };

/** What served as pad of a block: for a key that left, or for one that came. */
export type Padded = Emitted & { readonly end: "mask" | "unmask" };

/** What a block in memory asks of its vault. */
export interface BlockHome {
  readonly blockBytes: number;
  /** @throws Error when there is none */
  stored(block: BlockId): Uint8Array;
  sealIdKey(block: BlockId, bytes: Uint8Array): Promise<{ readonly key: KeyIdKey; readonly sealed: Sealed }>;
  sealBlock(block: BlockId, bytes: Uint8Array): Promise<Sealed>;
  emitted(part: Emitted): void;
  padded(part: Padded): void;
}

export class ModelBlock implements OpenBlock {
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

  /** The plain bytes. @throws Error after dispose */
  get bytes(): Uint8Array {
    if (this.#bytes === undefined) throw new Error(`${this.block} was used after it was disposed`);
    return this.#bytes;
  }

  hopTag(context: Uint8Array): Uint8Array {
    return poly1305(this.bytes.subarray(0, 32), context, this.bytes.subarray(32));
  }

  endTag(context: Uint8Array): Uint8Array {
    return poly1305(this.bytes.subarray(32, 64), context, this.bytes.subarray(64));
  }

  async keyIdKey(): Promise<{ readonly key: KeyIdKey; readonly sealed: Sealed }> {
    return this.#home.sealIdKey(this.block, this.bytes.slice(64, 96));
  }

  emit(range: Range, target: Uint8Array, at: number): number {
    const bytes = this.bytes;
    const end = range.offset + range.length;
    const used = bytes.subarray(range.offset, end).every((byte) => byte === 0);
    if (used) throw new Error(`bytes ${range.offset} to ${end} of ${this.block} were used before`);
    this.#home.emitted({ block: this.block, ...range });
    const behind = encodeBase64(bytes, range.offset, end, target, at);
    bytes.fill(0, range.offset, end);
    return behind;
  }

  wipe({ offset, length }: Range): void {
    this.bytes.fill(0, offset, offset + length);
  }

  mask(pads: readonly PadPiece[], context: Uint8Array): Masked {
    const plain = this.bytes;
    if (pads.some(({ open }) => asModel(open).bytes === plain)) throw new RangeError("a block is no pad of its own");
    const pad = takePad(pads, plain.length, (part) => this.#home.padded({ ...part, end: "mask" }));
    const key = xor(plain, pad.subarray(32));
    return { key, tag: poly1305(pad.subarray(0, 32), context, key) };
  }

  async seal(): Promise<Sealed> {
    return await this.#home.sealBlock(this.block, this.bytes.slice());
  }

  [Symbol.dispose](): void {
    if (this.#bytes === undefined) return;
    this.#bytes = undefined;
    this.#released();
  }
}

export class ModelBlank implements EmptySlot, Disposable {
  readonly #home: BlockHome;
  readonly #released: () => void;
  #made: ModelBlock | undefined;
  #disposed = false;

  constructor(home: BlockHome, released: () => void) {
    this.#home = home;
    this.#released = released;
  }

  unmask(block: BlockId, { key, tag }: Masked, pads: readonly PadPiece[], context: Uint8Array): OpenBlock | undefined {
    this.#checkEmpty(block, key.length);
    const pad = takePad(pads, key.length, (part) => this.#home.padded({ ...part, end: "unmask" }));
    const expected = poly1305(pad.subarray(0, 32), context, key);
    if (tag.length !== 16 || expected.some((byte, index) => byte !== tag[index])) return undefined;
    return this.#make(block, xor(key, pad.subarray(32)));
  }

  combine(block: BlockId, parts: readonly OpenBlock[]): OpenBlock {
    const [first, ...others] = parts.map((part) => asModel(part).bytes);
    if (first === undefined) throw new RangeError("a block is combined of at least one");
    if (others.some(({ length }) => length !== first.length)) throw new RangeError("parts of different lengths");
    if (new Set(parts.map((part) => part.block)).size < parts.length) throw new RangeError("a part is named twice");
    this.#checkEmpty(block, first.length);
    return this.#make(block, others.reduce(xor, first.slice()));
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#made?.[Symbol.dispose]();
    this.#released();
  }

  #checkEmpty(block: BlockId, length: number): void {
    if (this.#disposed) throw new Error(`${block} was to be made in a slot that was disposed`);
    if (this.#made !== undefined) throw new Error(`${block} was to be made in the slot of ${this.#made.block}`);
    if (!(length > 0 && length <= this.#home.blockBytes))
      throw new RangeError(`${block}: no block has ${length} bytes`);
  }

  #make(block: BlockId, bytes: Uint8Array): ModelBlock {
    this.#made = new ModelBlock(block, bytes, this.#home, () => {});
    return this.#made;
  }
}

function asModel(open: OpenBlock): ModelBlock {
  if (open instanceof ModelBlock) return open;
  throw new TypeError(`${open.block} was not opened by this vault`);
}

/** The pieces one after the other, zero in their blocks from then on. */
function takePad(pads: readonly PadPiece[], length: number, taken: (part: Emitted) => void): Uint8Array {
  const pieces = pads.map(({ open, range }) => ({ bytes: viewOf(asModel(open), range), open, range }));
  const given = pieces.reduce((sum, { range }) => sum + range.length, 0);
  if (given !== length + 32) throw new RangeError(`a pad of ${given} bytes for a key of ${length}`);
  if (pads.some((one, index) => pads.slice(index + 1).some((other) => overlap(one, other)))) {
    throw new RangeError("a part of a pad is named twice");
  }
  const pad = new Uint8Array(given);
  let at = 0;
  for (const { bytes } of pieces) {
    pad.set(bytes, at);
    at += bytes.length;
  }
  const areUsed = pieces.some(({ bytes }) => bytes.length >= 8 && bytes.every((byte) => byte === 0));
  for (const { bytes, open, range } of pieces) {
    bytes.fill(0);
    if (!areUsed) taken({ block: open.block, ...range });
  }
  if (areUsed) throw new Error("a pad was used before");
  return pad;
}

const overlap = (one: PadPiece, other: PadPiece): boolean =>
  asModel(one.open).bytes === asModel(other.open).bytes &&
  one.range.offset < other.range.offset + other.range.length &&
  other.range.offset < one.range.offset + one.range.length;

function viewOf({ block, bytes }: ModelBlock, { offset, length }: Range): Uint8Array {
  if (offset >= 0 && length > 0 && offset + length <= bytes.length) return bytes.subarray(offset, offset + length);
  throw new RangeError(`no range of ${block}: ${length} bytes from ${offset}`);
}

/** Never a Buffer, whose `slice` is no copy: two records would share their bytes. */
function xor(one: Uint8Array, other: Uint8Array): Uint8Array {
  const both = new Uint8Array(one.length);
  for (let index = 0; index < both.length; index++) both[index] = (one[index] ?? 0) ^ (other[index] ?? 0);
  return both;
}

/** Of the tag that is being made: one at a time. */
const TAG_STATE = new Uint8Array(256);

function poly1305(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const tag = new Uint8Array(16);
  crypto_onetimeauth_init(TAG_STATE, key);
  for (const part of parts) crypto_onetimeauth_update(TAG_STATE, part);
  crypto_onetimeauth_final(TAG_STATE, tag);
  return tag;
}
