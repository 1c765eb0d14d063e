// Tests of the vault as a whole: seal, open, tag, emit, commit, on a model token and a memory disk.

import { describe, expect, test } from "vitest";
import { secretOf } from "../../src/core/memory/secret.ts";
import type { Sealed } from "../../src/vault/vault.ts";
import { settled } from "../support/manual-clock.ts";
import { makeModelToken } from "../support/model-token.ts";
import { BLOCK_BYTES, id, isWhole, keep, keyOf, readyBench, tableOf, take } from "./harness.ts";

describe.each(["direct", "envelope"] as const)("a vault in %s mode", (mode) => {
  const options = { mode };

  test("gives back what was sealed, now and after a restart", async () => {
    const { token, disk } = await readyBench({ options }).then(async (bench) => {
      await keep(bench.vault, "link:ab:1:0", "link:ab:1:1");
      expect(await isWhole(bench.vault, "link:ab:1:0")).toBe(true);
      await bench.close();
      return bench;
    });
    await using again = await readyBench({ options, token, disk });
    expect([...again.vault.blocks()].sort()).toEqual(["link:ab:1:0", "link:ab:1:1"]);
    expect(await isWhole(again.vault, "link:ab:1:0")).toBe(true);
    expect(await isWhole(again.vault, "link:ab:1:1")).toBe(true);
  });

  test("makes blocks from the token's generator, of any length up to the largest", async () => {
    let drawn = 0;
    const token = makeModelToken({ random: (bytes) => void bytes.fill(++drawn) });
    await using bench = await readyBench({ options, token });
    const before = drawn;
    for (const length of [1, 100, BLOCK_BYTES]) {
      const names = [id(`local:source:${length}`), id(`local:destination:${length}`)];
      const change = bench.vault.change();
      for (const sealed of await bench.vault.generate(names, length)) {
        expect(sealed.bytes).toBe(length);
        change.keep(sealed);
      }
      await change.commit();
      const [source, destination] = await Promise.all(names.map((name) => bench.vault.open(name)));
      using both = new DisposableStack();
      for (const open of [source, destination]) if (open !== undefined) both.use(open);
      expect(source && new Set(take(source)).size).toBe(1);
      expect(destination && take(destination)).toHaveLength(length);
    }
    expect(drawn).toBeGreaterThanOrEqual(before + 3);
    await expect(bench.vault.generate([id("local:big")], BLOCK_BYTES + 1)).rejects.toThrow(RangeError);
    await expect(bench.vault.generate([id("local:none")], 0)).rejects.toThrow(RangeError);
  });

  test("seals keys that came as base64, one behind the other, and keeps nothing of one that is none", async () => {
    await using bench = await readyBench({ options });
    const keys = [Buffer.alloc(32, 7), Buffer.alloc(1, 8), Buffer.alloc(64, 9)];
    const letters = keys.map((key) => Buffer.from(key.toString("base64"), "latin1"));
    const { sealed, lengths } = await bench.vault.sealLetters(id("whole:1"), letters);
    expect(lengths).toEqual([32, 1, 64]);
    await bench.vault.change().keep(sealed).commit();
    using open = await bench.vault.open(id("whole:1"));
    expect(take(open)).toEqual(Buffer.concat(keys));
    const { pinned } = bench.vault.health().slots;
    const broken = [...letters, Buffer.from("AA=A", "latin1")];
    await expect(bench.vault.sealLetters(id("whole:2"), broken)).rejects.toMatchObject({ code: "MALFORMED_REQUEST" });
    const long = [Buffer.alloc(4 * Math.ceil((BLOCK_BYTES + 3) / 3), "A")];
    await expect(bench.vault.sealLetters(id("whole:2"), long)).rejects.toThrow(RangeError);
    await expect(bench.vault.sealLetters(id("whole:2"), [])).rejects.toThrow(RangeError);
    expect(bench.vault.health().slots.pinned).toBe(pinned);
  });

  test("keeps key-ID keys apart from their blocks, and tags with them after a restart without opening the block", async () => {
    const tag = new Uint8Array(16);
    const { token, disk } = await readyBench({ options }).then(async (bench) => {
      await keep(bench.vault, "kma:1");
      using open = await bench.vault.open(id("kma:1"));
      const { key, sealed } = await open.keyIdKey();
      using _ = key;
      await bench.vault.change().keep(sealed).commit();
      key.tag(Buffer.from("message"), tag);
      await bench.close();
      return bench;
    });
    await using again = await readyBench({ options, token, disk });
    using key = await again.vault.keyIdKey(id("kma:1"));
    const same = new Uint8Array(16);
    key.tag(Buffer.from("message"), same);
    expect(same).toEqual(tag);
    expect(again.vault.cached(id("kma:1"))).toBeUndefined();
    await expect(again.vault.keyIdKey(id("kma:2"))).rejects.toThrow("no key-id record of kma:2");
  });

  test("makes one block under several names: the same bytes, used up apart", async () => {
    await using bench = await readyBench({ options });
    const names = [id("local:1:source"), id("local:1:destination")];
    const change = bench.vault.change();
    for (const sealed of await bench.vault.generate(names, 256)) change.keep(sealed);
    await change.commit();
    const range = { offset: 128, length: 64 };
    const taken = await Promise.all(
      names.map(async (name) => {
        using open = await bench.vault.open(name);
        const bytes = take(open, range);
        expect(() => take(open, range)).toThrow("were used before");
        return bytes.toString("hex");
      }),
    );
    expect(taken[0]).toBe(taken[1]);
    expect(taken[0]).toHaveLength(128);
  });
});

