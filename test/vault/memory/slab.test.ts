// Tests of the slab: pools, turns, zeroed slots.

import { describe, expect, test } from "vitest";
import { SLOT_MARGIN, Slab } from "../../../src/vault/memory/slab.ts";
import { settled } from "../../support/manual-clock.ts";
import { BLOCK_BYTES, id, isWhole, keep, OPTIONS, openBench, readyBench } from "../harness.ts";

const slabOf = (slots: number) => {
  const region = new Uint8Array(slots * (64 + SLOT_MARGIN) + 5);
  return { region, slab: new Slab(region, 64) };
};
const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);

describe("a slab", () => {
  test("has as many slots as fit its region, with room for a token's tag, and wants at least four", () => {
    const { slab } = slabOf(7);
    expect([slab.all, slab.free, slab.slotBytes]).toEqual([7, 7, 128]);
    expect(() => slabOf(3)).toThrow("give it at least four");
  });

  test("hands each slot out once, zeroes it when it comes back, and serves who waits in turn", async () => {
    const { region, slab } = slabOf(4);
    const slots = await Promise.all(Array.from({ length: 4 }, () => slab.acquire()));
    expect(new Set(slots.map((slot) => slot.byteOffset)).size).toBe(4);
    for (const slot of slots) slot.fill(7);
    const order: number[] = [];
    const later = [1, 2].map(async (turn) => {
      const slot = await slab.acquire();
      order.push(turn);
      return slot;
    });
    await settled();
    expect([order, slab.waiting]).toEqual([[], 2]);
    for (const slot of slots.slice(0, 2)) slab.release(slot);
    const reused = await Promise.all(later);
    expect(order).toEqual([1, 2]);
    expect(reused.every(isZero)).toBe(true);
    for (const slot of [...slots.slice(2), ...reused]) slab.release(slot);
    expect(isZero(region)).toBe(true);
    expect(slab.free).toBe(4);
  });

  test("a newcomer does not overtake who waits", async () => {
    const { slab } = slabOf(4);
    const slots = await Promise.all(Array.from({ length: 4 }, () => slab.acquire()));
    const order: string[] = [];
    void slab.acquire().then(() => order.push("waiting"));
    const [first] = slots;
    if (first === undefined) throw new Error("there are slots");
    slab.release(first);
    void slab.acquire().then(() => order.push("newcomer"));
    await settled();
    expect(order).toEqual(["waiting"]);
  });

  test("a pool gives its slots to its driver alone, and gets them back zeroed", async () => {
    const { region, slab } = slabOf(6);
    const pool = slab.pool(2, 32);
    const [one, two] = [pool.take(), pool.take()];
    expect(slab.lentByPools).toBe(2);
    expect([one?.length, two?.length]).toEqual([32, 32]);
    expect(pool.take()).toBeUndefined();
    expect(slab.free).toBe(4);
    one?.lend((bytes) => bytes.fill(9));
    one?.[Symbol.dispose]();
    one?.[Symbol.dispose]();
    expect(isZero(region)).toBe(true);
    expect(pool.take()?.length).toBe(32);
    expect(pool.take()).toBeUndefined();
    await Promise.all(Array.from({ length: 4 }, () => slab.acquire()));
    two?.[Symbol.dispose]();
    expect(pool.take()).toBeDefined();
  });

  test("a pool that would leave fewer than two slots for open blocks is refused, and so is a block larger than a slot", () => {
    const { slab } = slabOf(6);
    expect(() => slab.pool(5, 64)).toThrow("make it larger");
    expect(() => slab.pool(1, 65)).toThrow(RangeError);
    expect(slab.free).toBe(6);
  });

  test("refuses who waits and who comes when it closes", async () => {
    const { slab } = slabOf(4);
    await Promise.all(Array.from({ length: 4 }, () => slab.acquire()));
    const waiting = slab.acquire();
    slab.close();
    await expect(waiting).rejects.toMatchObject({ code: "STOPPING" });
    await expect(slab.acquire()).rejects.toMatchObject({ code: "STOPPING" });
  });
});

