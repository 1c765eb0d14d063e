// Payloads as JSON, and those that come again.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodePayload, PayloadReader, parsePayload } from "../../src/wire/payload.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "utf8");

/** What became of a payload: its JSON, or what was said against it. */
function outcome(read: (payload: Uint8Array) => object, payload: Uint8Array): unknown {
  try {
    return read(payload);
  } catch (thrown) {
    return String(thrown);
  }
}

describe("RFC 8259: a payload", () => {
  test.each(["", "1", "[]", "null", '"{}"', "{", "{}x", "{'a':1}"])("that is %j is refused", (text) => {
    expect(() => parsePayload(bytes(text))).toThrow(/not JSON in UTF-8|not a JSON object/);
  });

  test("that is no UTF-8 is refused", () => {
    expect(() => parsePayload(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d))).toThrow("not JSON in UTF-8");
  });
});

describe("a reader of the payloads of one connection", () => {
  test("reads whatever comes, in any order and again, as it is read by itself", () => {
    const payload = fc.oneof(
      fc.object({ maxDepth: 1 }).map((json) => encodePayload(json)),
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(bytes("{}"), bytes('{"a":1}'), bytes('{"a":2}'), bytes(`{"long":"${"x".repeat(600)}"}`)),
    );
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 8 }), fc.array(fc.nat(7)), (payloads, order) => {
        const reader = new PayloadReader();
        for (const at of order) {
          const one = payloads[at];
          if (one === undefined) continue;
          expect(outcome((it) => reader.read(it), Uint8Array.from(one))).toEqual(outcome(parsePayload, one));
        }
      }),
    );
  });

  test("remembers the bytes and not the memory that they write in, which is lent", () => {
    const reader = new PayloadReader();
    const lent = bytes('{"a":1}');
    const first = reader.read(lent);
    lent.set(bytes('{"a":2}'));
    expect(reader.read(lent)).toEqual({ a: 2 });
    expect(first).toEqual({ a: 1 });
  });

  test("parses what comes again only once, unless it is long", () => {
    const reader = new PayloadReader();
    const long = bytes(`{"a":"${"x".repeat(600)}"}`);
    expect(reader.read(bytes('{"a":1}'))).toBe(reader.read(bytes('{"a":1}')));
    expect(reader.read(long)).not.toBe(reader.read(long));
    expect(reader.read(bytes('{"a":1}'))).toEqual({ a: 1 });
  });
});
