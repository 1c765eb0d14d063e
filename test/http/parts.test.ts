// Tests of src/http/parts.ts: memory for answers is lent, waited for, and comes back zero.

import { describe, expect, it } from "vitest";
import { type Part, Parts } from "../../src/http/parts.ts";

const PART = 65_536;

/** Asks for `count` parts; those lent so far, in order. */
function ask(parts: Parts, count: number): Part[] {
  const lent: Part[] = [];
  for (let i = 0; i < count; i++) parts.take((part) => lent.push(part));
  return lent;
}

describe("parts of the memory", () => {
  it("do not overlap, and lie in the memory given", () => {
    const memory = new Uint8Array(4 * PART);
    const lent = ask(new Parts(memory), 4);
    for (const [i, part] of lent.entries()) part.bytes.fill(i + 1);
    expect(new Set(lent.map((part) => part.bytes.byteOffset)).size).toBe(4);
    for (const value of [1, 2, 3, 4]) expect(memory.filter((byte) => byte === value).length).toBe(PART);
  });

  it("are waited for in the order asked when all are lent", () => {
    const parts = new Parts(new Uint8Array(2 * PART));
    const order: number[] = [];
    const lent: Part[] = [];
    for (let i = 0; i < 6; i++) {
      parts.take((part) => {
        order.push(i);
        lent.push(part);
      });
    }
    expect(order).toEqual([0, 1]);
    for (let i = 0; i < 4; i++) lent[i]?.release(0);
    expect(order).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it("are zero when they are lent again", () => {
    const parts = new Parts(new Uint8Array(PART));
    const [first, second] = [ask(parts, 1), ask(parts, 1)];
    first[0]?.bytes.fill(0xaa, 0, 1000);
    first[0]?.release(1000);
    expect(second[0]?.bytes.every((byte) => byte === 0)).toBe(true);
  });

  it("serve ten thousand that wait and release at once without growing the stack", () => {
    const parts = new Parts(new Uint8Array(PART));
    const [first] = ask(parts, 1);
    let served = 0;
    for (let i = 0; i < 10_000; i++) {
      parts.take((part) => {
        served += 1;
        part.release(0);
      });
    }
    first?.release(0);
    expect(served).toBe(10_000);
  });

  it("need room for a head and the largest key", () => {
    expect(() => new Parts(new Uint8Array(8191))).toThrow(RangeError);
    expect(ask(new Parts(new Uint8Array(8192)), 1)[0]?.bytes.length).toBe(8192);
  });
});
