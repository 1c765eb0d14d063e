// Tests of the model vault against the contract of jobs, pads and made blocks.

import { describe, expect, test } from "vitest";
import { exerciseBlanks } from "../contracts/empty-slots.ts";
import { CONTEXT, jobOf, padOf, the } from "../contracts/job-bench.ts";
import { exerciseJobs } from "../contracts/jobs.ts";
import { exercisePads } from "../contracts/pads.ts";
import { id, keep, keyOf } from "../vault/harness.ts";
import { ModelMachine } from "./model-vault.ts";

const machineOf = (slots: number) => new ModelMachine(slots, (bytes) => void bytes.set(keyOf("token", bytes.length)));

const makeBench = async () => {
  const vault = machineOf(6).boot();
  return {
    vault,
    slots: 6,
    blockBytes: 32_768,
    vanish: async () => vault.token("gone"),
    [Symbol.asyncDispose]: async () => vault.die(),
  };
};
exerciseJobs("model", makeBench);
exercisePads("model", makeBench);
exerciseBlanks("model", makeBench);

describe("the model vault", () => {
  test("refuses a change whose rows may be older than the disk's: something was waited for before its commit", async () => {
    const vault = machineOf(6).boot();
    const change = vault.change().put("pad", "ab", { offset: 32 });
    await Promise.resolve();
    expect(() => change.commit()).toThrow("something was waited for");
    await vault.change().put("pad", "ab", { offset: 64 }).commit();
    expect([...vault.rows("pad")]).toEqual([["ab", { offset: 64 }]]);
  });

  test("lets calls take a time of their own: what began later may end before", async () => {
    const machine = machineOf(6);
    const slow = Promise.withResolvers<void>();
    const waits = [slow.promise];
    machine.work = () => waits.shift() ?? Promise.resolve();
    const vault = machine.boot();
    const ended: string[] = [];
    const calls = ["a", "b"].map(async (name) => {
      await vault.generate([id(name)], 32);
      ended.push(name);
    });
    await calls[1];
    slow.resolve();
    await calls[0];
    expect(ended).toEqual(["b", "a"]);
  });

  test("remembers what served as pad, at which end and in which boot", async () => {
    const machine = machineOf(6);
    const vault = machine.boot();
    await keep(vault, "key", "pad", "rest");
    using job = await vault.openJob(jobOf(["key", "pad", "rest"]));
    the(job.blocks).mask(padOf(job.blocks.slice(1)), CONTEXT);
    expect(machine.padded).toEqual([
      { block: "pad", offset: 0, length: 4096, end: "mask", boot: 1 },
      { block: "rest", offset: 0, length: 32, end: "mask", boot: 1 },
    ]);
    expect(vault.leases.blocks).toBe(3);
  });

  test("two records sealed of one block share no byte, though it came as a Buffer", async () => {
    const source = machineOf(6).boot();
    await keep(source, "key", "pad", "rest");
    using from = await source.openJob(jobOf(["key", "pad", "rest"]));
    const { key, tag } = the(from.blocks).mask(padOf(from.blocks.slice(1)), CONTEXT);
    const vault = machineOf(6).boot();
    await keep(vault, "pad", "rest");
    using to = await vault.openJob(jobOf(["pad", "rest"], 1));
    const frame = { key: Buffer.from(key), tag };
    const open = to.emptySlots[0]?.unmask(id("one"), frame, padOf(to.blocks), CONTEXT);
    if (open === undefined) throw new Error("the pads do not fit");
    const change = vault.change();
    change.keep({ ...(await open.seal()), block: id("one") }).keep({ ...(await open.seal()), block: id("two") });
    await change.commit();
    await vault.rotate((block) => (block === id("one") ? [{ offset: 0, length: 4096 }] : []));
    expect(vault.stored(id("one")).some((byte) => byte !== 0)).toBe(false);
    expect(vault.stored(id("two")).every((byte) => byte === 0)).toBe(false);
  });
});
