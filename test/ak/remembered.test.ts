// Requests that are remembered: whatever comes, in any order, is read as it would be by itself.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AK } from "../../src/ak/messages.ts";
import { Remembered, RememberedFetch } from "../../src/ak/remembered.ts";
import { fetchRequest } from "../../src/ak/request.ts";
import { appId } from "../../src/core/ids.ts";
import { check } from "../../src/wire/message.ts";
import { encodePayload, parsePayload } from "../../src/wire/payload.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "utf8");

/** What comes out of it, or the sentence of what it throws. */
function outcome(read: (payload: Uint8Array) => unknown, payload: Uint8Array): unknown {
  try {
    return read(payload);
  } catch (thrown) {
    return String(thrown);
  }
}

describe("requests for new keys", () => {
  test("are read whatever comes, in any order and again, as by themselves", () => {
    const payload = fc.oneof(
      fc.object({ maxDepth: 1 }).map((json) => encodePayload(json)),
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(bytes("{}"), bytes('{"a":1}'), bytes('{"a":2}'), bytes(`{"long":"${"x".repeat(600)}"}`)),
    );
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 8 }), fc.array(fc.nat(7)), (payloads, order) => {
        const remembered = new Remembered(parsePayload);
        for (const at of order) {
          const one = payloads[at];
          if (one === undefined) continue;
          expect(outcome((it) => remembered.of(it), Uint8Array.from(one))).toEqual(outcome(parsePayload, one));
        }
      }),
    );
  });

  test("are remembered by their bytes and not by the memory that they came in, which is lent", () => {
    const remembered = new Remembered(parsePayload);
    const lent = bytes('{"a":1}');
    const first = remembered.of(lent);
    lent.set(bytes('{"a":2}'));
    expect(remembered.of(lent)).toEqual({ a: 2 });
    expect(first).toEqual({ a: 1 });
  });

  test("are read once each when a few take turns, unless they are long", () => {
    const read: string[] = [];
    const remembered = new Remembered((payload) => read.push(Buffer.from(payload).toString()));
    const turns = ["a", "b", "c", "d"].map(bytes);
    for (let turn = 0; turn < 3; turn++) for (const payload of turns) remembered.of(payload);
    expect(read).toEqual(["a", "b", "c", "d"]);
    const long = bytes("x".repeat(600));
    remembered.of(long);
    remembered.of(long);
    expect(read).toHaveLength(6);
  });
});

const ID = "0123abcd-0123-8123-8123-0123456789ab";
const OTHER = "ffffffff-ffff-8fff-8fff-ffffffffffff";
const readFetch = (payload: Uint8Array) =>
  fetchRequest(appId("app-b1"), check(AK.keyRequestWithId, parsePayload(payload)));
const fetchOf = (id: string, more = ""): string =>
  `{"application_source_ID":"app-a1","key_IDs":[{"key_ID":"${id}"}]${more}}`;

describe("requests for one key by its ID", () => {
  test("are read once, and each has its own ID", () => {
    let reads = 0;
    const remembered = new RememberedFetch((payload) => {
      reads++;
      return readFetch(payload);
    });
    remembered.of(bytes(fetchOf(ID)));
    const before = reads;
    expect(remembered.of(bytes(fetchOf(OTHER))).keyIds).toEqual([OTHER]);
    expect(remembered.of(bytes(fetchOf(OTHER.toUpperCase()))).keyIds).toEqual([OTHER.toUpperCase()]);
    expect(remembered.of(bytes(fetchOf(ID))).keyIds).toEqual([ID]);
    expect(reads).toBe(before);
  });

  test.each([
    ["stands elsewhere, too", fetchOf(ID, `,"application_name":"${ID}"`)],
    ["is spelt with escapes", fetchOf(`\\u0030${ID.slice(1)}`, `,"application_name":"${ID}"`)],
    ["is overridden by a later one", `{"key_IDs":[{"key_ID":"${ID}"}],${fetchOf(ID).slice(1)}`],
    ["is one of two", fetchOf(`${ID}"},{"key_ID":"${OTHER}`)],
  ])("are read as by themselves when the ID %s", (_what, payload) => {
    const remembered = new RememberedFetch(readFetch);
    for (const text of [payload, payload.replace(ID, OTHER), payload.replaceAll(ID, OTHER), payload]) {
      expect(remembered.of(bytes(text))).toEqual(readFetch(bytes(text)));
    }
  });

  test("are read as by themselves whatever bytes are changed", () => {
    const change = fc.record({ at: fc.nat(200), to: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 3 }), { minLength: 1, maxLength: 6 }), (rounds) => {
        const remembered = new RememberedFetch(readFetch);
        for (const changes of [[], ...rounds]) {
          const payload = bytes(fetchOf(ID));
          for (const { at, to } of changes) payload[at % payload.length] = to;
          expect(outcome((it) => remembered.of(it), payload)).toEqual(outcome(readFetch, payload));
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
