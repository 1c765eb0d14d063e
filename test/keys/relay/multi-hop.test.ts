// Key relay over several hops (design 5): keys between KMs that share no link, and what each hop costs.

import { describe, expect, test } from "vitest";
import { TAG_PAD } from "../../../src/keys/relay/relay-incoming.ts";
import { ask } from "../support/apps.ts";
import { asked, exchanged } from "../support/exchange.ts";
import { expectOneUse } from "../support/ledger.ts";
import { LINE_3, LINE_5, Mesh } from "../support/mesh.ts";
import { expectPadsOnce, offersIn, paddedBytes } from "../support/pads.ts";

const BLOCK_BYTES = 4096;
/** Nothing is relayed before it is asked for. */
const ON_DEMAND = { stockLow: 0, stockHigh: 1 };

describe("km-a and km-c, which share no link", () => {
  test("exchange keys through km-b as if they were neighbours", async () => {
    const mesh = await Mesh.up({ links: LINE_3, blocks: 48 });
    const given = [
      ...(await exchanged(mesh, "a", "c")),
      ...(await exchanged(mesh, "c", "a")),
      ...(await exchanged(mesh, "a", "b")),
      ...(await exchanged(mesh, "b", "c")),
    ];
    expectOneUse([...mesh.nodes.values()], given);
    expectPadsOnce(mesh);
    for (const node of mesh.nodes.values()) expect([node.id, node.vault.leases.blocks]).toEqual([node.id, 0]);
  });

  test("key-protocol 2: no key byte travels on the first hop, and on the second only under the pad", async () => {
    const mesh = await Mesh.up({ links: LINE_3, blocks: 8, policy: ON_DEMAND });
    await exchanged(mesh, "a", "c");
    const [first, second] = offersIn(mesh).filter(({ destination }) => destination === "km-c");
    expect([first?.protection.scheme, first?.key.length, first?.transit]).toEqual(["link", 0, ["km-b"]]);
    expect([second?.protection.scheme, second?.key.length]).toEqual(["otp", BLOCK_BYTES]);
    expect([second?.requestId, second?.keyId, second?.transit]).toEqual([
      first?.requestId,
      first?.keyId,
      first?.transit,
    ]);
  });

  test.each([
    ["one by one", ON_DEMAND, 1],
    ["several at once", { stockLow: 3, stockHigh: 4 }, 2],
  ])("whose keys go %s: pads go on where the last ended, however many blocks have come since", async (...given) => {
    const [, policy, keys] = given;
    const mesh = await Mesh.up({ links: LINE_3, blocks: 30, keepBlocks: 16, policy });
    for (let round = 0; round < 4; round++) {
      for (let key = 0; key < keys; key++) {
        expect((await asked(mesh, "a", "c", 1, 24_000)).outcome).toBe("granted");
      }
      mesh.make(60);
      await mesh.run(500);
    }
    expect(mesh.node("b").recorder.count("kma_keys_relayed", { link: "bc" })).toBeGreaterThan(1);
    for (const node of mesh.nodes.values()) expect(node.recorder.count("relays_refused")).toBe(0);
  });

  test("remember of each KMA-key how it came", async () => {
    const mesh = await Mesh.up({ links: LINE_3, blocks: 48 });
    const routes = (at: string, to: string) =>
      new Set(
        mesh
          .peer(at, to)
          .stock.keys()
          .map(({ route }) => route),
      );
    expect([routes("a", "b"), routes("a", "c")]).toEqual([new Set(["direct"]), new Set(["relayed"])]);
    await mesh.reboot("a");
    expect([routes("a", "b"), routes("a", "c")]).toEqual([new Set(["direct"]), new Set(["relayed"])]);
  });

  test("get no key without a route, and are told so", async () => {
    const mesh = await Mesh.up({ links: ["ab", "cd"] });
    const refused = ask(mesh.node("a").km, { app: "app-a", to: "app-c" });
    expect([refused.fault?.code, refused.fault?.message]).toEqual(["NO_ROUTE", "no link and no route leads to km-c"]);
  });
});

test("design 5: a line of five nodes, in both directions", async () => {
  const mesh = await Mesh.up({ links: LINE_5, blocks: 100 });
  await exchanged(mesh, "a", "e");
  await exchanged(mesh, "e", "a");
  await exchanged(mesh, "b", "e");
  expectPadsOnce(mesh);
});

test("key-protocol 2: each hop costs the block and 32 bytes of link key, no more", async () => {
  const mesh = await Mesh.up({ links: LINE_5, blocks: 24, policy: ON_DEMAND });
  for (let round = 0; round < 4; round++) await exchanged(mesh, "a", "e", 8);
  const keys = offersIn(mesh).filter(({ protection }) => protection.scheme === "link").length;
  expect(keys).toBeGreaterThanOrEqual(1);
  for (const [name, link] of [
    ["b", "bc"],
    ["c", "cd"],
    ["d", "de"],
  ] as const) {
    const { recorder } = mesh.node(name);
    expect([name, paddedBytes(mesh, name)]).toEqual([name, keys * (BLOCK_BYTES + TAG_PAD)]);
    expect(recorder.count("kma_keys_relayed", { link })).toBe(keys);
    expect(recorder.count("pad_bytes", { link, direction: "out" })).toBe(keys * (BLOCK_BYTES + TAG_PAD));
    expect(recorder.count("transits")).toBe(keys);
  }
  expect(paddedBytes(mesh, "a") + paddedBytes(mesh, "e")).toBe(0);
});

test("a key of larger blocks travels over a link of smaller ones, under pads of several", async () => {
  const mesh = await Mesh.up({ links: LINE_3, blocks: 20, policy: ON_DEMAND, blockBytesOf: { ab: 8192 } });
  await exchanged(mesh, "a", "c");
  const [otp] = offersIn(mesh).flatMap(({ protection }) => (protection.scheme === "otp" ? [protection] : []));
  expect(otp?.pads.map(({ offset, length }) => [offset, length])).toEqual([
    [0, 4096],
    [0, 4096],
    [0, 32],
  ]);
  await exchanged(mesh, "c", "a");
  expectPadsOnce(mesh);
});
