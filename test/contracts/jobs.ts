// What every vault must do with jobs, as tests: call it once per implementation.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Vault } from "../../src/vault/vault.ts";
import { settled } from "../support/manual-clock.ts";
import { id, keep, keyOf, take } from "../vault/harness.ts";
import { CONTEXT, isZero, type JobBench, jobOf, the } from "./job-bench.ts";

export function exerciseJobs(name: string, makeBench: () => Promise<JobBench>): void {
  describe(`jobs of a vault (${name})`, () => {
    let bench: JobBench;
    let vault: Vault;

    beforeEach(async () => {
      bench = await makeBench();
      vault = bench.vault;
    });
    afterEach(() => bench[Symbol.asyncDispose]());

    const opened = (names: readonly string[], emptySlots = 0) => vault.openJob(jobOf(names, emptySlots));

    const pinned = () => vault.health().slots.pinned;

    test("opens blocks and emptySlots in their order, a block named twice once, and gives all up together", async () => {
      await keep(vault, "a", "b");
      const job = await opened(["b", "a", "b"], 2);
      expect(job.blocks.map(({ block }) => block)).toEqual(["b", "a", "b"]);
      expect(job.emptySlots).toHaveLength(2);
      expect(pinned()).toBe(4);
      expect(take(the(job.blocks, 1))).toEqual(Buffer.from(keyOf("a")));
      job[Symbol.dispose]();
      job[Symbol.dispose]();
      expect(pinned()).toBe(0);
      expect(() => the(job.blocks).endTag(CONTEXT)).toThrow("after it was disposed");
      expect(() => the(job.emptySlots).combine(id("c"), [])).toThrow();
    });

    test("brings a block in without what is used", async () => {
      await keep(vault, "a");
      const used = () => [{ offset: 1000, length: 500 }];
      using job = await vault.openJob({ blocks: [{ block: id("a"), used }], emptySlots: 0 });
      expect(isZero(the(job.blocks), { offset: 1008, length: 64 })).toBe(true);
      expect(isZero(the(job.blocks), { offset: 1504, length: 64 })).toBe(false);
    });

    test("of nothing is nothing", async () => {
      using job = await opened([]);
      expect([job.blocks, job.emptySlots, pinned()]).toEqual([[], [], 0]);
    });

    test("holds nothing when a block is missing, and says which", async () => {
      await keep(vault, "a");
      await expect(opened(["a", "nobody"], 1)).rejects.toThrow("no block nobody");
      expect(pinned()).toBe(0);
    });

    test("refuses what its memory could never hold, and emptySlots that are no number", async () => {
      await expect(opened([], bench.slots + 1)).rejects.toThrow(RangeError);
      await expect(opened([], -1)).rejects.toThrow(RangeError);
      await expect(opened([], 0.5)).rejects.toThrow(RangeError);
      using all = await opened([], bench.slots);
      expect(all.emptySlots).toHaveLength(bench.slots);
    });

    test("waits for all its slots at once, in turn with opens, and holds none meanwhile", async () => {
      await keep(vault, "a", "b", "c");
      const first = await opened(["a"], bench.slots - 2);
      const order: string[] = [];
      const served = async (name: string, waiting: Promise<Disposable>) => {
        using _ = await waiting;
        order.push(name);
        await settled(2);
      };
      const all = Promise.all([
        served("job", opened(["b", "a"], bench.slots - 2)),
        served("open", vault.open(id("c"))),
        served("emptySlots", opened([], bench.slots)),
      ]);
      await settled();
      expect([order, pinned()]).toEqual([[], bench.slots - 1]);
      first[Symbol.dispose]();
      await all;
      expect(order).toEqual(["job", "open", "emptySlots"]);
      expect(pinned()).toBe(0);
    });

    test("is not overtaken for ever by small opens, nor by those who open the same block again and again", async () => {
      await keep(vault, "hot", "a", "b");
      let current: { job: Disposable } = { job: await vault.open(id("hot")) };
      const large = opened(["a", "b"], bench.slots - 2);
      let isDone = false;
      large.then(() => {
        isDone = true;
      });
      let rounds = 0;
      for (; !isDone && rounds < 50; rounds += 1) {
        const next = vault.open(id("hot"));
        await settled(2);
        current.job[Symbol.dispose]();
        if (rounds === 0) await settled(4);
        if (!isDone) current = { job: await next };
        else next.then((open) => open[Symbol.dispose]());
      }
      expect(rounds).toBeLessThan(3);
      (await large)[Symbol.dispose]();
      await settled();
      expect(pinned()).toBe(0);
    });

    test("two jobs that want what the other wants are served one after the other", async () => {
      await keep(vault, "a", "b");
      const emptySlots = bench.slots - 2;
      const jobs = [opened(["a", "b"], emptySlots), opened(["b", "a"], emptySlots), opened(["a"], emptySlots)];
      for (const job of jobs) (await job)[Symbol.dispose]();
      expect(pinned()).toBe(0);
    });

    test("rejects when a block is destroyed while it waits, and holds nothing", async () => {
      await keep(vault, "a", "b");
      const first = await opened([], bench.slots);
      const waiting = expect(opened(["a", "b"], 1)).rejects.toThrow("no block");
      await vault.change().destroy(id("a")).commit();
      first[Symbol.dispose]();
      await waiting;
      expect(pinned()).toBe(0);
    });

    test("is refused while the token is gone, and when it goes while it waits", async () => {
      await keep(vault, "a");
      const first = await opened(["a"], bench.slots - 1);
      const waiting = expect(opened(["a"], 1)).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
      await bench.vanish();
      first[Symbol.dispose]();
      await waiting;
      await expect(opened(["a"])).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
      await expect(opened([], 1)).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
      expect(pinned()).toBe(0);
    });
  });
}
