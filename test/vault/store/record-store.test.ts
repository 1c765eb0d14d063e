// Tests of the vault over a store that rejects commits: nothing that was promised is lost, and it comes back by itself.

import { describe, expect, test } from "vitest";
import { id, isWhole, keep, readyBench, tableOf } from "../harness.ts";

const UNAVAILABLE = { code: "STORE_UNAVAILABLE" };

describe("a rejected commit", () => {
  test.each(["lost", "kept"] as const)(
    "(%s): the vault shows what the store has, and is ready again by itself",
    async (how) => {
      await using bench = await readyBench();
      await keep(bench.vault, "old");
      const health: string[] = [];
      bench.vault.onHealth(() => health.push(bench.vault.health().store));
      bench.disk.reject(how);
      await expect(keep(bench.vault, "new")).rejects.toMatchObject(UNAVAILABLE);
      await bench.clock.run(0);
      expect(health).toEqual(["failing", "ready"]);
      expect(bench.vault.has(id("new"))).toBe(how === "kept");
      expect(await isWhole(bench.vault, "old")).toBe(true);
      if (how === "kept") expect(await isWhole(bench.vault, "new")).toBe(true);
      await keep(bench.vault, "newer");
      expect(await isWhole(bench.vault, "newer")).toBe(true);
      expect(bench.recorder.count("store_faults")).toBe(1);
    },
  );

  test("a destruction that was rejected is shown as it is on the disk, until it is made up for", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a", "b");
    bench.disk.reject("lost");
    await expect(bench.vault.change().destroy(id("a")).commit()).rejects.toMatchObject(UNAVAILABLE);
    bench.disk.reject("kept");
    await expect(bench.vault.change().destroy(id("b")).commit()).rejects.toMatchObject(UNAVAILABLE);
    await bench.clock.run(100);
    expect([...bench.vault.blocks()]).toEqual(["a"]);
    expect(await isWhole(bench.vault, "a")).toBe(true);
    await bench.clock.run(1000);
    expect([...bench.vault.blocks()]).toEqual([]);
  });

  test("all commits queued behind it are rejected, so that none is durable without what came before", async () => {
    await using bench = await readyBench();
    bench.disk.reject("lost");
    const commits = [1, 2, 3].map((n) => bench.vault.change().put("t", "x", { n }).commit());
    for (const commit of commits) await expect(commit).rejects.toMatchObject(UNAVAILABLE);
    await bench.clock.run(0);
    expect(tableOf(bench.vault, "t")).toEqual([]);
  });
});

describe("a full disk", () => {
  test("refuses blocks with STORE_UNAVAILABLE but takes rows and removals, and is tried again with back-off", async () => {
    await using bench = await readyBench();
    await keep(bench.vault, "a", "b");
    bench.disk.full(true);
    await expect(keep(bench.vault, "c")).rejects.toMatchObject(UNAVAILABLE);
    await bench.clock.run(10_000);
    expect(bench.vault.health().store).toBe("failing");
    await expect(keep(bench.vault, "c")).rejects.toMatchObject(UNAVAILABLE);
    const row = { bits: Uint8Array.of(1) };
    const commit = bench.vault.change().put("t", "x", row).destroy(id("a")).commit();
    row.bits[0] = 9;
    await commit;
    expect(tableOf(bench.vault, "t")).toEqual([["x", { bits: Uint8Array.of(1) }]]);
    expect(await isWhole(bench.vault, "b")).toBe(true);
    bench.disk.full(false);
    await bench.clock.run(5000);
    expect(bench.vault.health().store).toBe("ready");
    await keep(bench.vault, "c");
    expect([...bench.vault.blocks()].sort()).toEqual(["b", "c"]);
    expect(tableOf(bench.vault, "qkm-vault").map(([name]) => name)).not.toContain("probe");
  });

  test("is reported once, not at every try", async () => {
    await using bench = await readyBench();
    bench.disk.full(true);
    await expect(keep(bench.vault, "c")).rejects.toMatchObject(UNAVAILABLE);
    await bench.clock.run(60_000);
    expect(bench.recorder.lines.filter(({ level }) => level === "error")).toHaveLength(1);
  });

  test("does not hold up the end", async () => {
    const bench = await readyBench();
    bench.disk.full(true);
    await expect(keep(bench.vault, "c")).rejects.toMatchObject(UNAVAILABLE);
    await bench.clock.run(1000);
    await bench.close();
    expect(bench.clock.waiting).toBe(0);
  });
});

test("a store that cannot be opened again is tried until it can", async () => {
  const { disk, token } = await readyBench().then(async (bench) => {
    await keep(bench.vault, "a");
    await bench.close();
    return bench;
  });
  let broken = false;
  const openStore = async () => {
    if (broken) throw new Error("Input/output error");
    return await disk.open();
  };
  await using bench = await readyBench({ disk, token, ports: { openStore } });
  broken = true;
  disk.reject("lost");
  await expect(keep(bench.vault, "b")).rejects.toMatchObject(UNAVAILABLE);
  await bench.clock.run(10_000);
  await expect(bench.vault.change().put("t", "x", {}).commit()).rejects.toMatchObject(UNAVAILABLE);
  await expect(bench.vault.open(id("a"))).rejects.toMatchObject(UNAVAILABLE);
  expect(bench.vault.health().store).toBe("failing");
  broken = false;
  await bench.clock.run(5000);
  expect(bench.vault.health().store).toBe("ready");
  expect(await isWhole(bench.vault, "a")).toBe(true);
});
