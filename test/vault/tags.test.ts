// Tests of the tags against published vectors, and of how open blocks apply them.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeT } from "../../src/core/text/encoding.ts";
import { blake2b128, POLY1305_STATE_BYTES, poly1305 } from "../../src/vault/tags.ts";
import { slowPoly1305 } from "../support/slow-poly1305.ts";
import { id, keep, keyOf, readyBench } from "./harness.ts";

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

describe("Poly1305", () => {
  test("RFC 8439 2.5.2: the vector, however it is cut in two, and its state is zero after", () => {
    const key = hex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b");
    const message = new Uint8Array(Buffer.from("Cryptographic Forum Research Group"));
    const state = new Uint8Array(POLY1305_STATE_BYTES);
    for (let cut = 0; cut <= message.length; cut += 1) {
      const tag = poly1305(state, key, message.subarray(0, cut), message.subarray(cut));
      expect(toHex(tag)).toBe("a8061dc1305136c6c22b8baf0c0127a9");
    }
    expect(state).toEqual(new Uint8Array(POLY1305_STATE_BYTES));
  });

  test("agrees with the arithmetic of RFC 8439 on any key and message", () => {
    const state = new Uint8Array(POLY1305_STATE_BYTES);
    const bytes = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), bytes, bytes, (key, context, body) => {
        const whole = new Uint8Array([...context, ...body]);
        expect(toHex(poly1305(state, key, context, body))).toBe(slowPoly1305(key, whole));
      }),
    );
  });
});

describe("BLAKE2b-128", () => {
  test("RFC 7693 2.9: keyed tags agree with the definition, key padded to one block of input", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ maxLength: 300 }),
        (key, message) => {
          const tag = new Uint8Array(16);
          blake2b128(key, message, tag);
          expect(toHex(tag)).toBe(slowBlake2b128(key, message));
        },
      ),
      { numRuns: 50 },
    );
  });

  test("is written only to 16 bytes", () => {
    expect(() => blake2b128(new Uint8Array(32), new Uint8Array(1), new Uint8Array(15))).toThrow(RangeError);
  });
});

describe("key-protocol 2: the parts of a block", () => {
  const context = encodeT("qkm link", "anything");

  test("the hop tag is keyed by bytes 0 to 31, over the context and bytes 32 to the end", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "kma:1");
    using open = await bench.vault.open(id("kma:1"));
    const bytes = keyOf("kma:1");
    const message = new Uint8Array([...context, ...bytes.subarray(32)]);
    expect(toHex(open.hopTag(context))).toBe(slowPoly1305(bytes.subarray(0, 32), message));
  });

  test("the end-to-end tag is keyed by bytes 32 to 63, over the context and bytes 64 to the end", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "kma:1");
    using open = await bench.vault.open(id("kma:1"));
    const bytes = keyOf("kma:1");
    const message = new Uint8Array([...context, ...bytes.subarray(64)]);
    expect(toHex(open.endTag(context))).toBe(slowPoly1305(bytes.subarray(32, 64), message));
  });

  test("the key-ID key is bytes 64 to 95", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "kma:1");
    using open = await bench.vault.open(id("kma:1"));
    const { key } = await open.keyIdKey();
    const tag = new Uint8Array(16);
    key.tag(context, tag);
    expect(toHex(tag)).toBe(slowBlake2b128(keyOf("kma:1").subarray(64, 96), context));
    key[Symbol.dispose]();
    expect(() => key.tag(context, tag)).toThrow("after it was disposed");
  });

  test("a block too short to have these parts has no tags", async () => {
    await using bench = await readyBench();
    const change = bench.vault.change();
    for (const sealed of await bench.vault.generate([id("short")], 95)) change.keep(sealed);
    await change.commit();
    using open = await bench.vault.open(id("short"));
    expect(() => open.hopTag(context)).toThrow(RangeError);
    expect(() => open.endTag(context)).toThrow(RangeError);
    await expect(open.keyIdKey()).rejects.toThrow(RangeError);
  });
});

const MASK = (1n << 64n) - 1n;
const IV = [
  0x6a09e667f3bcc908n,
  0xbb67ae8584caa73bn,
  0x3c6ef372fe94f82bn,
  0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n,
  0x9b05688c2b3e6c1fn,
  0x1f83d9abfb41bd6bn,
  0x5be0cd19137e2179n,
];
const SIGMA = [
  "0123456789abcdef",
  "ea489fd61c02b753",
  "b8c052fdae367194",
  "7931dcbe265a40f8",
  "905724afe1bc683d",
  "2c6a0b834d75fe19",
  "c51fed4a0763928b",
  "db7ec13950f4862a",
  "6fe9b308c2d714a5",
  "a2847615fb9e3cd0",
  "0123456789abcdef",
  "ea489fd61c02b753",
];
const QUARTERS = ["048c", "159d", "26ae", "37bf", "05af", "16bc", "278d", "349e"];

/** BLAKE2b with a key of 32 bytes and a tag of 16, as RFC 7693 3 words it, with big integers. */
function slowBlake2b128(key: Uint8Array, message: Uint8Array): string {
  const input = new Uint8Array(128 + message.length);
  input.set(key);
  input.set(message, 128);
  const state = [...IV];
  state[0] = (state[0] ?? 0n) ^ 0x01010000n ^ (32n << 8n) ^ 16n;
  for (let at = 0; at < input.length; at += 128) {
    const block = new Uint8Array(128);
    block.set(input.subarray(at, at + 128));
    compress(state, block, Math.min(at + 128, input.length), at + 128 >= input.length);
  }
  return toHex(new Uint8Array(new BigUint64Array(state).buffer).subarray(0, 16));
}

function compress(state: bigint[], block: Uint8Array, counted: number, last: boolean): void {
  const words = new BigUint64Array(block.buffer);
  const v = [...state, ...IV];
  v[12] = (v[12] ?? 0n) ^ BigInt(counted);
  if (last) v[14] = (v[14] ?? 0n) ^ MASK;
  const turned = (value: bigint, bits: bigint) => ((value >> bits) | (value << (64n - bits))) & MASK;
  for (const row of SIGMA) {
    const order = [...row].map((digit) => words[Number.parseInt(digit, 16)] ?? 0n);
    for (const [at, quarter] of QUARTERS.entries()) {
      const [a = 0, b = 0, c = 0, d = 0] = [...quarter].map((digit) => Number.parseInt(digit, 16));
      const get = (index: number) => v[index] ?? 0n;
      for (const [word, first, second] of [
        [order[2 * at] ?? 0n, 32n, 24n],
        [order[2 * at + 1] ?? 0n, 16n, 63n],
      ] as const) {
        v[a] = (get(a) + get(b) + word) & MASK;
        v[d] = turned(get(d) ^ get(a), first);
        v[c] = (get(c) + get(d)) & MASK;
        v[b] = turned(get(b) ^ get(c), second);
      }
    }
  }
  for (let index = 0; index < 8; index += 1) {
    state[index] = (state[index] ?? 0n) ^ (v[index] ?? 0n) ^ (v[index + 8] ?? 0n);
  }
}
