// Bad and slow links for minutes: blocks of 32 KiB over a line with a byte in a hundred wrong, and scarce key shared by three apps.

import { expect, test } from "vitest";
import { eventually } from "./support/eventually.ts";
import { type Answered, ask } from "./support/https.ts";
import { idsOf } from "./support/keys.ts";
import { type Network, startNetwork } from "./support/network.ts";
import type { Plan } from "./support/plan.ts";

const NOISY: Plan = {
  kms: [
    { id: "km-a", apps: ["app-a1"] },
    { id: "km-b", apps: ["app-b1"] },
  ],
  links: [
    {
      id: "noisy",
      kms: ["km-a", "km-b"],
      module: { rateBitsPerS: 200_000, flipBytes: 0.01, dropBytes: 0.001, stallEveryS: 3, stallForS: 1 },
    },
  ],
};

test("blocks of 32 KiB come over a line with a byte in a hundred wrong, some missing and many stalls, equal at both ends", async () => {
  await using network = await startNetwork(NOISY);
  const counts = (name: string, labels = {}) =>
    Promise.all(network.kms.map(async (km) => (await km.metrics()).sum(name, labels)));
  // Each takes a minute and a half where there is time to spare.
  await eventually(
    "both ends have made a KMA-key of what came",
    async () => (await counts("qkm_kma_keys_ready_total")).every((keys) => keys >= 1),
    1_100_000,
  );
  for (const [from, to] of [
    ["app-a1", "app-b1"],
    ["app-b1", "app-a1"],
  ] as const) {
    const keys = await network.app(from).encKeys(to, { number: 600 });
    expect(await network.app(to).decKeys(from, idsOf(keys))).toEqual(keys);
  }
  expect(await counts("qkm_kma_keys_ended_total", { reason: "mismatch" })).toEqual([0, 0]);
  expect(await counts("qkm_blocks_ended_total")).toEqual([0, 0]);
  for (const faults of await counts("qkm_line_faults_total")) expect(faults).toBeGreaterThan(100);
});

const SLOW: Plan = {
  kms: [
    { id: "km-a", apps: ["app-a1", "app-a2", "app-a3"], config: { supply: { timeout_ms: 60_000 } } },
    { id: "km-b", apps: ["app-b1"] },
  ],
  // Far less than they ask for. bad-links.long.test.ts shows what a link does that is slower still.
  links: [{ id: "slow", kms: ["km-a", "km-b"], module: { rateBitsPerS: 6_000 } }],
  config: { links: { slow: { block_bytes: 4096 } } },
};
const BLOCKS = 7;
const KEYS = 25;

/** One of several requests that an app always has under way; it waits as long as it is told. */
async function keepAsking(network: Network, app: string, { on, served }: Market): Promise<void> {
  while (on.value) {
    const answer: Answered = await ask(network.app(app), "app-b1/enc_keys", { body: { number: KEYS } });
    if (answer.status === 200) {
      served.set(app, (served.get(app) ?? 0) + answer.keys.length);
      const fetched = await network.app("app-b1").decKeys(app, idsOf(answer.keys));
      expect(fetched).toEqual(answer.keys);
    } else {
      expect([answer.status, answer.message]).toEqual([503, "there is not enough key"]);
      const seconds = Number(answer.headers["retry-after"]);
      expect(seconds).toBeGreaterThan(0);
      await new Promise((resolve) => setTimeout(resolve, Math.min(seconds, 2) * 1000));
    }
  }
}

interface Market {
  readonly on: { value: boolean };
  readonly served: Map<string, number>;
}

test("6 kbit/s in blocks of 4 KiB are shared fairly by three apps, of which one asks for most", async () => {
  await using network = await startNetwork(SLOW);
  const market: Market = { on: { value: true }, served: new Map() };
  const appetites = { "app-a1": 8, "app-a2": 2, "app-a3": 2 };
  const asking = Object.entries(appetites).flatMap(([app, many]) =>
    Array.from({ length: many }, () => keepAsking(network, app, market)),
  );
  const total = () => [...market.served.values()].reduce((sum, keys) => sum + keys, 0);
  await eventually("some blocks are used up", () => total() >= (BLOCKS * 4000) / 32 - KEYS, 480_000);
  market.on.value = false;
  await Promise.all(asking);
  const shares = Object.keys(appetites).map((app) => (market.served.get(app) ?? 0) / total());
  for (const share of shares) expect(share).toBeGreaterThan(0.2);
});