describe("an open block", () => {
  test("emits the base64 of a range once: it is zero then for everyone who has the block open", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "kma:1");
    using open = await bench.vault.open(id("kma:1"));
    using other = await bench.vault.open(id("kma:1"));
    const target = new Uint8Array(100).fill(0x2e);
    const range = { offset: 96, length: 32 };
    expect(open.emit(range, target, 10)).toBe(54);
    const base64 = Buffer.from(keyOf("kma:1").subarray(96, 128)).toString("base64");
    expect(Buffer.from(target).toString("latin1")).toBe("..........".concat(base64).padEnd(100, "."));
    expect(() => other.emit(range, target, 0)).toThrow("were used before");
    expect(() => open.emit({ offset: 120, length: 16 }, target, 0)).toThrow("were used before");
    expect(take(open, { offset: 128, length: 8 })).toEqual(Buffer.from(keyOf("kma:1").subarray(128, 136)));
  });

  test("refuses a range with 8 zero bytes in a row wherever they begin: keys of other makes are not aligned", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "kma:1");
    using open = await bench.vault.open(id("kma:1"));
    const target = new Uint8Array(100);
    for (const [offset, length] of [
      [97, 9],
      [107, 12],
      [121, 32],
      [155, 8],
    ] as const) {
      open.wipe({ offset, length });
      expect(() => open.emit({ offset, length }, target, 0)).toThrow("were used before");
    }
    open.wipe({ offset: 201, length: 7 });
    expect(open.emit({ offset: 200, length: 9 }, target, 0)).toBe(12);
  });

  test("has zeros where a range was wiped, and nowhere else", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "kma:1");
    using open = await bench.vault.open(id("kma:1"));
    open.wipe({ offset: 104, length: 32 });
    expect(() => take(open, { offset: 104, length: 8 })).toThrow("used before");
    expect(take(open, { offset: 96, length: 8 })).toEqual(Buffer.from(keyOf("kma:1").subarray(96, 104)));
    expect(take(open, { offset: 136, length: 8 })).toEqual(Buffer.from(keyOf("kma:1").subarray(136, 144)));
    expect(() => open.wipe({ offset: open.length - 8, length: 16 })).toThrow(RangeError);
  });

  test("refuses ranges and targets out of bounds, and consumes nothing by that", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "kma:1");
    using open = await bench.vault.open(id("kma:1"));
    const target = new Uint8Array(64);
    for (const [offset, length, at] of [
      [BLOCK_BYTES - 8, 16, 0],
      [-8, 16, 0],
      [96, 0, 0],
      [96, -8, 0],
      [96, 48, 1],
      [96, Number.NaN, 0],
    ] as const) {
      expect(() => open.emit({ offset, length }, target, at)).toThrow(RangeError);
    }
    expect(take(open)).toEqual(Buffer.from(keyOf("kma:1")));
  });

  test("is of no use after dispose, which may come twice", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "kma:1");
    const open = await bench.vault.open(id("kma:1"));
    expect(bench.vault.health().slots.pinned).toBe(1);
    open[Symbol.dispose]();
    open[Symbol.dispose]();
    expect(bench.vault.health().slots.pinned).toBe(0);
    expect(() => open.hopTag(new Uint8Array())).toThrow("after it was disposed");
    expect(() => take(open, { offset: 0, length: 8 })).toThrow("after it was disposed");
    await expect(open.keyIdKey()).rejects.toThrow("after it was disposed");
  });

  test("stays in memory after dispose and is cached at once, until the token is gone", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "kma:1");
    expect(bench.vault.cached(id("kma:1"))).toBeUndefined();
    (await bench.vault.open(id("kma:1")))[Symbol.dispose]();
    const operations = bench.token.operations;
    using cached = bench.vault.cached(id("kma:1"));
    expect(cached?.length).toBe(BLOCK_BYTES);
    expect(bench.token.operations).toBe(operations);
    bench.token.vanish();
    await bench.clock.run(1000);
    expect(bench.vault.cached(id("kma:1"))).toBeUndefined();
  });

  test("is brought in without what is used, and left alone while it is in memory", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "kma:1", ...Array.from({ length: 20 }, (_, index) => `other:${index}`));
    const used = () => [
      { offset: 0, length: 96 },
      { offset: 200, length: 8 },
    ];
    const range = { offset: 104, length: 96 };
    const bytes = Buffer.from(keyOf("kma:1").subarray(104, 200));
    {
      using open = await bench.vault.open(id("kma:1"), used);
      expect(() => take(open, { offset: 88, length: 24 })).toThrow("used before");
      expect(() => take(open, { offset: 200, length: 8 })).toThrow("used before");
      using again = await bench.vault.open(id("kma:1"), () => [range]);
      expect(take(again, range)).toEqual(bytes);
    }
    // As the record has it until a rotation, and nobody says what is used.
    for (let index = 0; index < 20; index++) (await bench.vault.open(id(`other:${index}`)))[Symbol.dispose]();
    expect(bench.vault.cached(id("kma:1"))).toBeUndefined();
    using fresh = await bench.vault.open(id("kma:1"));
    expect(take(fresh, range)).toEqual(bytes);
  });

  test("of one block opened many times at once is unsealed once", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "kma:1");
    const operations = bench.token.operations;
    const opens = await Promise.all(Array.from({ length: 20 }, () => bench.vault.open(id("kma:1"))));
    expect(bench.token.operations).toBe(operations + 1);
    expect(bench.vault.health().slots.pinned).toBe(1);
    for (const open of opens) open[Symbol.dispose]();
    expect(bench.vault.health().slots.pinned).toBe(0);
  });
});

