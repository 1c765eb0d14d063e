// T(label, …) of key-protocol 1: the self-delimiting bytes under every tag and AAD.

/** One item of `T`: a string, a number of 8 bytes, a number of 4 bytes, or a list. */
export type Item =
  | string
  | { readonly u64: number }
  | { readonly u32: number }
  | { readonly list: readonly (readonly Item[])[] };

/** A number in 8 bytes, big-endian, of `T(…)` (key-protocol 1). */
export const u64 = (value: number): Item => ({ u64: value });
/** A number in 4 bytes, big-endian, of `T(…)` (key-protocol 1). */
export const u32 = (value: number): Item => ({ u32: value });
/** A list of plain strings. */
export const strings = (values: readonly string[]): Item => ({ list: values.map((value) => [value]) });

/** Strings as 2-byte length and UTF-8, numbers big-endian, lists as 2-byte count and their items. */
export function encodeT(label: string, ...items: readonly Item[]): Uint8Array {
  return Buffer.concat([label, ...items].map(encodeItem));
}

function encodeItem(item: Item): Buffer {
  if (typeof item === "string") {
    const text = Buffer.from(item, "utf8");
    return Buffer.concat([bigEndian(2, text.length), text]);
  }
  if ("u64" in item) return bigEndian(8, item.u64);
  if ("u32" in item) return bigEndian(4, item.u32);
  return Buffer.concat([bigEndian(2, item.list.length), ...item.list.flat().map(encodeItem)]);
}

/** @throws RangeError when `value` is no integer of that many bytes */
function bigEndian(size: 2 | 4 | 8, value: number): Buffer {
  const bytes = Buffer.alloc(size);
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no unsigned integer`);
  if (size === 8) bytes.writeBigUInt64BE(BigInt(value));
  else bytes.writeUIntBE(value, 0, size);
  return bytes;
}
