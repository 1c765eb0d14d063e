// A link whose key comes from a vendor's ETSI 014 boxes: real KMs, simulated boxes (docs/sources.md).

import { afterAll, beforeAll, expect, test } from "vitest";
import { type BoxNetwork, startBoxNetwork } from "./support/boxes.ts";
import { eventually } from "./support/eventually.ts";
import { akFetch, akSupply } from "./support/keys.ts";

/** KMA-keys that a test leaves in stock: below `stock_low`, so that blocks are wanted. */
const LEFT = 1;

let made: BoxNetwork;
beforeAll(async () => {
  made = await startBoxNetwork("etsi014", {
    config: { supply: { stock_low: 2, stock_high: 3 } },
    link: { keep_blocks: 8 },
  });
  await made.network.stocked();
});
afterAll(async () => {
  await made?.[Symbol.asyncDispose]();
});

async function lineAt(km: string) {
  const { links } = await made.network.km(km).status();
  return { line: links[0]?.line, alarms: links[0]?.alarms ?? [] };
}

test("keys of applications are made of the boxes' keys, in both directions", async () => {
  const [a, b] = [made.network.app("app-a1"), made.network.app("app-b1")];
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const supplied = await one.encKeys(other.id, { number: 4, size: 512 });
    const ids = supplied.map(({ id }) => id);
    expect(await other.decKeys(one.id, ids)).toEqual(supplied);
  }
  await using client = await a.connectAk();
  const [key] = await akSupply(client, b.id);
  await using peer = await b.connectAk();
  expect(await akFetch(peer, a.id, [key?.id ?? ""])).toEqual([key]);
});

test("boxes are shown as a link's line: up, and with whom", async () => {
  for (const km of ["km-a", "km-b"]) expect(await lineAt(km)).toEqual({ line: "up", alarms: [] });
  const { links } = await made.network.km("km-a").status();
  expect(links[0]).toMatchObject({ id: "ab", module: "box-a" });
});

test("while a box is away keys come from stock and the alarm says so; when it is back, blocks come again", async () => {
  const { boxes, network } = made;
  const a = network.app("app-a1");
  await boxes.unplug("b");
  const drain = async () => {
    // Blocks are wanted again when some were used; the last ones stay.
    const { peers } = await network.km("km-a").status();
    if (peers.every(({ kmaKeys }) => kmaKeys > LEFT)) await a.encKeys("app-b1", { number: 128, size: 1024 });
    return (await lineAt("km-b")).alarms.includes("box-unreachable");
  };
  await eventually("km-b finds its box away", drain, 60_000);
  const [key] = await a.encKeys("app-b1");
  expect(await network.app("app-b1").decKeys("app-a1", [key?.id ?? ""])).toEqual([key]);
  await boxes.plug("b");
  await eventually("km-b finds its box back", async () => (await lineAt("km-b")).line === "up", 60_000);
});
