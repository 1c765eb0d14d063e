// Tests of epochs: what a rotation re-seals, what it forgets, what it must not bring back, and crashes in it.

import { describe, expect, test } from "vitest";
import { secretOf } from "../../../src/core/memory/secret.ts";
import { KEEP_WITHIN_MS } from "../../../src/vault/epochs/epochs.ts";
import type { BlockId, Range } from "../../../src/vault/vault.ts";
import { settled } from "../../support/manual-clock.ts";
import { makeMemoryDisk } from "../../support/memory-store.ts";
import { type ModelToken, makeModelToken } from "../../support/model-token.ts";
import { type Bench, type BenchParts, id, isWhole, keep, keyOf, openBench, readyBench, take } from "../harness.ts";

const NONE = () => [];
const label = (epoch: number) => `qkm-kek-km-a-${String(epoch).padStart(10, "0")}`;
const epochsOf = ({ disk }: Bench) => [
  ...new Set(disk.records.map((head) => (JSON.parse(head) as [string, number])[1])),
];

/** A gate for a slow token: calls wait until it is opened. */
function gate() {
  let waiting: (() => void)[] = [];
  return {
    pace: () => new Promise<void>((resolve) => waiting.push(resolve)),
    get waiting() {
      return waiting.length;
    },
    /** Lets the calls that wait now go on. */
    step() {
      for (const go of waiting.splice(0)) go();
    },
    open(token: ModelToken) {
      token.slow(undefined);
      for (const go of waiting.splice(0)) go();
      waiting = [];
    },
  };
}

function isResident(bench: Bench, name: string): boolean {
  using open = bench.vault.cached(id(name));
  return open !== undefined;
}

/** Stops a rotation in its middle: some records are sealed anew, some are not. */
async function rotateHalf(bench: Bench): Promise<void> {
  let asked = 0;
  const used = () => {
    asked += 1;
    if (asked === 4) bench.token.vanish();
    return [];
  };
  await expect(bench.vault.rotate(used)).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
  bench.token.restore();
}

describe.each(["direct", "envelope"] as const)("a rotation in %s mode", (mode) => {
  const ready = (parts: BenchParts = {}) => readyBench({ ...parts, options: { mode } });

  test("seals everything anew under a new KEK and destroys the old one", async () => {
    await using bench = await ready();
    await keep(bench.vault, "a", "b", "c");
    using open = await bench.vault.open(id("a"));
    const { key, sealed } = await open.keyIdKey();
    using _ = key;
    await bench.vault.change().keep(sealed).commit();
    const before = bench.disk.snapshot();
    await bench.vault.rotate(NONE);
    expect(bench.token.keks()).toEqual([label(2)]);
    expect(epochsOf(bench)).toEqual([2]);
    expect(bench.vault.health().epoch).toBe(2);
    for (const name of ["a", "b", "c"]) expect(await isWhole(bench.vault, name)).toBe(true);
    using again = await bench.vault.keyIdKey(id("a"));
    const tags = [new Uint8Array(16), new Uint8Array(16)] as const;
    key.tag(Buffer.from("m"), tags[0]);
    again.tag(Buffer.from("m"), tags[1]);
    expect(tags[0]).toEqual(tags[1]);
    const old = [...before.records.values()].map(({ record }) => Buffer.from(record).subarray(14, 46).toString("hex"));
    for (const { record } of bench.disk.snapshot().records.values()) {
      for (const piece of old) expect(Buffer.from(record).toString("hex")).not.toContain(piece);
    }
  });

  test("leaves used ranges out of what it seals, so that they are beyond recovery", async () => {
    const { token, disk } = await ready().then(async (bench) => {
      await keep(bench.vault, "a", "b");
      const used = (block: BlockId): Range[] =>
        block === "a"
          ? [
              { offset: 0, length: 128 },
              { offset: 200, length: 56 },
            ]
          : [];
      await bench.vault.rotate(used);
      await bench.close();
      return bench;
    });
    await using bench = await ready({ token, disk });
    using open = await bench.vault.open(id("a"));
    expect(() => take(open, { offset: 96, length: 32 })).toThrow("were used before");
    expect(() => take(open, { offset: 248, length: 16 })).toThrow("were used before");
    expect(take(open, { offset: 128, length: 72 })).toEqual(Buffer.from(keyOf("a").subarray(128, 200)));
    expect(take(open, { offset: 256, length: 64 })).toEqual(Buffer.from(keyOf("a").subarray(256, 320)));
    expect(await isWhole(bench.vault, "b")).toBe(true);
  });

  test("asks what is used once per block, in the epoch it ends, and never for key-ID keys", async () => {
    await using bench = await ready();
    await keep(bench.vault, "a", "b");
    using open = await bench.vault.open(id("a"));
    const { key, sealed } = await open.keyIdKey();
    using _ = key;
    await bench.vault.change().keep(sealed).commit();
    const asked: string[] = [];
    await bench.vault.rotate((block) => {
      asked.push(block);
      return [];
    });
    expect(asked.sort()).toEqual(["a", "b"]);
  });
});