describe("commits", () => {
  test("rows, blocks and removals of a change are there together", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    using key = secretOf(keyOf("b"));
    const change = bench.vault.change().keep(await bench.vault.seal(id("b"), key));
    change.destroy(id("a")).put("blocks", "b", { state: "stored" });
    expect(bench.vault.has(id("b"))).toBe(false);
    await change.commit();
    expect(bench.vault.has(id("a"))).toBe(false);
    expect(bench.vault.has(id("b"))).toBe(true);
    expect(tableOf(bench.vault, "blocks")).toEqual([["b", { state: "stored" }]]);
    expect(() => change.put("blocks", "c", {})).toThrow("after its commit");
    expect(() => change.commit()).toThrow("after its commit");
  });

  test("a destroyed block cannot be opened any more, though who has it open keeps it till the end", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    const open = await bench.vault.open(id("a"));
    await bench.vault.change().destroy(id("a")).commit();
    await expect(bench.vault.open(id("a"))).rejects.toThrow("there is no block a");
    expect(bench.vault.cached(id("a"))).toBeUndefined();
    expect(take(open, { offset: 96, length: 8 })).toEqual(Buffer.from(keyOf("a").subarray(96, 104)));
    open[Symbol.dispose]();
    expect(bench.vault.health().slots.pinned).toBe(0);
    expect(bench.disk.records).toEqual([]);
  });

  test("destroy removes the key-ID key too", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    using open = await bench.vault.open(id("a"));
    const { key, sealed } = await open.keyIdKey();
    using _ = key;
    await bench.vault.change().keep(sealed).commit();
    expect(bench.disk.records).toHaveLength(2);
    await bench.vault.change().destroy(id("a")).commit();
    expect(bench.disk.records).toEqual([]);
  });

  test("a block kept and destroyed at once, before either is durable, is gone", async () => {
    await using bench = await readyBench();
    using key = secretOf(keyOf("a"));
    const kept = bench.vault
      .change()
      .keep(await bench.vault.seal(id("a"), key))
      .commit();
    await Promise.all([kept, bench.vault.change().destroy(id("a")).commit()]);
    expect(bench.vault.has(id("a"))).toBe(false);
    expect(bench.disk.records).toEqual([]);
  });

  test("a block kept again under its name replaces the one before, in memory too", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    (await bench.vault.open(id("a")))[Symbol.dispose]();
    using key = secretOf(keyOf("other"));
    await bench.vault
      .change()
      .keep(await bench.vault.seal(id("a"), key))
      .commit();
    using open = await bench.vault.open(id("a"));
    expect(take(open)).toEqual(Buffer.from(keyOf("other")));
    expect(bench.disk.records).toHaveLength(1);
  });

  test("a Sealed that the vault did not make is refused", async () => {
    await using bench = await readyBench();
    const forged = { block: id("a"), bytes: 8 } as unknown as Sealed;
    expect(() => bench.vault.change().keep(forged)).toThrow("not sealed by the vault");
  });

  test("a store that would grow beyond its size takes no more blocks, but rows and removals", async () => {
    await using bench = await readyBench({ options: { maxBytes: 3 * 8192 } });
    await keep(bench.vault, "a", "b", "c");
    await expect(keep(bench.vault, "d")).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringContaining("full"),
    });
    await bench.vault.change().put("t", "x", {}).commit();
    await bench.vault.change().destroy(id("a")).commit();
    await keep(bench.vault, "d");
    expect(bench.vault.health().store).toBe("ready");
  });
});

