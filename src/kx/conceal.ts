// Keeps key bytes out of JavaScript strings: a `key` in a payload is overwritten before the payload becomes text.

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const ASTERISK = 0x2a;
const KEY = Buffer.from('"key"');

/** Overwrites, in place, the value of every string member called `key`: JSON stays JSON, and empty stays empty. */
export function concealKeys(payload: Uint8Array): void {
  let at = 0;
  while (at < payload.length) {
    if (payload[at] !== QUOTE) {
      at += 1;
      continue;
    }
    const end = stringEnd(payload, at);
    const value = valueAfter(payload, end);
    if (value === undefined || payload[value] !== QUOTE || !isKey(payload.subarray(at, end))) {
      at = end;
      continue;
    }
    at = stringEnd(payload, value);
    payload.fill(ASTERISK, value + 1, at - 1);
  }
}

/** The position behind the string that begins at `start`. */
function stringEnd(payload: Uint8Array, start: number): number {
  for (let at = start + 1; at < payload.length; at += 1) {
    if (payload[at] === QUOTE) return at + 1;
    if (payload[at] === BACKSLASH) at += 1;
  }
  return payload.length;
}

/** Where the value begins if the string that ends at `end` is a member's name. */
function valueAfter(payload: Uint8Array, end: number): number | undefined {
  const colon = skipSpace(payload, end);
  return payload[colon] === COLON ? skipSpace(payload, colon + 1) : undefined;
}

function skipSpace(payload: Uint8Array, start: number): number {
  let at = start;
  while (at < payload.length && (payload[at] ?? 0) <= 0x20) at += 1;
  return at;
}

function isKey(name: Uint8Array): boolean {
  if (!name.includes(BACKSLASH)) return KEY.equals(name);
  try {
    return JSON.parse(Buffer.from(name).toString("utf8")) === "key";
  } catch {
    return false;
  }
}
