// Removals that the store rejected: made up for as soon as it takes changes again, and not when something is written anew.

import { expect, test } from "vitest";
import { deferred } from "../../src/core/deferred.ts";
import { Removals } from "../../src/vault/store/removals.ts";
import type { Vault } from "../../src/vault/vault.ts";
import { type Bench, id, keep, readyBench } from "./harness.ts";

const rowsOf = (vault: Vault): string[] => [...vault.rows("t")].map(([name]) => name);

/** A vault with two rows and blocks, of which the removal was rejected. */
async function rejected(how: "lost" | "kept"): Promise<Bench> {
  const bench = await readyBench();
  await keep(bench.vault, "a", "b");
  await bench.vault.change().put("t", "a", {}).put("t", "b", {}).commit();
  bench.disk.reject(how);
  const change = bench.vault.change();
  for (const name of ["a", "b"]) change.remove("t", name).destroy(id(name));
  await expect(change.commit()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  return bench;
}

/** Until the store is open again and has made up for what it missed. */
async function mended(bench: Bench): Promise<void> {
  await expect.poll(() => bench.vault.health().store).toBe("ready");
  await bench.clock.run(1100);
}

test.each(["lost", "kept"] as const)(
  "rows and records whose removal was %s are off the disk soon after",
  async (how) => {
    await using bench = await rejected(how);
    await mended(bench);
    expect([rowsOf(bench.vault), [...bench.vault.blocks()]]).toEqual([[], []]);
    expect(bench.disk.snapshot().records.size).toBe(0);
  },
);

test("what is written anew stays", async () => {
  await using bench = await rejected("lost");
  await expect.poll(() => bench.vault.health().store).toBe("ready");
  await keep(bench.vault, "a");
  await bench.vault.change().put("t", "b", { again: true }).commit();
  await bench.clock.run(1100);
  expect([rowsOf(bench.vault), [...bench.vault.blocks()]]).toEqual([["b"], ["a"]]);
});

test("a store that goes on rejecting is asked again", async () => {
  await using bench = await rejected("lost");
  await expect.poll(() => bench.vault.health().store).toBe("ready");
  bench.disk.reject("lost");
  await bench.clock.run(1100);
  await mended(bench);
  expect(rowsOf(bench.vault)).toEqual([]);
});

test("of two tries at a time, on a slow disk, each puts back what it could not make up for", async () => {
  const removals = new Removals();
  const [first, second] = [deferred<void>(), deferred<void>()];
  removals.rejected([{ op: "remove", table: "t", id: "a" }]);
  const one = removals.retry(() => first.promise);
  removals.rejected([{ op: "remove", table: "t", id: "b" }]);
  const other = removals.retry(() => second.promise);
  for (const { reject } of [first, second]) reject(new Error("no room"));
  expect(await Promise.all([one, other])).toEqual([false, false]);
  expect(removals.size).toBe(2);
});
