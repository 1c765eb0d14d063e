// Tests of the tags of rows: what is not as it was written is lost, and whoever cannot ask the token can make no row.

import { serialize } from "node:v8";
import { describe, expect, test } from "vitest";
import type { MemoryDisk } from "../../support/memory-store.ts";
import { makeModelToken } from "../../support/model-token.ts";
import { type Bench, KM, keep, readyBench, tableOf } from "../harness.ts";

/** The harness' rules: of table `t` each row stands for itself, of `whole` it does not. */
const rules = {
  untagged: new Set(["audit"]),
  single: new Set(["t"]),
  isSound: (_table: string, _id: string, { mark }: { readonly mark?: unknown }) => Number(mark) <= 100,
};
const options = { rows: rules };

/** A vault that has written rows, and has ended in order. */
async function written(): Promise<Bench> {
  const bench = await readyBench({ options });
  await keep(bench.vault, "a");
  for (const table of ["t", "whole"]) {
    for (const id of ["x", "y"]) await bench.vault.change().put(table, id, { mark: 48 }).commit();
  }
  await bench.vault.change().put("audit", "last", { mark: 7 }).commit();
  await bench.close();
  return bench;
}

/** Changes what lies on the disk under a name, as somebody does who has the disk and not the token. */
function tamper(disk: MemoryDisk, [table, id]: readonly [string, string], change: (bytes: Buffer) => Uint8Array): void {
  const { rows, records } = disk.snapshot();
  const name = JSON.stringify([table, id]);
  disk.restore({ rows: new Map([...rows, [name, change(Buffer.from(rows.get(name) ?? []))]]), records });
}

const rowAt = (disk: MemoryDisk, table: string, id: string) => disk.snapshot().rows.get(JSON.stringify([table, id]));
const alarms = ({ recorder }: Bench) => recorder.count("alarms", { alarm: "row_damaged" });
const flip = (bytes: Buffer) => {
  bytes[bytes.length - 2] = 255 - (bytes[bytes.length - 2] ?? 0);
  return bytes;
};
/** The mark's value in the clone: zigzag 96 is 48, and 0 is 0. */
const toZero = (bytes: Buffer) => {
  const at = bytes.lastIndexOf(Buffer.from([0x49, 96]));
  expect(at).toBeGreaterThan(0);
  bytes[at + 1] = 0;
  return bytes;
};

test("rows come back as they were written, and nothing is said", async () => {
  const { disk, token } = await written();
  await using again = await readyBench({ options, disk, token });
  expect((await again.ready).restored).toBe(false);
  expect(tableOf(again.vault, "t").concat(tableOf(again.vault, "whole"))).toHaveLength(4);
  expect([alarms(again), again.recorder.count("rows_lost")]).toEqual([0, 0]);
});