describe("records on the disk", () => {
  test("hold no byte of the plaintext in a row", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    const [record] = bench.disk.snapshot().records.values();
    const stored = Buffer.from(record?.record ?? []);
    for (let at = 0; at < BLOCK_BYTES; at += 8) {
      expect(stored.includes(Buffer.from(keyOf("a").subarray(at, at + 8)))).toBe(false);
    }
  });

  test.each(["direct", "envelope"] as const)("that are changed anywhere do not open (%s)", async (mode) => {
    const { token, disk } = await readyBench({ options: { mode } }).then(async (bench) => {
      await keep(bench.vault, "a");
      await bench.close();
      return bench;
    });
    const good = disk.snapshot();
    const length = [...good.records.values()][0]?.record.length ?? 0;
    for (const at of [0, 1, 2, 13, 14, 30, 60, 90, 200, length - 17, length - 1]) {
      const records = new Map(
        [...good.records].map(([name, sealed]) => {
          const record = sealed.record.slice();
          record[at] = (record[at] ?? 0) ^ 1;
          return [name, { ...sealed, record }];
        }),
      );
      disk.restore({ rows: good.rows, records });
      const bench = await readyBench({ options: { mode }, token, disk });
      await expect(bench.vault.open(id("a")), `byte ${at}`).rejects.toMatchObject({ name: "SealBroken" });
      expect(bench.vault.health().slots.pinned).toBe(0);
      await bench.close();
    }
  });

  test("that were filed under another name, or as another KM's, do not open", async () => {
    const { token, disk } = await readyBench().then(async (bench) => {
      await keep(bench.vault, "a", "b");
      await bench.close();
      return bench;
    });
    const { rows, records } = disk.snapshot();
    const [a, b] = [...records.values()];
    if (a === undefined || b === undefined) throw new Error("two records were kept");
    const swapped = [
      { ...a, record: b.record },
      { ...b, record: a.record },
    ];
    disk.restore({ rows, records: new Map([...records.keys()].map((name, at) => [name, swapped[at] ?? a])) });
    await using bench = await readyBench({ token, disk });
    await expect(bench.vault.open(id("a"))).rejects.toMatchObject({ name: "SealBroken" });
    await expect(bench.vault.open(id("b"))).rejects.toMatchObject({ name: "SealBroken" });
  });
});

