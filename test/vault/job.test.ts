// Tests of jobs on the real vault: the contract, what ends in the middle, and that nothing stays in memory.

import { afterEach, describe, expect, test, vi } from "vitest";
import { LockedMemory } from "../../src/vault/memory/locked-memory.ts";
import { exerciseBlanks } from "../contracts/empty-slots.ts";
import { CONTEXT, jobOf, padOf, the } from "../contracts/job-bench.ts";
import { exerciseJobs } from "../contracts/jobs.ts";
import { exercisePads } from "../contracts/pads.ts";
import { settled } from "../support/manual-clock.ts";
import { ModelMachine } from "../support/model-vault.ts";
import { BLOCK_BYTES, id, isWhole, keep, keyOf, readyBench, take } from "./harness.ts";

for (const mode of ["direct", "envelope"] as const) {
  const makeBench = async () => {
    const bench = await readyBench({ options: { mode, slabBytes: 7 * (BLOCK_BYTES + 64) } });
    return {
      vault: bench.vault,
      // One is the rotation's.
      slots: 6,
      blockBytes: BLOCK_BYTES,
      vanish: async () => {
        bench.token.vanish();
        await bench.clock.run(60_000);
      },
      [Symbol.asyncDispose]: () => bench.close(),
    };
  };
  exerciseJobs(mode, makeBench);
  exercisePads(mode, makeBench);
  exerciseBlanks(mode, makeBench);
}

const TINY = { slabBytes: 7 * (BLOCK_BYTES + 64) };
afterEach(() => vi.restoreAllMocks());

/** Every region that the next vault locks. */
function regionsOf(): () => readonly Uint8Array[] {
  const spy = vi.spyOn(LockedMemory.prototype, "region");
  return () => spy.mock.results.flatMap(({ type, value }) => (type === "return" ? [value] : []));
}

