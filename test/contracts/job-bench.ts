// What the contract tests of jobs, pads and made blocks have in common.

import { encodeT } from "../../src/core/text/encoding.ts";
import type { BlockId, Job, Masked, OpenBlock, PadPiece, Range, Vault } from "../../src/vault/vault.ts";
import { slowPoly1305 } from "../support/slow-poly1305.ts";
import { BLOCK_BYTES, id, keyOf, take } from "../vault/harness.ts";

/** A vault for one test. */
export interface JobBench extends AsyncDisposable {
  readonly vault: Vault;
  /** Blocks that can be open at a time. */
  readonly slots: number;
  /** Of the largest block. */
  readonly blockBytes: number;
  /** Resolves when the vault knows that its token is gone. */
  vanish(): Promise<void>;
}

export const CONTEXT = encodeT("qkm otp", "key", "km-a", "km-c");
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

export const jobOf = (names: readonly string[], emptySlots = 0): Job => ({
  blocks: names.map((name) => ({ block: id(name) })),
  emptySlots,
});

/** The item, which must be there. */
export function the<T>(items: readonly (T | undefined)[], index = 0): T {
  const item = items[index];
  if (item === undefined) throw new Error(`there is no item ${index}`);
  return item;
}

/** A pad for a key of `length` bytes that begins at `offset` of the first block and goes on at the front of the next. */
export function padOf(opens: readonly OpenBlock[], length = BLOCK_BYTES, offset = 0): PadPiece[] {
  let missing = length + 32;
  let at = offset;
  return opens.flatMap((open): PadPiece[] => {
    const range = { offset: at, length: Math.min(missing, open.length - at) };
    missing -= range.length;
    at = 0;
    return range.length > 0 ? [{ open, range }] : [];
  });
}

/** What key-protocol 2 makes of plain bytes: the key as it travels, and its tag in hex. */
export function maskByHand(plain: Uint8Array, pad: Uint8Array, context = CONTEXT): { key: string; tag: string } {
  const key = plain.map((byte, index) => byte ^ (pad[index + 32] ?? 0));
  return { key: toHex(key), tag: slowPoly1305(pad.subarray(0, 32), Buffer.concat([context, key])) };
}

export const ofHex = (hex: { key: string; tag: string }): Masked => ({
  key: Buffer.from(hex.key, "hex"),
  tag: Buffer.from(hex.tag, "hex"),
});
export const inHex = ({ key, tag }: Masked) => ({ key: toHex(key), tag: toHex(tag) });
export const bytesOf = (pieces: readonly PadPiece[]): Uint8Array =>
  Buffer.concat(
    pieces.map(({ open, range: { offset, length } }) => keyOf(open.block).subarray(offset, offset + length)),
  );
export const isZero = (open: OpenBlock, range: Range): boolean => {
  try {
    take(open, range);
    return false;
  } catch {
    return true;
  }
};

/** Splits pieces where the stream is cut. */
export function cutAt(pieces: readonly PadPiece[], cuts: readonly number[]): PadPiece[] {
  let before = 0;
  return pieces.flatMap(({ open, range }) => {
    const first = before;
    before += range.length;
    const inside = cuts.filter((cut) => cut > first && cut < before).map((cut) => cut - first);
    const edges = [0, ...inside, range.length].sort((a, b) => a - b);
    return edges.slice(1).map((end, index) => {
      const begin = edges[index] ?? 0;
      return { open, range: { offset: range.offset + begin, length: end - begin } };
    });
  });
}

/** As the sender does it: the pads are destroyed with the use. */
export async function maskedWith(vault: Vault, key: string, pads: readonly string[]): Promise<Masked> {
  using job = await vault.openJob(jobOf([key, ...pads]));
  const masked = the(job.blocks).mask(padOf(job.blocks.slice(1)), CONTEXT);
  await forget(vault, ...pads);
  return masked;
}

/** Combines parts, seals the result and its key-ID key, and commits both; its bytes in hex. */
export async function madeOf(vault: Vault, parts: readonly string[], name: string): Promise<string> {
  using job = await vault.openJob(jobOf(parts, 1));
  const made = the(job.emptySlots).combine(id(name), job.blocks);
  const { key, sealed } = await made.keyIdKey();
  key[Symbol.dispose]();
  const whole = await made.seal();
  await vault.change().keep(whole).keep(sealed).commit();
  return toHex(take(made));
}

export async function keyIdTag(open: OpenBlock): Promise<string> {
  const { key } = await open.keyIdKey();
  using _ = key;
  const tag = new Uint8Array(16);
  key.tag(CONTEXT, tag);
  return toHex(tag);
}

export function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

export async function forget(vault: Vault, ...names: readonly string[]): Promise<void> {
  const change = vault.change();
  for (const name of names) change.destroy(id(name));
  await change.commit();
}

/** Fills the memory with something else. */
export async function forgetMemory(vault: Vault, block: string, slots: number): Promise<void> {
  (await vault.openJob({ blocks: [], emptySlots: slots }))[Symbol.dispose]();
  const still: OpenBlock | undefined = vault.cached(block as BlockId);
  if (still !== undefined) throw new Error(`${block} is in memory still`);
}
