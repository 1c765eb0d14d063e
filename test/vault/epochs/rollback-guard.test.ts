// Tests of the rollback guard: restored copies are seen, crashes are not taken for one.

import { describe, expect, test } from "vitest";
import { makeMemoryDisk } from "../../support/memory-store.ts";
import { makeModelToken } from "../../support/model-token.ts";
import { until } from "../../support/until.ts";
import { type Bench, id, isWhole, keep, openBench, readyBench } from "../harness.ts";

/** Opens, does something, stops in an orderly way. */
async function run(parts: Pick<Bench, "token" | "disk">, use: (bench: Bench) => Promise<void> = async () => {}) {
  const bench = await openBench(parts);
  const verdict = await bench.ready;
  await use(bench);
  await bench.close();
  return verdict;
}

const NEW = { restored: false, fresh: true };
const SAME = { restored: false, fresh: false };
const RESTORED = { restored: true, fresh: false };

describe("the rollback guard", () => {
  test("a new store is fresh, also with a token that has been used before; then it is the same", async () => {
    const token = makeModelToken();
    const parts = { token, disk: makeMemoryDisk() };
    expect(await run(parts)).toEqual(NEW);
    for (let round = 0; round < 3; round += 1) expect(await run(parts)).toEqual(SAME);
    expect(await run({ token, disk: makeMemoryDisk() })).toEqual(NEW);
  });

  test("a copy taken while it ran, or after it stopped, is seen when it is put back", async () => {
    const parts = { token: makeModelToken(), disk: makeMemoryDisk() };
    await run(parts);
    const stopped = parts.disk.snapshot();
    let running = stopped;
    await run(parts, async ({ vault, disk }) => {
      await keep(vault, "a");
      running = disk.snapshot();
    });
    parts.disk.restore(running);
    expect(await run(parts)).toEqual(RESTORED);
    expect(await run(parts)).toEqual(SAME);
    parts.disk.restore(stopped);
    expect(await run(parts)).toEqual(RESTORED);
  });

  test("a copy from before an epoch is seen, and cannot be unsealed either", async () => {
    const parts = { token: makeModelToken(), disk: makeMemoryDisk() };
    await run(parts, async ({ vault }) => keep(vault, "a"));
    const copy = parts.disk.snapshot();
    await run(parts, async ({ vault }) => vault.rotate(() => []));
    parts.disk.restore(copy);
    const bench = await openBench(parts);
    expect(await bench.ready).toEqual(RESTORED);
    await expect(bench.vault.open(id("a"))).rejects.toMatchObject({ name: "SealBroken" });
    await bench.close();
  });

  test("a crash before, between and after the two writes of an opening is no restored copy", async () => {
    for (const kept of [0, 1, 2]) {
      const parts = { token: makeModelToken(), disk: makeMemoryDisk() };
      await run(parts, async ({ vault }) => keep(vault, "a"));
      // The store's write is held; the crash loses it or keeps it, and the token's write never comes.
      let isHeld = false;
      parts.disk.slow(() => {
        isHeld = true;
        return new Promise(() => {});
      });
      await openBench(parts);
      await until("the write is held", () => isHeld);
      parts.disk.slow(undefined);
      parts.disk.crash(kept);
      const bench = await openBench(parts);
      expect(await bench.ready, `${kept} writes kept`).toEqual(SAME);
      expect(await isWhole(bench.vault, "a")).toBe(true);
      parts.disk.crash();
      expect(await run(parts)).toEqual(SAME);
    }
  });

  test("a token that vanishes between the two writes: tried again, no alarm", async () => {
    const parts = { token: makeModelToken(), disk: makeMemoryDisk() };
    await run(parts);
    parts.disk.slow(async () => parts.token.vanish());
    const bench = await openBench(parts);
    await bench.clock.run(1000);
    expect(bench.vault.health().token).toBe("gone");
    parts.disk.slow(undefined);
    parts.token.restore();
    await bench.clock.run(5000);
    expect(await bench.ready).toEqual(SAME);
    await bench.close();
  });

  test("a restored copy stays one when the token vanishes, or the process crashes, before anyone was told", async () => {
    const parts = { token: makeModelToken(), disk: makeMemoryDisk() };
    await run(parts);
    const copy = parts.disk.snapshot();
    await run(parts);
    parts.disk.restore(copy);
    parts.disk.slow(async () => parts.token.vanish());
    const bench = await openBench(parts);
    await bench.clock.run(1000);
    parts.disk.slow(undefined);
    parts.token.restore();
    parts.disk.crash();
    const again = await readyBench(parts);
    expect(await again.ready).toEqual(RESTORED);
    parts.disk.crash();
    expect(await run(parts)).toEqual(RESTORED);
    expect(await run(parts)).toEqual(SAME);
  });
});