/** A token that does nothing until it is let go. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { pace: () => promise, open: () => resolve() };
}

describe("a job of the real vault", () => {
  test("travels to and from the model: both make the same of the same pad", async () => {
    await using bench = await readyBench();
    const machine = new ModelMachine(8, (bytes) => void bytes.set(keyOf("token", bytes.length)));
    const vaults = [bench.vault, machine.boot()];
    for (const vault of vaults) await keep(vault, "key", "pad", "rest");
    const masked = await Promise.all(
      vaults.map(async (vault) => {
        using job = await vault.openJob(jobOf(["key", "pad", "rest"]));
        return the(job.blocks).mask(padOf(job.blocks.slice(1)), CONTEXT);
      }),
    );
    expect(masked[0]).toEqual(masked[1]);
    for (const vault of vaults) {
      await keep(vault, "pad", "rest");
      using job = await vault.openJob(jobOf(["pad", "rest"], 1));
      const made = the(job.emptySlots).unmask(id("made"), the(masked), padOf(job.blocks), CONTEXT);
      expect(made && take(made)).toEqual(Buffer.from(keyOf("key")));
    }
  });

  test("keeps what the token is sealing until it has sealed it, though the job is gone", async () => {
    await using bench = await readyBench({ options: TINY });
    const { vault, token } = bench;
    await keep(vault, "a", "b");
    const { pace, open } = gate();
    const job = await vault.openJob(jobOf(["a"], 1));
    const made = the(job.emptySlots).combine(id("made"), job.blocks);
    token.slow(pace);
    const sealing = made.seal();
    job[Symbol.dispose]();
    expect(vault.health().slots.pinned).toBe(1);
    // All that is left goes to somebody else meanwhile.
    const others = vault.openJob(jobOf([], 5));
    await settled();
    open();
    const sealed = await sealing;
    (await others)[Symbol.dispose]();
    await vault.change().keep(sealed).commit();
    expect(vault.health().slots.pinned).toBe(0);
    using kept = await vault.open(id("made"));
    expect(take(kept)).toEqual(Buffer.from(keyOf("a")));
  });

  test("may seal while an epoch begins: what it made opens after, and a rotation zeroes what is used of its pads", async () => {
    await using bench = await readyBench();
    const { vault } = bench;
    await keep(vault, "key", "pad", "rest");
    using job = await vault.openJob(jobOf(["key", "pad", "rest"], 1));
    const made = the(job.emptySlots).combine(id("made"), [the(job.blocks)]);
    const sealed = await made.seal();
    the(job.blocks).mask(padOf(job.blocks.slice(1)), CONTEXT);
    const rotating = vault.rotate((block) => (block === "rest" ? [{ offset: 0, length: 32 }] : []));
    await settled();
    await vault.change().keep(sealed).commit();
    await bench.clock.run(20_000);
    await rotating;
    job[Symbol.dispose]();
    expect(await isWhole(vault, "key")).toBe(true);
    using open = await vault.open(id("made"));
    expect(take(open)).toEqual(Buffer.from(keyOf("key")));
    await bench.close();
    await using again = await readyBench({ token: bench.token, disk: bench.disk });
    using rest = await again.vault.open(id("rest"));
    expect(() => take(rest, { offset: 0, length: 32 })).toThrow("used before");
    expect(take(rest, { offset: 32, length: 64 })).toEqual(Buffer.from(keyOf("rest").subarray(32, 96)));
  });

  test("holds no slot and leaves nothing in memory when the token goes while its blocks are brought in", async () => {
    const regions = regionsOf();
    await using bench = await readyBench({ options: TINY });
    await keep(bench.vault, "a", "b");
    const { pace, open } = gate();
    bench.token.slow(pace);
    const opening = expect(bench.vault.openJob(jobOf(["a", "b"], 2))).rejects.toMatchObject({
      code: "HSM_UNAVAILABLE",
    });
    await settled();
    expect(bench.vault.health().slots.pinned).toBe(4);
    bench.token.vanish();
    open();
    await opening;
    expect(bench.vault.health().slots.pinned).toBe(0);
    expect(the(regions()).every((byte) => byte === 0)).toBe(true);
  });

  test("of which a record is damaged holds nothing, harms no other block, and lets those behind it go on", async () => {
    const { token, disk } = await readyBench({ options: TINY }).then(async (bench) => {
      await keep(bench.vault, "a", "b", "c");
      await bench.close();
      return bench;
    });
    const { rows, records } = disk.snapshot();
    const damaged = [...records].map(([name, sealed]) => {
      const record = Uint8Array.from(sealed.record);
      if (sealed.block === "b") record[100] = (record[100] ?? 0) ^ 1;
      return [name, { ...sealed, record }] as const;
    });
    disk.restore({ rows, records: new Map(damaged) });
    await using bench = await readyBench({ options: TINY, token, disk });
    const broken = expect(bench.vault.openJob(jobOf(["a", "b"], 4))).rejects.toMatchObject({ name: "SealBroken" });
    const behind = bench.vault.openJob(jobOf(["a", "c"], 4));
    await broken;
    using job = await behind;
    expect(job.blocks.map((open) => take(open).equals(keyOf(open.block)))).toEqual([true, true]);
    expect(bench.vault.health().slots.pinned).toBe(6);
  });

  test("is of no use after zeroise in its middle: every byte of locked memory is zero", async () => {
    const regions = regionsOf();
    await using bench = await readyBench({ options: TINY });
    const { vault } = bench;
    await keep(vault, "key", "pad", "rest");
    const job = await vault.openJob(jobOf(["key", "pad", "rest"], 2));
    const made = the(job.emptySlots).combine(id("made"), [the(job.blocks)]);
    const { pace, open } = gate();
    bench.token.slow(pace);
    const sealing = made.seal().catch((thrown: unknown) => thrown);
    const waiting = expect(vault.openJob(jobOf([], 3))).rejects.toMatchObject({ code: "STOPPING" });
    await settled();
    const zeroising = vault.zeroise();
    await waiting;
    const pad = padOf(job.blocks.slice(1));
    const masked = { key: keyOf("x"), tag: new Uint8Array(16) };
    for (const use of [
      () => made.endTag(CONTEXT),
      () => the(job.blocks).mask(pad, CONTEXT),
      () => the(job.emptySlots, 1).unmask(id("again"), masked, pad, CONTEXT),
      () => the(job.emptySlots, 1).combine(id("again"), [the(job.blocks)]),
    ]) {
      expect(use).toThrow(expect.objectContaining({ code: "STOPPING" }));
    }
    open();
    await zeroising;
    await sealing;
    job[Symbol.dispose]();
    for (const region of regions()) expect(region.every((byte) => byte === 0)).toBe(true);
  });

  test("leaves scratch and tag state zero, and no copy of key or pad in another slot", async () => {
    const regions = regionsOf();
    await using bench = await readyBench({ options: TINY });
    const { vault } = bench;
    await keep(vault, "key", "pad", "rest");
    const job = await vault.openJob(jobOf(["key", "pad", "rest"], 1));
    const pad = padOf(job.blocks.slice(1));
    const made = the(job.emptySlots).combine(id("made"), [the(job.blocks)]);
    made.mask(pad, CONTEXT);
    const [slab, ...others] = regions().map((region) => Buffer.from(region));
    const scratch = others.filter(({ length }) => length === BLOCK_BYTES + 64);
    expect(scratch.map((region) => region.every((byte) => byte === 0))).toEqual([true]);
    expect(slab?.includes(keyOf("pad").subarray(0, 16))).toBe(false);
    job[Symbol.dispose]();
    const change = vault.change();
    for (const name of ["key", "pad", "rest"]) change.destroy(id(name));
    await change.commit();
    expect(the(regions()).every((byte) => byte === 0)).toBe(true);
  });
});
