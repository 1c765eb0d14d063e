// One run of the simulator from its seed to its summary: faults for some hours, then rest, then everything works again.

import type { Workload } from "./apps.ts";
import { checkEmpty, isIdle } from "./balance.ts";
import { turned } from "./clock.ts";
import { sicken } from "./sickness.ts";
import { Violation } from "./trace.ts";
import { World, type WorldOptions } from "./world.ts";

export interface RunOptions extends WorldOptions {
  /** Simulated time with faults. */
  readonly hours: number;
  /** Takes so many samples of the stock for a plot; none unless it is here. */
  readonly samples?: number;
}

export interface Outcome {
  readonly world: World;
  readonly violation: Violation | undefined;
  /** Simulated time in all, in ms. */
  readonly simulatedMs: number;
  readonly wallMs: number;
  /** Of processor, in ms, all threads of this process together. */
  readonly processorMs: number;
}

const HOUR_MS = 3_600_000;
/** Back-off of relays ends after a minute, of dialling after half of one. */
const HURT = { restMs: 180_000, quietMs: 120_000 } as const;
/** Without faults there is nothing to get over. */
const UNHURT = { restMs: 0, quietMs: 15_000 } as const;
const LIVE_ROUND_MS = 15_000;
/** Beyond the age at which the last KMA-key from the time of faults is gone: relays over dry links come by, sometime. */
const LIVE_BEYOND_MS = 300_000;
/** Housekeeping comes round, and what it ends is off the disk. */
const SILENT_BEYOND_MS = 60_000;
/** A store that has just rejected is open again, and what it missed is made up for. */
const MENDED_MS = 3000;
/** Relays that were begun with the last blocks end, well or not. */
const SETTLE_ROUNDS = 60;
const SETTLE_ROUND_MS = 1000;

export async function run(options: RunOptions): Promise<Outcome> {
  const began = performance.now();
  const usedBefore = process.cpuUsage();
  const world = new World(options);
  let violation: Violation | undefined;
  const caught = (thrown: unknown): void => {
    violation ??= thrown instanceof Violation ? thrown : new Violation("sound", stackOf(thrown));
  };
  process.on("unhandledRejection", caught);
  try {
    const ms = options.hours * HOUR_MS;
    if (options.samples !== undefined) world.watchStock((ms + HURT.restMs) / options.samples);
    await live(world, ms, options.faults === 0 ? UNHURT : HURT);
  } catch (thrown) {
    caught(thrown);
  } finally {
    // Rejections that nobody caught are told in the next turn.
    await turned();
    process.off("unhandledRejection", caught);
  }
  const { user, system } = process.cpuUsage(usedBefore);
  const [wallMs, processorMs] = [performance.now() - began, (user + system) / 1000];
  return { world, violation, simulatedMs: world.clock.nowMs, wallMs, processorMs };
}

const stackOf = (thrown: unknown): string =>
  thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);

async function live(
  world: World,
  ms: number,
  { restMs, quietMs }: { readonly restMs: number; readonly quietMs: number },
): Promise<void> {
  world.start();
  await world.runUntil(ms);
  world.heal();
  world.trace.note("faults end");
  world.rest();
  if (world.has("lasting_fault")) await goOn(world);
  await world.runUntil(world.clock.nowMs + restMs);
  await revive(world, world.sharedPeers, "all is well");
  world.quieten();
  // What this leaves on the disk is made up for, or the balance shows it.
  const isHurt = world.options.faults > 0;
  for (const node of world.nodeList) node.rejectsRemoval = isHurt;
  await world.runUntil(world.clock.nowMs + quietMs);
  for (const node of world.nodeList) node.rejectsRemoval = false;
  if (isHurt) await world.runUntil(world.clock.nowMs + MENDED_MS);
  await settle(world);
  if (isHurt && world.has("silence")) await silence(world);
  world.oracle.checks.raise();
}

/** Nodes are balanced one by one, each when nothing is under way there; at the end whatever is. */
async function settle(world: World): Promise<void> {
  let busy = world.nodeList;
  for (let round = 0; round < SETTLE_ROUNDS && busy.length > 0; round++) {
    world.oracle.balance(busy.filter(isIdle));
    busy = busy.filter((node) => !isIdle(node));
    if (busy.length > 0) await world.runUntil(world.clock.nowMs + SETTLE_ROUND_MS);
  }
  world.oracle.balance(busy);
}

/** With one KM sick, the rest of the network is served all the same. */
async function goOn(world: World): Promise<void> {
  const { what, healthy, cure } = sicken(world);
  world.trace.note(`stays sick: ${what}`);
  await world.runUntil(world.clock.nowMs + HURT.restMs);
  await revive(world, healthy, `only ${what} is sick`);
  world.trace.note("is well again");
  cure();
}

/** No wire, no module, no application, until everything that has an age is too old: then nothing is left of it. */
async function silence(world: World): Promise<void> {
  for (const wire of world.wires) {
    wire.cut("silence");
    wire.blockedUntilMs = Number.MAX_SAFE_INTEGER;
  }
  const ages = world.nodeList.map(({ settings: { policy } }) =>
    Math.max(policy.maxAgeMs + policy.fetchWindowMs, policy.sessions.idleMs),
  );
  await world.runUntil(world.clock.nowMs + Math.max(...ages) + SILENT_BEYOND_MS);
  await settle(world);
  for (const node of world.nodeList) checkEmpty(world.oracle.checks, node);
}

/** Stock for the pair is above its low mark; within a KM, and for a strict peer, other marks hold. */
function isStocked({ pair: { at, toAt } }: Workload): boolean {
  const stock = at.parts?.peers.get(toAt.id)?.stock;
  return at === toAt || at.isStrict(toAt.id) || (stock?.size ?? 0) >= at.settings.policy.stockLow;
}

/** Each of the pairs is served in bounded time, its keys are fetched, and stock is there again. */
async function revive(world: World, pairs: readonly Workload[], when: string): Promise<void> {
  const before = new Map(pairs.map((pair) => [pair, { ...pair.served }]));
  const isServed = (pair: Workload): boolean => {
    const had = before.get(pair);
    return had !== undefined && pair.served.supplied > had.supplied && pair.served.fetched > had.fetched;
  };
  // A strict peer that is full of what nobody fetches has room when that is too old.
  const ages = world.nodeList.map(({ settings: { policy } }) => policy.maxAgeMs + policy.fetchWindowMs);
  const endMs = world.clock.nowMs + Math.max(...ages) + LIVE_BEYOND_MS;
  while (world.clock.nowMs < endMs) {
    const missing = pairs.filter((pair) => !isServed(pair));
    if (missing.length === 0 && pairs.every(isStocked)) break;
    for (const pair of missing) pair.ask(true);
    await world.runUntil(world.clock.nowMs + LIVE_ROUND_MS);
  }
  for (const pair of pairs) {
    const { app, to, at, toAt } = pair.pair;
    const why = [...pair.refusals].map(([code, count]) => `${code} ${count}`).join(", ");
    const { checks } = world.oracle;
    checks.check("live", isServed(pair), () => `${app} has no key with ${to} though ${when} (${why})`);
    checks.check("live", isStocked(pair), () => `${at.id} has too little stock for ${toAt.id} though ${when}`);
  }
}
