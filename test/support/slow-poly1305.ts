// Poly1305 with big integers, for tests that trust no library.

const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** Poly1305 as RFC 8439 2.5 words it; the tag in hex. */
export function slowPoly1305(key: Uint8Array, message: Uint8Array): string {
  const little = (bytes: Uint8Array) => BigInt(`0x${toHex(bytes.slice().reverse()) || "0"}`);
  const r = little(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  let sum = 0n;
  for (let at = 0; at < message.length; at += 16) {
    const part = message.subarray(at, at + 16);
    sum = ((sum + little(part) + (1n << BigInt(8 * part.length))) * r) % ((1n << 130n) - 5n);
  }
  const tag = (sum + little(key.subarray(16, 32))) & ((1n << 128n) - 1n);
  return Buffer.from(tag.toString(16).padStart(32, "0"), "hex").reverse().toString("hex");
}
