// One end's store is lost, zeroised, or an old copy of it comes back, while the other end's is full: what has to hold.

import { expect } from "vitest";
import { eventually } from "./eventually.ts";
import type { Km } from "./km.ts";
import type { Network } from "./network.ts";
import { Oracle } from "./oracle.ts";
import { PAIR, type Plan } from "./plan.ts";
import { logsHoldNoKey } from "./secrecy.ts";
import { Traffic } from "./traffic.ts";

/** What the cases are played on, one after the other. */
export const LOSING: Plan = {
  ...PAIR,
  links: [{ id: "ab", kms: ["km-a", "km-b"], module: { rateBitsPerS: 4_000_000 } }],
  config: {
    node: { log_level: "debug" },
    supply: { stock_low: 2, stock_high: 3 },
    links: { "*": { block_bytes: 16_384, keep_blocks: 4_096 } },
  },
};
/** The KM that it happens to: an app of it, and one of the other KM. */
const APPS = {
  "km-a": { own: "app-a1", other: "app-b1" },
  "km-b": { own: "app-b2", other: "app-a2" },
} as const;
type Victim = keyof typeof APPS;

/** How a KM that runs comes to have nothing; it has ended after that. */
const LOSSES = {
  "loses its store": async (km: Km): Promise<void> => {
    expect(await km.kill("SIGTERM")).toBe(0);
    km.deleteStore();
  },
  "is zeroised": async (km: Km): Promise<void> => {
    await km.control("zeroise");
    expect(await km.exited).toBe(0);
  },
} as const;

/** key-protocol 5: supply goes on from new key; what the victim had supplied is still fetched. @throws when not */
export async function loseAll(network: Network, victim: Victim, how: keyof typeof LOSSES): Promise<void> {
  const { own, other } = APPS[victim];
  const traffic = new Traffic(network, new Oracle());
  const km = network.km(victim);
  await network.stocked();
  const before = await traffic.bothWays(own, other);
  await LOSSES[how](km);
  const begin = await startAnew(network, km);
  // A token that was zeroised has no keys that a new store could miss.
  expect(alarms(km, begin)).toEqual(how === "loses its store" ? ["store_missing"] : []);
  await traffic.areGone(before.toOne);
  await traffic.fetch(before.toOther);
  await goesOn(network, traffic, victim);
}

/** design 7: the copy raises an alarm and is not used. @throws when it does not, or is */
export async function restoreCopy(
  network: Network,
  victim: Victim,
  parts: readonly ("store" | "token")[],
): Promise<void> {
  const { own, other } = APPS[victim];
  const traffic = new Traffic(network, new Oracle());
  const km = network.km(victim);
  await network.stocked();
  const before = await traffic.bothWays(own, other);
  expect(await km.kill("SIGTERM")).toBe(0);
  const backup = km.backUp();
  await startAnew(network, km);
  await traffic.fetch(before.toOne.slice(0, 20));
  const between = await traffic.bothWays(own, other);
  expect(await km.kill("SIGTERM")).toBe(0);
  backup.restore(...parts);
  const begin = await startAnew(network, km);
  expect(alarms(km, begin)).toContain("restored");
  expect((await km.metrics()).sum("qkm_alarms_total", { alarm: "restored" })).toBeGreaterThan(0);
  const fetchedThere = traffic.oracle.inState("fetched").filter(({ pair }) => pair.destination === victim);
  await traffic.areGone([...fetchedThere, ...before.toOne.slice(20)]);
  await traffic.fetch([...before.toOther, ...between.toOther]);
  await goesOn(network, traffic, victim);
}

/** More than the whole stock, 48 KiB, is supplied in both directions, all of it new, and all of it can be fetched. */
async function goesOn(network: Network, traffic: Traffic, victim: Victim): Promise<void> {
  const { own, other } = APPS[victim];
  for (let again = 0; again < 3; again++) {
    const { toOne, toOther } = await traffic.bothWays(own, other);
    await traffic.fetch(toOne);
    await traffic.fetch(toOther);
  }
  expect(traffic.oracle.violations).toEqual([]);
  logsHoldNoKey(network, traffic.oracle);
}

/** Starts a KM and waits until both ends have synchronised anew and have key; gives where its log of this start begins. */
async function startAnew(network: Network, km: Km): Promise<number> {
  const from = network.kms.map((one) => one.logBytes);
  await km.start();
  const isAnew = (one: Km, index: number) => one.logLines(from[index]).some(({ event }) => event === "synchronised");
  await eventually("both ends are synchronised anew", () => network.kms.every(isAnew));
  await network.stocked();
  return from[network.kms.indexOf(km)] ?? 0;
}

const alarms = (km: Km, fromByte: number) => km.logLines(fromByte).flatMap(({ alarm }) => alarm ?? []);
