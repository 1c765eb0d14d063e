// A store is lost, or comes back as an old copy: each once, one after the other on one network.

import { afterAll, beforeAll, test, vi } from "vitest";
import { type Network, startNetwork } from "./support/network.ts";
import { LOSING, loseAll, restoreCopy } from "./support/restores.ts";

vi.setConfig({ testTimeout: 120_000 });

let network: Network;
beforeAll(async () => {
  network = await startNetwork(LOSING);
});
afterAll(() => network?.[Symbol.asyncDispose]());

test("key-protocol 5: a KM that loses its store is supplied for with new key alone, and what it had supplied is still fetched", () =>
  loseAll(network, "km-a", "loses its store"));

test("design 7: an old copy of store and token raises an alarm by what the peer has seen, and nothing is used twice", () =>
  restoreCopy(network, "km-b", ["store", "token"]));
