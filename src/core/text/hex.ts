// Hexadecimal digits of secrets: read where they lie, never a string.

/** Reads the first `2 × to.length` digits of `from`; false, and nothing is left in `to`, when one is none or is missing. */
export function readDigits(from: Uint8Array, to: Uint8Array): boolean {
  for (let index = 0; index < to.length; index++) {
    const [high, low] = [digit(from[2 * index]), digit(from[2 * index + 1])];
    if (high === undefined || low === undefined) {
      to.fill(0);
      return false;
    }
    to[index] = (high << 4) | low;
  }
  return true;
}

/** The value of a digit, by its ASCII code. */
function digit(code = 0): number | undefined {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : undefined;
}
