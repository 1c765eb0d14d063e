// A link that an operator takes out of use, and puts back.

import { expect, test } from "vitest";
import { kmId } from "../../../src/core/ids.ts";
import { LinkAdmin } from "../../../src/keys/links/link-admin.ts";
import { ask } from "../support/apps.ts";
import { exchanged } from "../support/exchange.ts";
import { expectAgreement, expectOneUse } from "../support/ledger.ts";
import { Mesh } from "../support/mesh.ts";
import { Network } from "../support/network.ts";
import { offersIn } from "../support/pads.ts";

const wish = { app: "app-a1", to: "app-b1" } as const;

test("out of use: nothing is taken in, relayed or accepted; the stock is supplied, then NO_ROUTE at once", async () => {
  const network = await Network.up({ blocks: 6, policy: { stockLow: 1, stockHigh: 1 } });
  expect(network.a.km.useLink("ab", false)).toBe(true);
  expect(network.a.km.useLink("ab", false)).toBe(false);
  expect(network.a.recorder.count("alarms", { alarm: "link_out_of_use" })).toBe(1);
  network.modules.make(8);
  await network.run(5000);
  expect(network.modules.waiting(0)).toBeGreaterThan(0);
  expect(network.modules.waiting(1)).toBe(0);
  expect(network.a.parts.links.get("ab")).toMatchObject({ usable: 0, agreement: "refused" });
  expect(network.b.recorder.count("relays_refused", { fault: "PROTECTION_REFUSED" })).toBe(0);
  const sent = network.a.recorder.count("kma_keys_sent");
  const first = ask(network.a.km, wish);
  await network.run(10);
  expect(first.outcome).toBe("granted");
  const large = ask(network.a.km, { ...wish, count: 120 });
  await network.run(10);
  expect(large.outcome).toBe("granted");
  const late = ask(network.a.km, { ...wish, count: 120 });
  await network.run(10_000);
  expect(late.outcome).toBe("refused");
  expect(network.a.recorder.count("kma_keys_sent")).toBe(sent);
});

test("what the other end relays over it meanwhile is refused, and its keys go on when it is back", async () => {
  const network = await Network.up({ blocks: 8, policy: { stockLow: 1, stockHigh: 1 } });
  network.a.km.useLink("ab", false);
  const held = network.a.recorder.count("kma_keys_held");
  const asked = ask(network.b.km, { app: "app-b1", to: "app-a1", count: 100 });
  await network.run(1000);
  expect(asked.outcome).toBe("granted");
  const waits = ask(network.b.km, { app: "app-b1", to: "app-a1", count: 100 });
  await network.run(6000);
  expect(waits.outcome).toBe("refused");
  expect(network.a.recorder.count("kma_keys_held")).toBe(held);
  network.a.km.useLink("ab", true);
  network.modules.make(8);
  await network.run(90_000);
  expect(network.modules.waiting(0)).toBe(0);
  for (const [node, wanted] of [
    [network.a, wish],
    [network.b, { app: "app-b1", to: "app-a1" }],
  ] as const) {
    const again = ask(node.km, wanted);
    await network.run(1000);
    expect(again.outcome).toBe("granted");
  }
  expectAgreement(network.a, network.b);
});

test("a stop ends the intake that waits for the link, and a start has it in use again", async () => {
  const network = await Network.up({ blocks: 4 });
  network.a.km.useLink("ab", false);
  network.modules.make(4);
  await network.run(100);
  await network.a.km.stop();
  await network.reboot(network.a);
  await network.run(1000);
  expect(network.a.parts.links.get("ab")?.agreement).toBe("agreed");
  expect(network.modules.waiting(0)).toBe(0);
  expectOneUse([network.a, network.b], []);
});

test("a link that is not configured is refused by name", async () => {
  const network = await Network.up({ blocks: 0 });
  expect(() => network.a.km.useLink("xy", false)).toThrow("this KM has no link xy");
});

test("waiting for use ends with use and with the signal", async () => {
  const use = new LinkAdmin();
  const stop = new AbortController();
  await use.whenOn(stop.signal);
  use.set(false);
  const both = [use.whenOn(stop.signal), use.whenOn(new AbortController().signal)];
  stop.abort();
  await both[0];
  await use.whenOn(stop.signal);
  use.set(true);
  await both[1];
});

test("keys go around a link out of use, in both directions, and over it again when it is back", async () => {
  const mesh = await Mesh.up({ links: ["ab", "bc", "ac"], blocks: 40 });
  const nodes = [...mesh.nodes.values()];
  const viaC = () => offersIn(mesh).filter(({ transit }) => transit.includes(kmId("km-c"))).length;
  mesh.node("a").km.useLink("ab", false);
  const given = [];
  for (let round = 0; round < 4; round++) {
    given.push(...(await exchanged(mesh, "a", "b", 100)), ...(await exchanged(mesh, "b", "a", 100)));
    mesh.make(20);
    await mesh.run(3000);
  }
  expect(viaC()).toBeGreaterThan(0);
  mesh.node("a").km.useLink("ab", true);
  mesh.make(20);
  await mesh.run(90_000);
  const around = viaC();
  given.push(...(await exchanged(mesh, "a", "b", 100)));
  await mesh.run(3000);
  expect(viaC()).toBe(around);
  expectOneUse(nodes, given);
});