describe("beside a rotation", () => {
  test("blocks are sealed, opened, committed and destroyed as ever; what was destroyed does not come back", async () => {
    await using bench = await readyBench();
    const names = Array.from({ length: 60 }, (_, n) => `b${n}`);
    await keep(bench.vault, ...names);
    const invalidated = new Set<string>();
    const work: Promise<unknown>[] = [];
    let asked = 0;
    await bench.vault.rotate(() => {
      asked += 1;
      const name = `b${(asked * 7) % 60}`;
      if (!invalidated.has(name)) {
        invalidated.add(name);
        work.push(bench.vault.change().destroy(id(name)).commit());
      }
      work.push(keep(bench.vault, `new${asked}`));
      return [];
    });
    await Promise.all(work);
    await bench.vault.rotate(NONE);
    const expected = [
      ...names.filter((name) => !invalidated.has(name)),
      ...Array.from({ length: asked }, (_, n) => `new${n + 1}`),
    ];
    expect([...bench.vault.blocks()].sort()).toEqual(expected.sort());
    expect(bench.disk.records).toHaveLength(expected.length);
    for (const name of expected) expect(await isWhole(bench.vault, name), name).toBe(true);
  });

  test("a block destroyed while its record is being sealed anew stays destroyed", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    const slow = gate();
    const rotated = bench.vault.rotate(() => {
      bench.token.slow(slow.pace);
      return [];
    });
    await settled();
    expect(slow.waiting).toBe(1);
    const destroyed = bench.vault.change().destroy(id("a")).commit();
    await destroyed;
    slow.open(bench.token);
    await rotated;
    expect([bench.disk.records, [...bench.vault.blocks()]]).toEqual([[], []]);
  });

  test("a block replaced while its record is being sealed anew stays the new one", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    using key = secretOf(keyOf("other"));
    const slow = gate();
    const rotated = bench.vault.rotate(() => {
      bench.token.slow(slow.pace);
      return [];
    });
    await settled();
    const sealing = bench.vault.seal(id("a"), key);
    slow.open(bench.token);
    await Promise.all([
      bench.vault
        .change()
        .keep(await sealing)
        .commit(),
      rotated,
    ]);
    using open = await bench.vault.open(id("a"));
    expect(take(open)).toEqual(Buffer.from(keyOf("other")));
    expect(bench.disk.records).toHaveLength(1);
  });

  test("every block and key-ID key is there and opens while its new record is being written", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a", "b", "c");
    const open = await bench.vault.open(id("a"));
    const { key, sealed } = await open.keyIdKey();
    using _ = key;
    await bench.vault.change().keep(sealed).commit();
    open[Symbol.dispose]();
    const writing = gate();
    bench.disk.slow(writing.pace);
    let asked = 0;
    const rotation = bench.vault.rotate(() => {
      asked += 1;
      return [];
    });
    while (asked < 3) {
      writing.step();
      await settled(1);
    }
    await settled();
    expect(writing.waiting).toBe(1);
    expect(epochsOf(bench)).toEqual([1]);
    expect([...bench.vault.blocks()].sort()).toEqual(["a", "b", "c"]);
    expect(bench.vault.has(id("a"))).toBe(true);
    expect(isResident(bench, "a")).toBe(true);
    (await bench.vault.keyIdKey(id("a")))[Symbol.dispose]();
    expect(await isWhole(bench.vault, "b")).toBe(true);
    const destroyed = bench.vault.change().destroy(id("c")).commit();
    expect(bench.vault.has(id("c"))).toBe(false);
    bench.disk.slow(undefined);
    writing.step();
    await destroyed;
    await rotation;
    expect([...bench.vault.blocks()].sort()).toEqual(["a", "b"]);
    expect(epochsOf(bench)).toEqual([2]);
  });

  test("a block sealed before it and committed during it keeps the old KEK alive until it is sealed anew too", async () => {
    await using bench = await readyBench();
    using key = secretOf(keyOf("late"));
    const sealed = await bench.vault.seal(id("late"), key);
    const rotated = bench.vault.rotate(NONE);
    await settled();
    expect(bench.token.keks()).toEqual([label(1), label(2)]);
    await bench.vault.change().keep(sealed).commit();
    await rotated;
    expect(bench.token.keks()).toEqual([label(2)]);
    expect(epochsOf(bench)).toEqual([2]);
    expect(await isWhole(bench.vault, "late")).toBe(true);
  });

  test("a seal that is not committed in time is refused then, and holds the rotation up no longer", async () => {
    await using bench = await readyBench();
    using key = secretOf(keyOf("late"));
    const sealed = await bench.vault.seal(id("late"), key);
    const rotated = bench.vault.rotate(NONE);
    await bench.clock.run(KEEP_WITHIN_MS);
    await rotated;
    expect(bench.token.keks()).toEqual([label(2)]);
    await expect(bench.vault.change().keep(sealed).commit()).rejects.toThrow("waited too long");
    expect(bench.vault.health().store).toBe("ready");
    expect([...bench.vault.blocks()]).toEqual([]);
  });

  test("an old KEK is not destroyed under an open that still works with it", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    const slow = gate();
    bench.token.slow(slow.pace);
    const opening = bench.vault.open(id("a"));
    await settled();
    expect(slow.waiting).toBe(1);
    bench.token.slow(undefined);
    const rotated = bench.vault.rotate(NONE);
    await settled();
    expect(epochsOf(bench)).toEqual([2]);
    expect(bench.token.keks()).toEqual([label(1), label(2)]);
    slow.step();
    await rotated;
    expect(bench.token.keks()).toEqual([label(2)]);
    using open = await opening;
    expect(take(open, { offset: 96, length: 8 })).toEqual(Buffer.from(keyOf("a").subarray(96, 104)));
  });

  test("another rotation waits its turn and begins an epoch of its own", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a");
    await Promise.all([bench.vault.rotate(NONE), bench.vault.rotate(NONE)]);
    expect(bench.vault.health().epoch).toBe(3);
    expect(bench.token.keks()).toEqual([label(3)]);
    expect(await isWhole(bench.vault, "a")).toBe(true);
  });

  test("the event loop turns: no slice seals more than sixteen records", async () => {
    await using bench = await readyBench({ options: { maxBytes: 1 << 30 } });
    await keep(bench.vault, ...Array.from({ length: 100 }, (_, n) => `b${n}`));
    let serialQueue = 0;
    let most = 0;
    let ended = false;
    const count = () => {
      most = Math.max(most, serialQueue);
      serialQueue = 0;
      if (!ended) setImmediate(count);
    };
    count();
    await bench.vault.rotate(() => {
      serialQueue += 1;
      return [];
    });
    ended = true;
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(16);
  });
});

