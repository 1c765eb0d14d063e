// The JSON of a message that carries keys, read so that no key byte becomes part of a string.

import { FrameError } from "./frame.ts";
import { parseObject } from "./payload.ts";

/** A payload whose `keys[i].key` (or `value`) are empty strings in `json`, and their base64 letters in `keys`. */
export interface KeyPayload {
  readonly json: object;
  /** For each entry of `keys` in its order a view of the payload, lent as the payload is; empty where there is no key. */
  readonly keys: readonly Uint8Array[];
}

/**
 * Reads the payload of a message with `keys`. Slashes that were escaped in base64 are unescaped in the payload itself.
 * @param member what an entry calls its key: `value` in ETSI GS QKD 020
 * @throws FrameError json when it is not a JSON object, or has escapes or repetitions where its keys are named
 */
export function parseKeyPayload(bytes: Uint8Array, member: "key" | "value" = "key"): KeyPayload {
  const payload = BYTE_ORDER_MARK.every((byte, at) => bytes[at] === byte) ? bytes.subarray(3) : bytes;
  const ranges = new Scanner(payload, member).root();
  const json = parseObject(() => textAround(payload, ranges));
  return { json, keys: ranges.map(({ start, end }) => unescaped(payload.subarray(start, end))) };
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Passed over, as in all payloads. */
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;
const NOWHERE: Span = { start: 0, end: 0 };
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SLASH = 0x2f;
const COMMA = 0x2c;
const COLON = 0x3a;
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY] = [0x7b, 0x7d, 0x5b, 0x5d];
const SPACES: ReadonlySet<number | undefined> = new Set([0x20, 0x09, 0x0a, 0x0d]);
const ENDS: ReadonlySet<number | undefined> = new Set([COMMA, CLOSE_OBJECT, CLOSE_ARRAY, ...SPACES]);

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The payload's text without the ranges: pieces end at quotes, so UTF-8 is never cut. */
function textAround(payload: Uint8Array, ranges: readonly Span[]): string {
  let text = "";
  let at = 0;
  for (const { start, end } of ranges) {
    if (end === 0) continue;
    text += utf8.decode(payload.subarray(at, start));
    at = end;
  }
  return text + utf8.decode(payload.subarray(at));
}

function unescaped(letters: Uint8Array): Uint8Array {
  if (!letters.includes(BACKSLASH)) return letters;
  let to = 0;
  for (const [from, letter] of letters.entries()) {
    if (letter === BACKSLASH && letters[from + 1] === SLASH) continue;
    letters[to++] = letter;
  }
  return letters.fill(0, to).subarray(0, to);
}

/** Finds `keys[i].key` (or `value`) in JSON. What it does not look at, JSON.parse checks afterwards. */
class Scanner {
  readonly #bytes: Uint8Array;
  readonly #member: string;
  #at = 0;

  constructor(bytes: Uint8Array, member: string) {
    this.#bytes = bytes;
    this.#member = member;
  }

  /** The contents of the key of each entry of the root's `keys`. */
  root(): readonly Span[] {
    let found: readonly Span[] | undefined;
    this.#members((name) => {
      if (name !== "keys") return this.#skip();
      if (found !== undefined) throw broken("keys is there twice");
      found = this.#peek() === OPEN_ARRAY ? this.#entries() : (this.#skip() ?? []);
    });
    return found ?? [];
  }

  #entries(): readonly Span[] {
    const spans: Span[] = [];
    this.#list(OPEN_ARRAY, CLOSE_ARRAY, () => {
      if (this.#peek() === OPEN_OBJECT) spans.push(this.#entry());
      else {
        this.#skip();
        spans.push(NOWHERE);
      }
    });
    return spans;
  }

  #entry(): Span {
    let found: Span | undefined;
    this.#members((name) => {
      if (name !== this.#member) return this.#skip();
      if (found !== undefined) throw broken("an entry has two keys");
      if (this.#peek() === QUOTE) found = this.#string();
      else {
        this.#skip();
        found = NOWHERE;
      }
    });
    return found ?? NOWHERE;
  }

  #members(onValue: (name: string) => void): void {
    this.#list(OPEN_OBJECT, CLOSE_OBJECT, () => {
      if (this.#peek() !== QUOTE) throw broken("a name is missing");
      const { start, end } = this.#string();
      const name = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, end - start).toString("latin1");
      if (name.includes("\\")) throw broken("a name is escaped");
      this.#expect(COLON);
      onValue(name);
    });
  }

  #list(open: number, close: number, onItem: () => void): void {
    this.#expect(open);
    if (this.#peek() === close) {
      this.#at += 1;
      return;
    }
    for (;;) {
      onItem();
      if (this.#peek() === close) break;
      this.#expect(COMMA);
    }
    this.#at += 1;
  }

  /** Reads a string; its span is without the quotes. */
  #string(): Span {
    const start = this.#at + 1;
    let end = this.#bytes.indexOf(QUOTE, start);
    while (end >= 0 && this.#isEscaped(start, end)) end = this.#bytes.indexOf(QUOTE, end + 1);
    if (end < 0) throw broken("a string has no end");
    this.#at = end + 1;
    return { start, end };
  }

  /** Whether backslashes in odd number stand before a quote of the string that begins at `start`. */
  #isEscaped(start: number, quote: number): boolean {
    let at = quote;
    while (at > start && this.#bytes[at - 1] === BACKSLASH) at -= 1;
    return (quote - at) % 2 === 1;
  }

  /** Passes over one value, whatever it is. */
  #skip(): undefined {
    let depth = 0;
    do {
      const first = this.#peek();
      if (first === QUOTE) this.#string();
      else if (first === OPEN_OBJECT || first === OPEN_ARRAY) this.#step(++depth);
      else if (first === CLOSE_OBJECT || first === CLOSE_ARRAY) this.#step(--depth);
      else if (first === COMMA || first === COLON) this.#step(depth);
      else this.#word();
      if (this.#at >= this.#bytes.length) throw broken("it has no end");
    } while (depth > 0);
  }

  /** One byte of structure, which does not belong outside of brackets. */
  #step(depth: number): void {
    if (depth < 0) throw broken("a value is missing");
    this.#at += 1;
  }

  #word(): void {
    while (this.#at < this.#bytes.length && !ENDS.has(this.#bytes[this.#at])) this.#at += 1;
  }

  #expect(byte: number): void {
    if (this.#peek() !== byte) throw broken(`${String.fromCharCode(byte)} is missing`);
    this.#at += 1;
  }

  #peek(): number | undefined {
    while (SPACES.has(this.#bytes[this.#at])) this.#at += 1;
    return this.#bytes[this.#at];
  }
}

const broken = (what: string): FrameError => new FrameError("json", `the payload is no JSON object with keys: ${what}`);