test("two vaults on one token keep to their own KEKs, also when one KM's ID begins with the other's", async () => {
  const token = makeModelToken();
  const km = (name: string) => readyBench({ token, options: { km: name as never } });
  await using one = await km("km-a");
  await using other = await km("km-a-0000000001");
  await keep(one.vault, "x");
  await keep(other.vault, "x");
  expect(token.keks()).toEqual(["qkm-kek-km-a-0000000001", "qkm-kek-km-a-0000000001-0000000001"]);
  await one.vault.zeroise();
  expect(token.keks()).toEqual(["qkm-kek-km-a-0000000001-0000000001"]);
  expect(await isWhole(other.vault, "x")).toBe(true);
});

test("after the end every call says STOPPING", async () => {
  const bench = await readyBench();
  await keep(bench.vault, "a");
  const open = await bench.vault.open(id("a"));
  await bench.close();
  await bench.close();
  using key = secretOf(keyOf("b"));
  const stopping = { code: "STOPPING" };
  await expect(bench.vault.seal(id("b"), key)).rejects.toMatchObject(stopping);
  await expect(bench.vault.open(id("a"))).rejects.toMatchObject(stopping);
  await expect(bench.vault.generate([id("c")], 8)).rejects.toMatchObject(stopping);
  await expect(bench.vault.change().put("t", "x", {}).commit()).rejects.toMatchObject(stopping);
  await expect(bench.vault.rotate(() => [])).rejects.toMatchObject(stopping);
  await expect(bench.vault.zeroise()).rejects.toMatchObject(stopping);
  expect(() => take(open, { offset: 0, length: 8 })).toThrow();
  expect(bench.vault.cached(id("a"))).toBeUndefined();
  expect(bench.clock.waiting).toBe(0);
  await settled();
});

test("a wrong size or name is refused before anything is sealed", async () => {
  await using bench = await readyBench();
  using big = secretOf(new Uint8Array(BLOCK_BYTES + 1).fill(1));
  await expect(bench.vault.seal(id("a"), big)).rejects.toThrow(RangeError);
  using key = secretOf(keyOf("a"));
  await expect(bench.vault.seal(id("x".repeat(1001)), key)).rejects.toThrow(RangeError);
  expect(() => bench.vault.change().put("t", "x".repeat(1001), {})).toThrow(RangeError);
});
