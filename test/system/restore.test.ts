// A store is lost while the other end's is full. Copies that come back, and all else: test/system/restore.long.test.ts.

import { afterAll, beforeAll, test } from "vitest";
import { type Network, startNetwork } from "./support/network.ts";
import { LOSING, loseAll } from "./support/restores.ts";

let network: Network;
beforeAll(async () => {
  network = await startNetwork(LOSING);
});
afterAll(() => network?.[Symbol.asyncDispose]());

test("key-protocol 5: a KM that loses its store is supplied for with new key alone, and what it had supplied is still fetched", () =>
  loseAll(network, "km-a", "loses its store"));
