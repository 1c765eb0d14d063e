// One end's store is lost, zeroised, or an old copy of it comes back, while the other end's is full.

import { describe, expect, test } from "vitest";
import { eventually } from "./support/eventually.ts";
import type { Km } from "./support/km.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { Oracle } from "./support/oracle.ts";
import { PAIR, type Plan } from "./support/plan.ts";
import { logsHoldNoKey } from "./support/secrecy.ts";
import { Traffic } from "./support/traffic.ts";

const PLAN: Plan = {
  ...PAIR,
  links: [{ id: "ab", kms: ["km-a", "km-b"], module: { rateBitsPerS: 12_000_000 } }],
  config: { node: { log_level: "debug" }, links: { "*": { block_bytes: 16_384 } } },
};
const TIMEOUT = { timeout: 120_000 };
/** The KM that it happens to, an app of it, and one of the other KM. */
const ENDS = [
  { victim: "km-a", own: "app-a1", other: "app-b1" },
  { victim: "km-b", own: "app-b2", other: "app-a2" },
] as const;

/** Starts a KM and waits until both ends have synchronised anew and have key; gives where its log of this start begins. */
async function startAnew(network: Network, km: Km): Promise<number> {
  const from = network.kms.map((one) => one.logBytes);
  await km.start();
  const isAnew = (one: Km, index: number) =>
    one.logLines(from[index]).some(({ message }) => message === "synchronised with the peer");
  await eventually("both ends are synchronised anew", () => network.kms.every(isAnew));
  await network.stocked();
  return from[network.kms.indexOf(km)] ?? 0;
}

const alarms = (km: Km, fromByte: number) => km.logLines(fromByte).flatMap(({ alarm }) => alarm ?? []);

describe.each(ENDS)("$victim", ({ victim, own, other }) => {
  const loses: readonly [string, (km: Km) => Promise<void>][] = [
    [
      "loses its store",
      async (km) => {
        expect(await km.kill("SIGTERM")).toBe(0);
        km.deleteStore();
      },
    ],
    [
      "is zeroised",
      async (km) => {
        await km.control("zeroise");
        expect(await km.exited).toBe(0);
      },
    ],
  ];

  test.each(loses)(
    "key-protocol 5: a KM that %s is supplied for with new key alone, and what it had supplied is still fetched",
    TIMEOUT,
    async (_what, lose) => {
      await using network = await startNetwork(PLAN);
      const traffic = new Traffic(network, new Oracle());
      const km = network.km(victim);
      await network.stocked();
      const before = await traffic.bothWays(own, other);
      await lose(km);
      const begin = await startAnew(network, km);
      expect(alarms(km, begin)).toEqual([]);
      await traffic.areGone(before.toOne);
      await traffic.fetch(before.toOther);
      for (let again = 0; again < 4; again++) {
        const after = await traffic.bothWays(own, other);
        await traffic.fetch([...after.toOne]);
        await traffic.fetch([...after.toOther]);
      }
      expect(traffic.oracle.violations).toEqual([]);
      logsHoldNoKey(network, traffic.oracle);
    },
  );

  const copies: readonly [string, ("store" | "token")[]][] = [
    ["store", ["store"]],
    ["store and token", ["store", "token"]],
  ];

  test.each(copies)(
    "design 7: an old copy of the %s that comes back raises an alarm, and nothing is used twice",
    TIMEOUT,
    async (_what, parts) => {
      await using network = await startNetwork(PLAN);
      const traffic = new Traffic(network, new Oracle());
      const km = network.km(victim);
      await network.stocked();
      const before = await traffic.bothWays(own, other);
      await km.kill("SIGTERM");
      const backup = km.backUp();
      await startAnew(network, km);
      await traffic.fetch(before.toOne.slice(0, 20));
      const between = await traffic.bothWays(own, other);
      await km.kill("SIGTERM");
      backup.restore(...parts);
      const begin = await startAnew(network, km);
      expect(alarms(km, begin)).toContain("restored");
      expect((await km.metrics()).sum("qkm_alarms_total", { alarm: "restored" })).toBeGreaterThan(0);
      const fetched = traffic.oracle.inState("fetched");
      await traffic.areGone(fetched.filter(({ pair }) => pair.destination === victim));
      await traffic.fetch([...before.toOther, ...between.toOther]);
      for (let again = 0; again < 4; again++) {
        const after = await traffic.bothWays(own, other);
        await traffic.fetch(after.toOne);
        await traffic.fetch(after.toOther);
      }
      expect(traffic.oracle.violations).toEqual([]);
      logsHoldNoKey(network, traffic.oracle);
    },
  );
});
