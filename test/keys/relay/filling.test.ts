// Filling a stock from its low mark up to the high one, when many relays end with one commit.

import { expect, test } from "vitest";
import { Network } from "../support/network.ts";

test("design 5: relays that end together fill the stock up to its high mark, not nearly", async () => {
  const network = new Network({ keepBlocks: 256, policy: { stockLow: 1, stockHigh: 24 } });
  for (const { machine } of [network.a, network.b]) machine.isShared = true;
  await network.a.boot();
  await network.b.boot();
  network.wire.connect();
  network.modules.make(120);
  await network.run(2_000);
  for (const [node, other] of [
    [network.a, network.b],
    [network.b, network.a],
  ] as const) {
    expect(node.parts.peers.get(other.id)?.stock).toMatchObject({ size: 24, inFlight: 0, relaysEnded: 24 });
  }
});
