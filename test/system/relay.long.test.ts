// Key relay over long lines, rings and a diamond while transit nodes are killed, every KM a process.

import { expect, test } from "vitest";
import { seeded } from "../keys/support/seeded.ts";
import { SEED } from "../support/seed.ts";
import { eventually } from "./support/eventually.ts";
import { Load } from "./support/load.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { Oracle } from "./support/oracle.ts";
import { padsOf, usedTwice } from "./support/pads.ts";
import type { Plan } from "./support/plan.ts";
import { diamond, line, ring } from "./support/shapes.ts";

const MIN_KEYS = 50;
const LARGEST_BITS = 8_192;
/** Keys that must come after each kill; the load takes all that is in stock, at all pairs. */
const MIN_KEYS_AGAIN = 25;
/** Within this time another route brings keys again on any machine; some twenty seconds where there is time to spare. */
const AGAIN_MS = 240_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Keys of all pairs under load, until `work` has ended; then everything is fetched. */
async function underLoad(plan: Plan, work: (network: Network, oracle: Oracle) => Promise<void>): Promise<void> {
  await using network = await startNetwork(plan);
  await network.stocked();
  const oracle = new Oracle();
  await using load = new Load(network, oracle, seeded(SEED), { largestBits: LARGEST_BITS });
  load.start();
  await work(network, oracle);
  await load.stop();
  await eventually("every KM is up and synchronised", async () => {
    const reports = await Promise.all(network.kms.map((km) => km.status()));
    return reports.every(({ peers }) => peers.every(({ synchronised }) => synchronised));
  });
  await load.fetchAll();
  expect(oracle.violations).toEqual([]);
  expect(oracle.inState("supplied").filter(({ pair }) => pair.source !== pair.destination)).toEqual([]);
  expect(usedTwice(padsOf(network.kms))).toEqual([]);
}

const between = (oracle: Oracle, source: string, destination: string): number =>
  [...oracle.keys].filter(({ pair }) => pair.source === source && pair.destination === destination).length;

test.each([2, 4, 5, 8])(
  "design 5: the ends of a line of %i KMs exchange keys under load",
  { timeout: 600_000 },
  async (kms) => {
    await underLoad(line(kms), async (network, oracle) => {
      const [first, last] = [network.kms[0]?.id ?? "", network.kms.at(-1)?.id ?? ""];
      const bothWays = () => between(oracle, first, last) >= MIN_KEYS && between(oracle, last, first) >= MIN_KEYS;
      await eventually("both ends have had keys", bothWays, 300_000);
    });
  },
);

test("design 2: links with blocks of 32 KiB and of 4 KiB follow one another, both ways", {
  timeout: 300_000,
}, async () => {
  const plan = line(3);
  const links = { ab: { block_bytes: 32_768 }, bc: { block_bytes: 4_096 } };
  await underLoad({ ...plan, config: { ...plan.config, links } }, async (_network, oracle) => {
    const bothWays = () => between(oracle, "km-a", "km-c") >= MIN_KEYS && between(oracle, "km-c", "km-a") >= MIN_KEYS;
    await eventually("both ends have had keys", bothWays, 200_000);
  });
});

test.each([
  { shape: "a ring of 5", plan: ring(5), end: "km-c", transit: ["km-b", "km-d", "km-e"] },
  { shape: "a diamond", plan: diamond(), end: "km-d", transit: ["km-b", "km-c"] },
])(
  "design 5: in $shape transit nodes are killed in the middle of relays, and keys go on",
  {
    timeout: 1_800_000,
  },
  async ({ plan, end, transit }) => {
    await underLoad(plan, async (network, oracle) => {
      // Each of them, and the first once more, when others have been gone.
      for (const id of [...transit, ...transit.slice(0, 1)]) {
        const victim = network.km(id);
        await victim.kill();
        const before = between(oracle, "km-a", end);
        await eventually(
          `keys come without ${victim.id}`,
          () => between(oracle, "km-a", end) > before + MIN_KEYS_AGAIN,
          AGAIN_MS,
        );
        await victim.start();
        await pause(1_000);
      }
    });
  },
);
