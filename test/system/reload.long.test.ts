// Design 15: a thousand reloads under load, and nobody who stays notices one.

import { expect, test, vi } from "vitest";
import { startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";
import { reloadUnderLoad } from "./support/reloads.ts";

/** A reload takes a tenth of a second, and ten times that where much else runs. */
vi.setConfig({ testTimeout: 1_800_000 });

const RELOADS = 1_000;

test("1,000 reloads with applications added, removed and moved: no request fails but those of removed ones", async () => {
  await using network = await startNetwork(PAIR);
  await network.stocked();
  const before = await Promise.all(network.kms.map((km) => km.status()));
  const { reloads, requests } = await reloadUnderLoad(network, RELOADS);
  console.log(`${reloads} reloads beside ${requests} requests`);
  expect(reloads).toBe(RELOADS);
  const after = await Promise.all(network.kms.map((km) => km.status()));
  expect(after.map(({ peers }) => peers.map(({ connected }) => connected))).toEqual(
    before.map(({ peers }) => peers.map(({ connected }) => connected)),
  );
});
