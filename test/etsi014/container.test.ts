// Tests of src/etsi014/container.ts: the bytes of an answer, byte for byte.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { containerBytes, keyBytes, writeEntry } from "../../src/etsi014/container.ts";
import { Head } from "../../src/http/head.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { fakeGrant, fakeId, fakeKey } from "./fake-door.ts";

const written = (sizes: readonly number[]): Buffer => {
  const grant = fakeGrant(sizes);
  const target = Buffer.alloc(containerBytes(grant));
  let end = 0;
  for (let i = 0; i < grant.count; i++) end = writeEntry(grant, i, target, end);
  expect(end).toBe(target.length);
  return target;
};

describe("a key container", () => {
  it("6.3: has exactly these bytes", () => {
    const key = fakeKey(0, 8).toString("base64");
    expect(written([8]).toString()).toBe(`{"keys":[{"key_ID":"${fakeId(0)}","key":"${key}"}]}`);
  });

  it("6.3: is the JSON of its keys, and as long as foretold, whatever their number and sizes", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4088 }), { minLength: 1, maxLength: 20 }), (sizes) => {
        const keys = sizes.map((size, i) => ({ key_ID: fakeId(i), key: fakeKey(i, size).toString("base64") }));
        expect(written(sizes).toString()).toBe(JSON.stringify({ keys }));
        const grant = fakeGrant(sizes);
        expect(sizes.reduce((sum, _, i) => sum + keyBytes(grant, i), 0)).toBe(containerBytes(grant));
      }),
      { numRuns: 50 },
    );
  });

  it("6.3: is as long as foretold when IDs are those of another make", () => {
    const ids = ["k", "x".repeat(256)];
    const grant = {
      ...fakeGrant([8, 16]),
      idBytes: (index: number) => ids[index]?.length ?? 0,
      writeId: (index: number, target: Uint8Array, at: number) => at + Buffer.from(ids[index] ?? "").copy(target, at),
    };
    const target = Buffer.alloc(containerBytes(grant));
    expect(writeEntry(grant, 1, target, writeEntry(grant, 0, target, 0))).toBe(target.length);
    const keys = ids.map((key_ID, i) => ({ key_ID, key: fakeKey(i, 8 * (i + 1)).toString("base64") }));
    expect(target.toString()).toBe(JSON.stringify({ keys }));
  });
});

describe("a head", () => {
  it("has the length, the date of this second, and whether the connection stays", () => {
    const clock = new ManualClock(0, Date.UTC(2026, 10, 22, 8, 49, 37));
    const head = new Head(clock, 60_000);
    const text = (keepAlive: boolean) => {
      const target = Buffer.alloc(500);
      return target.toString("latin1", 0, head.write(target, 1234, keepAlive));
    };
    expect(text(true)).toBe(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nConnection: keep-alive\r\n" +
        "Keep-Alive: timeout=60\r\nDate: Sun, 22 Nov 2026 08:49:37 GMT\r\nContent-Length: 1234\r\n\r\n",
    );
    clock.advance(1000);
    expect(text(false)).toContain("Connection: close\r\nDate: Sun, 22 Nov 2026 08:49:38 GMT\r\n");
  });
});