describe("a row that was changed on the disk", () => {
  test.each([
    ["set to zero", toZero],
    ["a bit in its value", flip],
    ["cut", (bytes: Buffer) => bytes.subarray(0, 10)],
    ["empty", () => new Uint8Array()],
    ["without its tag", () => serialize({ mark: 0 })],
    ["of a format to come", (bytes: Buffer) => Buffer.concat([Buffer.of(2), bytes.subarray(1)])],
  ])("(%s) is lost alone where it stands for itself, with an alarm, and counted", async (_, change) => {
    const { disk, token } = await written();
    tamper(disk, ["t", "x"], change);
    await using again = await readyBench({ options, disk, token });
    expect((await again.ready).restored).toBe(false);
    expect(tableOf(again.vault, "t")).toEqual([["y", { mark: 48 }]]);
    expect([alarms(again), again.recorder.count("rows_lost", { table: "t" })]).toEqual([1, 1]);
    expect(rowAt(disk, "t", "x")).toBeUndefined();
  });

  test("makes the store count as restored where it does not, also when the process ends right after", async () => {
    const { disk, token } = await written();
    tamper(disk, ["whole", "y"], toZero);
    const again = await readyBench({ options, disk, token });
    expect((await again.ready).restored).toBe(true);
    expect(tableOf(again.vault, "whole")).toEqual([["x", { mark: 48 }]]);
    disk.crash();
    await using third = await readyBench({ options, disk, token });
    expect((await third.ready).restored).toBe(true);
    await third.vault.rotate(() => []);
    await third.close();
    await using fourth = await readyBench({ options, disk, token });
    expect((await fourth.ready).restored).toBe(false);
  });

  test.each([1, 2, 3, 4])("a process that ends at commit %i of its start does not forget it", async (nth) => {
    const { disk, token } = await written();
    tamper(disk, ["whole", "y"], toZero);
    let commits = 0;
    disk.slow(async () => {
      commits += 1;
      if (commits === nth) disk.crash(1);
    });
    void readyBench({ options, disk, token }).catch(() => {});
    for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    disk.slow(undefined);
    disk.crash();
    await using again = await readyBench({ options, disk, token });
    expect((await again.ready).restored).toBe(true);
  });

  test("or moved to another name, or brought from another KM, is lost", async () => {
    const { disk, token } = await written();
    const other = await readyBench({ options: { ...options, km: "km-b" as typeof KM }, token });
    await other.vault.change().put("t", "x", { mark: 1 }).commit();
    await other.close();
    tamper(disk, ["t", "y"], () => rowAt(disk, "t", "x") ?? new Uint8Array());
    tamper(disk, ["t", "x"], () => rowAt(other.disk, "t", "x") ?? new Uint8Array());
    await using again = await readyBench({ options, disk, token });
    expect(tableOf(again.vault, "t")).toEqual([]);
    expect([alarms(again), again.recorder.count("rows_lost", { table: "t" })]).toEqual([1, 2]);
  });

  test("in the vault's own table is never believed: a guard that was put back makes a restored copy", async () => {
    const { disk, token } = await written();
    tamper(disk, ["qkm-vault", "guard"], () => serialize({ counter: 1000, restored: false }));
    await using again = await readyBench({ options, disk, token });
    expect((await again.ready).restored).toBe(true);
  });
});

describe("a store of before there were tags", () => {
  async function old(): Promise<Bench> {
    const bench = await written();
    const { rows, records } = bench.disk.snapshot();
    const bare = new Map([...rows].map(([name, bytes]) => [name, bytes[0] === 1 ? bytes.subarray(17) : bytes]));
    bench.disk.restore({ rows: bare, records });
    return { ...bench, token: bench.token };
  }

  test("gets them at its first start, once, and goes on", async () => {
    const { disk, token } = await old();
    // The token of that time knows nothing of tags: its counter says so.
    await (await token.open()).counter(`qkm-rows-${KM}`, 0);
    const again = await readyBench({ options, disk, token });
    expect((await again.ready).restored).toBe(false);
    expect(tableOf(again.vault, "t")).toHaveLength(2);
    expect(alarms(again)).toBe(0);
    await again.close();
    for (const [name, bytes] of disk.snapshot().rows)
      expect([name, bytes[0]]).toEqual([name, name.includes("audit") ? 255 : 1]);
  });

  test("is not believed where the token knows better", async () => {
    const { disk, token } = await old();
    await using again = await readyBench({ options, disk, token });
    expect((await again.ready).restored).toBe(true);
    expect([...tableOf(again.vault, "t"), ...tableOf(again.vault, "whole")]).toEqual([]);
  });

  test("loses rows whose values are out of range", async () => {
    const { disk, token } = await old();
    await (await token.open()).counter(`qkm-rows-${KM}`, 0);
    tamper(disk, ["t", "x"], () => serialize({ mark: 480 }));
    await using again = await readyBench({ options, disk, token });
    expect(tableOf(again.vault, "t")).toEqual([["y", { mark: 48 }]]);
    expect(alarms(again)).toBe(1);
  });
});

test("another token has another key: all is lost, one alarm for each table", async () => {
  const { disk } = await written();
  await using again = await readyBench({ options, disk, token: makeModelToken() });
  expect((await again.ready).restored).toBe(true);
  expect(tableOf(again.vault, "t")).toEqual([]);
  expect([alarms(again), again.recorder.count("rows_lost", { table: "t" })]).toEqual([3, 2]);
});
