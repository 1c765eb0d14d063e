// Jobs, opens, destructions, rotations, a token that comes and goes, zeroise: whatever is mixed, everything ends and nothing stays.

import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { LockedMemory } from "../../src/vault/memory/locked-memory.ts";
import type { OpenBlock, Vault } from "../../src/vault/vault.ts";
import { CONTEXT, jobOf, the, toHex } from "../contracts/job-bench.ts";
import { settled } from "../support/manual-clock.ts";
import { slowPoly1305 } from "../support/slow-poly1305.ts";
import { type Bench, BLOCK_BYTES, id, keep, keyOf, readyBench } from "./harness.ts";

/** One is the rotation's. */
const SLOTS = 6;
const USABLE = SLOTS - 1;
const NAMES = ["a", "b", "c", "d", "e", "f", "g"];

const TAGS = new Map(
  NAMES.map((name) => {
    const bytes = keyOf(name);
    return [name, slowPoly1305(bytes.subarray(32, 64), Buffer.concat([CONTEXT, bytes.subarray(64)]))];
  }),
);

/** `turns`: of the event loop, for which something stays open or passes before the next step. */
type Step =
  | { readonly do: "job"; readonly names: readonly string[]; readonly emptySlots: number; readonly turns: number }
  | { readonly do: "open" | "cached"; readonly name: string; readonly turns: number }
  | { readonly do: "destroy" | "keep"; readonly name: string }
  | { readonly do: "pass"; readonly turns: number }
  | { readonly do: "vanish" | "restore" | "rotate" | "generate" };

const name = fc.constantFrom(...NAMES);
const turns = fc.nat({ max: 12 });
const job = fc.record({
  do: fc.constant("job" as const),
  names: fc.array(name, { maxLength: 4 }),
  emptySlots: fc.nat({ max: 3 }),
  turns,
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: job },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("open" as const, "cached" as const), name, turns }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("destroy" as const, "keep" as const), name }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("pass" as const), turns }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("vanish", "restore", "rotate", "generate") }) },
) as fc.Arbitrary<Step>;

/** What it rejects with, if it does. */
const outcome = (task: Promise<unknown>): Promise<unknown> =>
  task.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

const endTag = (open: OpenBlock): string => toHex(open.endTag(CONTEXT));

/** Holds a job: its blocks are what they should be from the first to the last moment, and so is what is made in its emptySlots. */
async function holdJob(vault: Vault, { names, emptySlots, turns }: Step & { do: "job" }): Promise<void> {
  using held = await vault.openJob(jobOf(names, emptySlots));
  const made = held.emptySlots.flatMap((emptySlot, index) => {
    const part = held.blocks[index % Math.max(1, held.blocks.length)];
    return part === undefined ? [] : [{ block: emptySlot.combine(id(`made-${index}`), [part]), of: part.block }];
  });
  const right = () => {
    for (const open of held.blocks) expect(endTag(open)).toBe(TAGS.get(open.block));
    for (const { block, of } of made) expect(endTag(block)).toBe(TAGS.get(of));
  };
  right();
  // Its end is not waited for: the memory stays until it is sealed.
  const sealing = outcome(made[0]?.block.seal() ?? Promise.resolve());
  await settled(turns);
  right();
  held[Symbol.dispose]();
  const fault = await sealing;
  if (fault instanceof Error) throw fault;
}

async function hold(open: OpenBlock | undefined, turns: number): Promise<void> {
  using held = open;
  if (held === undefined) return;
  expect(endTag(held)).toBe(TAGS.get(held.block));
  await settled(turns);
  expect(endTag(held)).toBe(TAGS.get(held.block));
}

async function run(bench: Bench, step: Step): Promise<void> {
  const { vault, token } = bench;
  if (step.do === "job") await holdJob(vault, step);
  else if (step.do === "open") await hold(await vault.open(id(step.name)), step.turns);
  else if (step.do === "cached") await hold(vault.cached(id(step.name)), step.turns);
  else if (step.do === "destroy") await vault.change().destroy(id(step.name)).commit();
  else if (step.do === "keep") await keep(vault, step.name);
  else if (step.do === "vanish") token.vanish();
  else if (step.do === "restore") token.restore();
  else if (step.do === "rotate") await vault.rotate(() => []);
  else if (step.do === "generate") await vault.generate([id("local")], 100);
}

/** Faults and destroyed blocks are what may happen; anything else is a failure. */
function mayHappen(thrown: unknown): boolean {
  if (!(thrown instanceof Error) || thrown.name === "AssertionError") return false;
  const { code } = thrown as { code?: unknown };
  if (code === "HSM_UNAVAILABLE" || code === "STORE_UNAVAILABLE" || code === "STOPPING") return true;
  return thrown instanceof RangeError || /no block|was destroyed/.test(thrown.message);
}

/** All that goes on ends, when time goes on; what came of it. */
async function ended(bench: Bench, tasks: readonly Promise<unknown>[]): Promise<readonly unknown[]> {
  let results: readonly unknown[] | undefined;
  void Promise.all(tasks).then((all) => {
    results = all;
  });
  for (let round = 0; round < 60 && results === undefined; round += 1) await bench.clock.run(1000);
  if (results === undefined) throw new Error("somebody waits for ever");
  return results;
}

async function play(bench: Bench, steps: readonly Step[]): Promise<readonly Promise<unknown>[]> {
  const tasks: Promise<unknown>[] = [];
  for (const step of steps) {
    if (step.do === "pass") await settled(step.turns);
    else tasks.push(outcome(run(bench, step)));
  }
  return tasks;
}

const isZero = (region: Uint8Array): boolean => region.every((byte) => byte === 0);

/** All slots are free or can be had, and zero. */
async function expectEmpty(bench: Bench, slab: Uint8Array): Promise<void> {
  await bench.clock.run(10_000);
  expect(bench.vault.health()).toMatchObject({ token: "ready", slots: { all: SLOTS, pinned: 0 } });
  using all = await bench.vault.openJob(jobOf([], USABLE));
  expect(all.emptySlots).toHaveLength(USABLE);
  expect(isZero(slab)).toBe(true);
}

async function playWhole(steps: readonly Step[], mode: "direct" | "envelope", zeroised: boolean): Promise<void> {
  using spy = vi.spyOn(LockedMemory.prototype, "region");
  await using bench = await readyBench({ options: { mode, slabBytes: SLOTS * (BLOCK_BYTES + 64) } });
  const regions = spy.mock.results.map(({ value }) => value as Uint8Array);
  await keep(bench.vault, ...NAMES);
  bench.token.slow(() => new Promise((resolve) => setImmediate(resolve)));
  const tasks = await play(bench, steps);
  bench.token.restore();
  if (zeroised) await ended(bench, [outcome(bench.vault.zeroise())]);
  const failed = (await ended(bench, tasks)).filter((thrown) => thrown !== undefined);
  expect(failed.filter((thrown) => !mayHappen(thrown))).toEqual([]);
  if (zeroised) expect(regions.filter((region) => !isZero(region))).toEqual([]);
  else await expectEmpty(bench, the(regions));
}

test("everything ends, and every slot is zero and free at the end", async () => {
  const steps = fc.array(step, { minLength: 3, maxLength: 30 });
  const mode = fc.constantFrom("direct" as const, "envelope" as const);
  await fc.assert(fc.asyncProperty(steps, mode, fc.boolean(), playWhole), { numRuns: 60 });
});
