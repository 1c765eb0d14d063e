// A store is lost, zeroised, or comes back as an old copy: all that the short tests leave out, one after the other.

import { afterAll, beforeAll, test } from "vitest";
import { type Network, startNetwork } from "./support/network.ts";
import { LOSING, loseAll, restoreCopy } from "./support/restores.ts";

let network: Network;
beforeAll(async () => {
  network = await startNetwork(LOSING);
});
afterAll(() => network?.[Symbol.asyncDispose]());

test("key-protocol 5: the dialled KM loses its store", () => loseAll(network, "km-b", "loses its store"));

test.each(["km-a", "km-b"] as const)("key-protocol 5: %s is zeroised", (km) => loseAll(network, km, "is zeroised"));

test.each(["km-a", "km-b"] as const)("design 7: an old copy of the store of %s comes back", (km) =>
  restoreCopy(network, km, ["store"]),
);

test.each(["km-a", "km-b"] as const)("design 7: an old copy of the store and token of %s comes back", (km) =>
  restoreCopy(network, km, ["store", "token"]),
);
