// COBS: bytes without a zero, so that a zero ends every frame and garbage ends with the next one.

/** Bytes that `length` plain bytes take at most, without the final zero. */
export const codedBytes = (length: number): number => length + Math.ceil(length / 254) + 1;

/** Writes `plain` coded, and the final zero, to `target` from `at` on; returns the position behind it. */
export function encodeCobs(plain: Buffer, target: Buffer, at: number): number {
  let out = at;
  let from = 0;
  for (;;) {
    const zero = plain.indexOf(0, from);
    const end = zero === -1 ? plain.length : zero;
    while (end - from >= 254) {
      target[out] = 255;
      target.set(plain.subarray(from, from + 254), out + 1);
      out += 255;
      from += 254;
      if (from === plain.length) return close(target, out);
    }
    target[out] = end - from + 1;
    target.set(plain.subarray(from, end), out + 1);
    out += end - from + 1;
    if (zero === -1) return close(target, out);
    from = zero + 1;
  }
}

function close(target: Buffer, at: number): number {
  target[at] = 0;
  return at + 1;
}

/** Writes `coded` (without its final zero) plain to `target`; returns the length, or -1 if it is no COBS or does not fit. */
export function decodeCobs(coded: Buffer, target: Buffer): number {
  let out = 0;
  let at = 0;
  while (at < coded.length) {
    const code = coded[at] ?? 0;
    const end = at + code;
    if (code === 0 || end > coded.length || out + code - 1 > target.length) return -1;
    coded.copy(target, out, at + 1, end);
    out += code - 1;
    if (code < 255 && end < coded.length) target[out++] = 0;
    at = end;
  }
  return out <= target.length ? out : -1;
}
