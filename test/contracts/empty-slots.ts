// What every vault must do with emptySlots and what is made in them, as tests: call it once per implementation.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { OpenJob, Vault } from "../../src/vault/vault.ts";
import { id, keep, keyOf, take } from "../vault/harness.ts";
import {
  bytesOf,
  CONTEXT,
  inHex,
  type JobBench,
  jobOf,
  madeOf,
  maskByHand,
  maskedWith,
  padOf,
  the,
  toHex,
} from "./job-bench.ts";

export function exerciseBlanks(name: string, makeBench: () => Promise<JobBench>): void {
  describe(`a emptySlot of a vault (${name})`, () => {
    let bench: JobBench;
    let vault: Vault;

    beforeEach(async () => {
      bench = await makeBench();
      vault = bench.vault;
    });
    afterEach(() => bench[Symbol.asyncDispose]());

    const opened = (names: readonly string[], emptySlots = 0) => vault.openJob(jobOf(names, emptySlots));

    test("key-protocol 2, multipath: holds the XOR of parts of one length", async () => {
      await keep(vault, "a", "b", "c");
      using job = await opened(["a", "b", "c"], 1);
      const made = the(job.emptySlots).combine(id("sum"), job.blocks);
      const [b, c] = [keyOf("b"), keyOf("c")];
      const sum = keyOf("a").map((byte, index) => byte ^ (b[index] ?? 0) ^ (c[index] ?? 0));
      expect(toHex(take(made))).toBe(toHex(sum));
      expect(take(the(job.blocks, 2))).toEqual(Buffer.from(keyOf("c")));
    });

    test("combines nothing, parts of different lengths, or one twice, never", async () => {
      await keep(vault, "a");
      const change = vault.change();
      for (const sealed of await vault.generate([id("short")], 2048)) change.keep(sealed);
      await change.commit();
      using job = await opened(["a", "short"], 1);
      const [a, short] = [the(job.blocks), the(job.blocks, 1)];
      for (const parts of [[], [a, short], [short, a], [a, a]]) {
        expect(() => the(job.emptySlots).combine(id("sum"), parts)).toThrow(RangeError);
      }
      expect(the(job.emptySlots).combine(id("sum"), [short]).length).toBe(2048);
    });

    test("takes one block, and no longer one than its slot", async () => {
      await keep(vault, "a", "b");
      using job = await opened(["a", "b"], 1);
      const masked = { key: new Uint8Array(bench.blockBytes + 1), tag: new Uint8Array(16) };
      expect(() => the(job.emptySlots).unmask(id("made"), masked, [], CONTEXT)).toThrow(RangeError);
      const none = { ...masked, key: new Uint8Array(0) };
      expect(() => the(job.emptySlots).unmask(id("made"), none, [], CONTEXT)).toThrow(RangeError);
      the(job.emptySlots).combine(id("made"), job.blocks);
      expect(() => the(job.emptySlots).combine(id("again"), job.blocks)).toThrow("in the slot of made");
    });

    test("is kept when what was made in it is sealed and committed under its name", async () => {
      await keep(vault, "a", "b");
      const made = await madeOf(vault, ["a", "b"], "sum");
      expect(vault.has(id("sum"))).toBe(true);
      using open = await vault.open(id("sum"));
      expect(toHex(take(open))).toBe(made);
      using key = await vault.keyIdKey(id("sum"));
      const tag = new Uint8Array(16);
      key.tag(CONTEXT, tag);
      expect(tag.some((byte) => byte !== 0)).toBe(true);
    });

    test("can be masked on at once, for the next hop", async () => {
      await keep(vault, "key", "in-1", "in-2", "out-1", "out-2");
      const came = await maskedWith(vault, "key", ["in-1", "in-2"]);
      await keep(vault, "in-1", "in-2");
      using job = await opened(["in-1", "in-2", "out-1", "out-2"], 1);
      const made = the(job.emptySlots).unmask(id("transit"), came, padOf(job.blocks.slice(0, 2)), CONTEXT);
      const out = padOf(job.blocks.slice(2));
      expect(made && inHex(made.mask(out, CONTEXT))).toEqual(maskByHand(keyOf("key"), bytesOf(out)));
      expect(vault.has(id("transit"))).toBe(false);
    });

    test("is of no use with its job gone, and neither is what was made in it", async () => {
      await keep(vault, "a", "b");
      const job: OpenJob = await opened(["a", "b"], 1);
      const made = the(job.emptySlots).combine(id("made"), job.blocks);
      job[Symbol.dispose]();
      expect(() => made.endTag(CONTEXT)).toThrow("after it was disposed");
      await expect(made.seal()).rejects.toThrow("after it was disposed");
      using other = await opened(["a"], 1);
      expect(() => the(job.emptySlots).combine(id("made"), other.blocks)).toThrow("disposed");
      expect(vault.health().slots.pinned).toBe(2);
    });

    test("is sealed by the token, or not at all", async () => {
      await keep(vault, "a", "b");
      using job = await opened(["a", "b"], 1);
      const made = the(job.emptySlots).combine(id("made"), job.blocks);
      await bench.vanish();
      await expect(made.seal()).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
      await expect(made.keyIdKey()).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
    });
  });
}