describe("a rotation that is cut off", () => {
  test("at an orderly stop in its middle: it ends, no record is taken for broken, and the next start has every block", async () => {
    const disk = makeMemoryDisk();
    const token = makeModelToken();
    const bench = await readyBench({ disk, token });
    const names = Array.from({ length: 40 }, (_, index) => `block-${index}`);
    await keep(bench.vault, ...names);
    let asked = 0;
    let closing: Promise<void> | undefined;
    const used = () => {
      asked += 1;
      if (asked === 4) closing = bench.close();
      return [];
    };
    await expect(bench.vault.rotate(used)).rejects.toMatchObject({ code: "STOPPING" });
    await closing;
    expect(bench.recorder.lines.filter(({ level }) => level === "error")).toEqual([]);
    await using again = await readyBench({ disk, token });
    for (const name of names) expect(await isWhole(again.vault, name)).toBe(true);
  });

  test("when the token goes: nothing is lost, the epoch counts as spent, and the next one finishes the work", async () => {
    await using bench = await readyBench();
    const names = Array.from({ length: 10 }, (_, n) => `b${n}`);
    await keep(bench.vault, ...names);
    expect(bench.vault.epochSpent).toBe(false);
    await rotateHalf(bench);
    await bench.clock.run(500);
    expect(bench.vault.health()).toMatchObject({ token: "ready", epoch: 2 });
    expect(bench.vault.epochSpent).toBe(true);
    expect(bench.token.keks()).toEqual([label(1), label(2)]);
    for (const name of names) expect(await isWhole(bench.vault, name)).toBe(true);
    await bench.vault.rotate(NONE);
    expect(bench.token.keks()).toEqual([label(2)]);
    expect(epochsOf(bench)).toEqual([2]);
    expect(bench.vault.epochSpent).toBe(false);
    await bench.vault.rotate(NONE);
    expect(bench.token.keks()).toEqual([label(3)]);
  });

  test("by a crash between any two commits: the next start has every block, and its rotation finishes the work", async () => {
    const names = Array.from({ length: 40 }, (_, n) => `b${n}`);
    for (let crashAfter = 0; ; crashAfter += 1) {
      const token = makeModelToken();
      const disk = makeMemoryDisk();
      const bench = await openBench({ token, disk });
      await bench.ready;
      await keep(bench.vault, ...names);
      const commits = disk.commits;
      const held = gate();
      disk.slow(held.pace);
      let ended = false;
      void bench.vault.rotate(NONE).then(() => {
        ended = true;
      });
      for (let done = 0; done < crashAfter && !ended; done += 1) {
        await settled();
        held.step();
      }
      await settled();
      const finished = ended;
      disk.slow(undefined);
      disk.crash();
      expect(disk.commits - commits).toBeLessThanOrEqual(crashAfter);
      const again = await openBench({ token, disk });
      await again.ready;
      expect([...again.vault.blocks()]).toHaveLength(names.length);
      for (const name of names) expect(await isWhole(again.vault, name)).toBe(true);
      expect(again.vault.epochSpent).toBe(token.keks().length > 1);
      await again.vault.rotate(NONE);
      expect(token.keks()).toHaveLength(1);
      expect(again.vault.epochSpent).toBe(false);
      await again.close();
      if (finished) {
        expect(crashAfter).toBeGreaterThan(3);
        break;
      }
    }
  });

  test("by a full disk: it says so, nothing is lost, the old KEK stays", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a", "b");
    bench.disk.full(true);
    for (let times = 0; times < 10; times += 1) {
      await expect(bench.vault.rotate(NONE)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    }
    expect(bench.vault.health().store).toBe("failing");
    expect(bench.token.keks()).toEqual([label(1), label(2)]);
    bench.disk.full(false);
    await bench.clock.run(5000);
    expect(bench.vault.health().store).toBe("ready");
    expect(await isWhole(bench.vault, "a")).toBe(true);
    await bench.vault.rotate(NONE);
    expect(bench.token.keks()).toEqual([label(2)]);
    expect(await isWhole(bench.vault, "b")).toBe(true);
  });

  test("by a disk that fills up meanwhile, again and again: there is one new KEK, and it is brought to its end", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, ...Array.from({ length: 40 }, (_, n) => `b${n}`));
    const fills = () => {
      bench.disk.full(true);
      return [];
    };
    for (let times = 0; times < 10; times += 1) {
      await expect(bench.vault.rotate(fills)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
      expect(bench.token.keks()).toEqual([label(1), label(2)]);
      bench.disk.full(false);
      await bench.clock.run(5000);
    }
    await bench.vault.rotate(NONE);
    expect(bench.token.keks()).toEqual([label(2)]);
    expect(bench.recorder.count("epochs", {})).toBe(2);
  });

  test("by a token that makes the KEK and then says that it failed: the next one destroys it, and goes on", async () => {
    const token = makeModelToken();
    let fails = false;
    const openToken = async () => {
      const open = await token.open();
      const generate = async (name: string) => {
        const kek = await open.generate(name);
        if (fails) throw new Error("CKR_DEVICE_ERROR");
        return kek;
      };
      return { ...open, generate };
    };
    await using bench = await readyBench({ token, ports: { openToken } });
    await keep(bench.vault, "a");
    fails = true;
    for (let times = 0; times < 3; times += 1)
      await expect(bench.vault.rotate(NONE)).rejects.toThrow("CKR_DEVICE_ERROR");
    expect(token.keks()).toHaveLength(2);
    fails = false;
    await bench.vault.rotate(NONE);
    expect(token.keks()).toHaveLength(1);
    expect(await isWhole(bench.vault, "a")).toBe(true);
  });

  test("a KEK that nothing needs any more is destroyed at the next start", async () => {
    const { token, disk } = await readyBench().then(async (bench) => {
      await keep(bench.vault, "a");
      await bench.close();
      return bench;
    });
    const device = await token.open();
    await device.generate(label(2));
    const { records, rows } = disk.snapshot();
    await using bench = await readyBench({ token, disk });
    expect(token.keks()).toEqual([label(1), label(2)]);
    await bench.vault.change().destroy(id("a")).commit();
    await bench.close();
    await using again = await readyBench({ token, disk });
    expect(token.keks()).toEqual([label(2)]);
    expect(again.vault.health().epoch).toBe(2);
    expect([records.size, rows.size > 0]).toEqual([1, true]);
  });

  test("a record that nobody can open holds nothing up, and is found broken when it is wanted", async () => {
    const { token, disk } = await readyBench().then(async (bench) => {
      await keep(bench.vault, "good", "bad");
      await bench.close();
      return bench;
    });
    const { rows, ...stored } = disk.snapshot();
    const records = new Map(stored.records);
    for (const [head, sealed] of records) {
      if (sealed.block === "bad")
        records.set(head, { ...sealed, record: sealed.record.map((byte, at) => (at > 20 ? byte ^ 1 : byte)) });
    }
    disk.restore({ rows, records });
    await using bench = await readyBench({ token, disk });
    await bench.vault.rotate(NONE);
    expect(token.keks()).toEqual([label(2)]);
    expect(await isWhole(bench.vault, "good")).toBe(true);
    await expect(bench.vault.open(id("bad"))).rejects.toMatchObject({ name: "SealBroken" });
    expect(bench.recorder.lines.filter(({ level }) => level === "error")).toHaveLength(1);
  });
});

