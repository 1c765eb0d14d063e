// After thousands of keys over Ak and ETSI 014 no KM has one of them in its memory, nor any other key outside its vault.

import { type TestContext, test } from "vitest";
import type { HandedKey } from "../system/support/doors.ts";
import { eventually } from "../system/support/eventually.ts";
import { type Network, startNetwork } from "../system/support/network.ts";
import { type Overrides, PAIR, type PlannedLink } from "../system/support/plan.ts";
import { quiet, rest } from "../system/support/quiet.ts";
import { line } from "../system/support/shapes.ts";
import { stallAk, stallEtsi } from "../system/support/stalled.ts";
import { Apps, type Errand } from "./support/apps.ts";
import { memoryHolds } from "./support/hold.ts";
import { seededPlan } from "./support/material.ts";
import { obstacleTo } from "./support/process-memory.ts";

const BITS_PER_S = 8_000_000;

/** Relayed keys both ways, by both doors, of several sizes; and keys of two apps of one KM. */
const ERRANDS: readonly Errand[] = [
  { door: "ak", from: "app-a1", to: "app-b1", keys: 4_000 },
  { door: "ak", from: "app-b1", to: "app-a2", keys: 1_000, atOnce: 500 },
  { door: "ak", from: "app-b2", to: "app-a1", keys: 20, bits: 32_704, atOnce: 10 },
  { door: "etsi014", from: "app-a1", to: "app-b1", keys: 1_500 },
  { door: "etsi014", from: "app-b2", to: "app-a2", keys: 500, atOnce: 1 },
  { door: "etsi014", from: "app-a2", to: "app-b2", keys: 20, bits: 32_704, atOnce: 10 },
  { door: "ak", from: "app-a1", to: "app-a2", keys: 1_000 },
  { door: "etsi014", from: "app-a2", to: "app-a1", keys: 500 },
];

function plan(config: Overrides, link: Partial<PlannedLink> = {}) {
  const links = PAIR.links.map((usual) => ({
    ...usual,
    ...link,
    module: { rateBitsPerS: BITS_PER_S, ...link.module },
  }));
  return seededPlan({ ...PAIR, links, config });
}

/** A test that cannot look says why, and is skipped. */
function skipIfBlind({ skip }: TestContext, network: Network): void {
  const obstacle = obstacleTo(network.kms[0]?.pid ?? 0);
  skip(obstacle !== undefined, obstacle);
}

const WAYS: readonly [string, ReturnType<typeof plan>][] = [
  ["the token seals every block, and the line is protected", plan({})],
  [
    "data keys seal, epochs turn, and the line is bare and bad",
    plan(
      { token: { seal: "envelope", epoch_s: 2 } },
      { bare: true, module: { flipBytes: 0.000_01, dropBytes: 0.000_01 } },
    ),
  ],
];

test.for(WAYS)("design 3.5: no key is left in memory where %s", async ([, planned], context) => {
  await using network = await startNetwork(planned);
  skipIfBlind(context, network);
  await network.stocked();
  await using apps = new Apps(network);
  for (const errand of ERRANDS) await apps.run(errand);
  for (let times = 0; times < 10; times++) await apps.supplyExpectant("app-a1", "app-b2", 50);
  await quiet(network);
  await memoryHolds(network, { handedOut: () => apps.fetched });
  await Promise.all(network.kms.map((km) => km.kill("SIGTERM").then(() => km.start())));
  await network.stocked();
  await quiet(network);
  await memoryHolds(network, { handedOut: () => apps.fetched });
});

test("design 3.5: no key is left in memory of keys relayed through another KM, by its transit least, nor of sessions", async (context) => {
  const plan = line(3, BITS_PER_S);
  await using network = await startNetwork(seededPlan(plan));
  skipIfBlind(context, network);
  await network.stocked();
  await using apps = new Apps(network);
  for (const door of ["ak", "etsi014"] as const) {
    await apps.run({ door, from: "app-a", to: "app-c", keys: 1_000, atOnce: 50 });
    await apps.run({ door, from: "app-c", to: "app-a", keys: 1_000, atOnce: 50 });
  }
  await apps.session("app-a", "app-c", 1_000);
  await apps.session("app-c", "app-b", 500);
  await quiet(network);
  await memoryHolds(network, { handedOut: () => apps.fetched });
});

test("design 8: a block that comes back into memory comes without the keys that have left", async (context) => {
  await using network = await startNetwork(
    plan({
      memory: { slab_bytes: 1 << 18 },
      supply: { stock_low: 90, stock_high: 100 },
      links: { "*": { block_bytes: 4_096 } },
    }),
  );
  skipIfBlind(context, network);
  await network.stocked();
  await using apps = new Apps(network);
  const [there, back] = [
    { door: "ak", from: "app-a1", to: "app-b1" },
    { door: "ak", from: "app-b1", to: "app-a1" },
  ] as const;
  const carved = [...(await apps.supply(there, { number: 2, size: 8_000 }))];
  const supplied: HandedKey[] = [];
  for (let batch = 0; batch < 90; batch++) supplied.push(...(await apps.supply(back, { number: 4, size: 8_000 })));
  // Of each KMA-key one key is fetched, then those of the next, until all of them have been in memory twice.
  for (const part of [0, 1]) {
    for (const key of supplied.filter((_, index) => index % 4 === part)) await apps.fetch(back, [key]);
  }
  carved.push(...(await apps.supply(there, { number: 1, size: 8_000 })));
  await quiet(network);
  await memoryHolds(network, { handedOut: (km) => (km === "km-a" ? [...carved, ...apps.fetched] : supplied) });
});

test("design 8: answers that nobody reads leave nothing, neither while they wait nor when they are given up", async (context) => {
  await using network = await startNetwork(plan({ supply: { stock_low: 14, stock_high: 16 } }));
  skipIfBlind(context, network);
  await network.stocked();
  await using apps = new Apps(network);
  await apps.run({ door: "ak", from: "app-a2", to: "app-b1", keys: 100 });
  const stalled = [
    stallAk(network.app("app-a1"), "app-b1"),
    stallEtsi(network.app("app-a1"), "app-b1"),
    stallEtsi(network.app("app-a2"), "app-a1"),
  ];
  const supplied = async () => (await network.km("km-a").metrics()).sum("qkm_keys_supplied_total");
  await eventually("much is supplied that nobody reads", async () => (await supplied()) > 10_000);
  await rest("supply", supplied);
  // A block that is just coming off its line lies in the memory of the connection for a moment.
  await quiet(network);
  const expected = { handedOut: () => apps.fetched, short: true };
  await memoryHolds(network, expected);
  for (const client of stalled) client[Symbol.dispose]();
  await rest("supply", supplied);
  await memoryHolds(network, expected);
});