describe("open blocks in the slab", () => {
  test("the least recently used is dropped when a slot is needed, a pinned one never", async () => {
    // One slot is the rotation's: five are for open blocks.
    await using bench = await readyBench({ options: { slabBytes: 6 * (BLOCK_BYTES + 64) } });
    await keep(bench.vault, "a", "b", "c", "d", "e", "f", "g");
    using pinned = await bench.vault.open(id("a"));
    for (const name of ["b", "c", "d", "e"]) (await bench.vault.open(id(name)))[Symbol.dispose]();
    bench.vault.cached(id("b"))?.[Symbol.dispose]();
    for (const name of ["f", "g"]) (await bench.vault.open(id(name)))[Symbol.dispose]();
    const cached = ["a", "b", "c", "d", "e", "f", "g"].filter((name) => {
      using here = bench.vault.cached(id(name));
      return here !== undefined;
    });
    expect(cached).toEqual(["a", "b", "e", "f", "g"]);
    expect(pinned.length).toBe(BLOCK_BYTES);
  });

  test("who needs a slot waits until one is given up, in turn", async () => {
    await using bench = await readyBench({ options: { slabBytes: 4 * (BLOCK_BYTES + 64) } });
    await keep(bench.vault, "a", "b", "c", "d", "e");
    const opens = await Promise.all(["a", "b", "c"].map((name) => bench.vault.open(id(name))));
    expect(bench.vault.health().slots).toEqual({ all: 4, pinned: 3, intake: 0 });
    const order: string[] = [];
    const later = ["d", "e"].map(async (name) => {
      const open = await bench.vault.open(id(name));
      order.push(name);
      return open;
    });
    await settled();
    expect(order).toEqual([]);
    for (const open of opens) open[Symbol.dispose]();
    for (const open of await Promise.all(later)) open[Symbol.dispose]();
    expect(order).toEqual(["d", "e"]);
    expect(bench.vault.health().slots.pinned).toBe(0);
  });

  test("a record that cannot be opened gives its slot back to who waits", async () => {
    await using bench = await readyBench({ options: { slabBytes: 4 * (BLOCK_BYTES + 64) } });
    await keep(bench.vault, "a");
    for (let round = 0; round < 20; round += 1) {
      await expect(bench.vault.open(id("nobody"))).rejects.toThrow("no block nobody");
    }
    expect(await isWhole(bench.vault, "a")).toBe(true);
  });

  test("a slot of a pool counts as intake while its driver uses it, and never as pinned", async () => {
    await using bench = await readyBench();
    const pool = bench.vault.pool(3, 1024);
    expect(bench.vault.health().slots).toMatchObject({ pinned: 0, intake: 0 });
    using key = pool.take();
    key?.lend((bytes) => bytes.fill(5));
    expect(key?.length).toBe(1024);
    expect(bench.vault.health().slots).toMatchObject({ pinned: 0, intake: 1 });
    if (key === undefined) throw new Error("the pool is full");
    await bench.vault
      .change()
      .keep(await bench.vault.seal(id("link:ab:1:0"), key))
      .commit();
    using open = await bench.vault.open(id("link:ab:1:0"));
    expect(open.length).toBe(1024);
  });
});

test("key-ID keys beyond the number configured are refused with STORE_FULL, and places come back", async () => {
  await using bench = await readyBench({ options: { keyIdKeys: 2 } });
  await keep(bench.vault, "a");
  using open = await bench.vault.open(id("a"));
  const keys = [await open.keyIdKey(), await open.keyIdKey()];
  await expect(open.keyIdKey()).rejects.toMatchObject({ code: "STORE_FULL" });
  keys[0]?.key[Symbol.dispose]();
  keys[0]?.key[Symbol.dispose]();
  using again = (await open.keyIdKey()).key;
  await expect(open.keyIdKey()).rejects.toMatchObject({ code: "STORE_FULL" });
  keys[1]?.key[Symbol.dispose]();
  expect(again).toBeDefined();
});

test("a slab too small for its blocks is refused at the start with the remedy", async () => {
  await expect(openBench({ options: { slabBytes: OPTIONS.blockBytes } })).rejects.toThrow("give it at least four");
});
