// XOR of key bytes by words of four: each word is a small integer, of which V8 leaves no copy in its heap (8 would be a BigInt).

/** Both begin at a multiple of four: then `Int32Array` may look at them. */
const areAligned = (one: Uint8Array, other: Uint8Array): boolean => ((one.byteOffset | other.byteOffset) & 3) === 0;

/** `target` ^= `source`. @throws RangeError when they differ in length */
export function xorInto(target: Uint8Array, source: Uint8Array): void {
  const { length } = target;
  if (source.length !== length) throw new RangeError(`${source.length} bytes do not mask ${length}`);
  const words = areAligned(target, source) ? length >> 2 : 0;
  xorWords(target, source, words);
  for (let at = words * 4; at < length; at += 1) target[at] = (target[at] ?? 0) ^ (source[at] ?? 0);
}

function xorWords(target: Uint8Array, source: Uint8Array, words: number): void {
  if (words === 0) return;
  const to = new Int32Array(target.buffer, target.byteOffset, words);
  const from = new Int32Array(source.buffer, source.byteOffset, words);
  for (let at = 0; at < words; at += 1) to[at] = (to[at] ?? 0) ^ (from[at] ?? 0);
}

/** True when a word of 8 bytes, counted from the front of `bytes`, is zero. Key is that once in 2^64. @throws RangeError off a multiple of four */
export function hasZeroWord(bytes: Uint8Array): boolean {
  const words = (bytes.length >> 3) * 2;
  const view = new Int32Array(bytes.buffer, bytes.byteOffset, words);
  for (let at = 0; at < words; at += 2) if (((view[at] ?? 0) | (view[at + 1] ?? 0)) === 0) return true;
  return false;
}