describe("epochs", () => {
  test("a restart continues the newest epoch and remembers how often it has sealed", async () => {
    const options = { epochSeals: 5 };
    const { token, disk } = await readyBench({ options }).then(async (bench) => {
      await keep(bench.vault, "a", "b", "c");
      await bench.vault.change().destroy(id("a")).destroy(id("b")).destroy(id("c")).commit();
      expect(bench.vault.epochSpent).toBe(false);
      await bench.close();
      return bench;
    });
    await using bench = await readyBench({ options, token, disk });
    expect(bench.vault.health().epoch).toBe(1);
    expect(bench.vault.epochSpent).toBe(false);
    await keep(bench.vault, "d", "e");
    expect(bench.vault.epochSpent).toBe(true);
    await bench.vault.rotate(NONE);
    expect(bench.vault.epochSpent).toBe(false);
  });

  test("a token that was wiped begins above every epoch of the store, and what was sealed is broken, not served", async () => {
    const { disk } = await readyBench().then(async (bench) => {
      await keep(bench.vault, "a");
      await bench.vault.rotate(NONE);
      await bench.close();
      return bench;
    });
    const token = makeModelToken();
    await using bench = await readyBench({ token, disk });
    expect(token.keks()).toEqual([label(3)]);
    await expect(bench.vault.open(id("a"))).rejects.toMatchObject({ name: "SealBroken" });
    await keep(bench.vault, "b");
    expect(await isWhole(bench.vault, "b")).toBe(true);
    await bench.vault.change().destroy(id("a")).commit();
    expect(bench.disk.records).toHaveLength(1);
  });

  test("auto takes the mode that the token suggests, and records of both modes open", async () => {
    const disk = makeMemoryDisk();
    const token = makeModelToken({ suggests: "envelope" });
    const direct = await readyBench({ disk, token, options: { mode: "direct" } });
    await keep(direct.vault, "a");
    await direct.close();
    await using bench = await readyBench({ disk, token, options: { mode: "auto" } });
    expect(bench.vault.health().mode).toBe("envelope");
    await keep(bench.vault, "b");
    expect(await isWhole(bench.vault, "a")).toBe(true);
    expect(await isWhole(bench.vault, "b")).toBe(true);
  });

  test("envelope mode asks the token once for several blocks", async () => {
    await using bench = await readyBench({ options: { mode: "envelope" } });
    const before = bench.token.operations;
    await keep(bench.vault, ...Array.from({ length: 8 }, (_, n) => `b${n}`));
    expect(bench.token.operations - before).toBe(1);
    await keep(bench.vault, "b8");
    expect(bench.token.operations - before).toBe(2);
  });

  test("envelope mode works with more data keys than it has places for", async () => {
    const names = Array.from({ length: 70 * 8 }, (_, n) => `b${n}`);
    const { token, disk } = await readyBench({ options: { mode: "envelope" } }).then(async (bench) => {
      await keep(bench.vault, ...names);
      await bench.close();
      return bench;
    });
    await using bench = await readyBench({ options: { mode: "envelope" }, token, disk });
    for (let n = 0; n < names.length; n += 8) expect(await isWhole(bench.vault, `b${n}`)).toBe(true);
    expect(await isWhole(bench.vault, "b1")).toBe(true);
  });
});
