// Key relay through a transit KM that meets trouble: changed, repeated and disordered frames, dry links, dead neighbours.

import { describe, expect, test } from "vitest";
import { asFault } from "../../../src/core/fault.ts";
import type { LinkProtection, OtpProtection, RelayOffer } from "../../../src/keys/ports/peers.ts";
import { asked, exchanged } from "../support/exchange.ts";
import { expectAgreement } from "../support/ledger.ts";
import { LINE_3, LINE_5, Mesh, type MeshWanted } from "../support/mesh.ts";
import { expectPadsOnce, offersIn } from "../support/pads.ts";

/** Nothing is relayed before it is asked for. */
const ON_DEMAND = { stockLow: 0, stockHigh: 1 };
const LINE_4 = ["ab", "bc", "cd"];

/** A mesh in which the offer for `to` never arrives between two nodes, and that offer. */
async function intercepted(wanted: MeshWanted, hop: readonly [string, string], to: string) {
  const mesh = await Mesh.up({ policy: ON_DEMAND, ...wanted, blocks: 20 });
  const wire = mesh.wire(...hop);
  const [from, at] = hop.map((name) => mesh.node(name).id);
  wire.lose = (crossing) => crossing.kind === "relay" && crossing.offer.destination === `km-${to}`;
  await asked(mesh, "a", to);
  wire.lose = () => false;
  const offer = offersIn(mesh).findLast(({ source }) => source === "km-a");
  if (offer === undefined || from === undefined || at === undefined) throw new Error("nothing was offered");
  return { mesh, offer, from, at };
}

/** Gives an offer to a node as if its predecessor had sent it; the code with which it ends. */
async function offered(mesh: Mesh, from: string, at: string, offer: RelayOffer): Promise<string> {
  const connection = mesh.peer(at, from).connection;
  if (connection === undefined) throw new Error("not connected");
  let outcome = "pending";
  mesh
    .node(at)
    .km.peerEvents.relayed(connection, offer)
    .then(
      () => {
        outcome = "accepted";
      },
      (thrown: unknown) => {
        outcome = asFault(thrown).code;
      },
    );
  await mesh.run(300);
  return outcome;
}

const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));

type Twist = readonly [what: string, twist: (offer: RelayOffer) => RelayOffer];

const OF_ALL: readonly Twist[] = [
  ["request ID", (offer) => ({ ...offer, requestId: `${offer.requestId}0` })],
  ["serial", (offer) => ({ ...offer, keyId: offer.keyId.replace(/^00000000../, "0000000077") })],
  ["tag", (offer) => ({ ...offer, protection: { ...offer.protection, tag: flipped(offer.protection.tag, 3) } })],
];

const named = (change: Partial<LinkProtection>) => (offer: RelayOffer) => ({
  ...offer,
  protection: { ...(offer.protection as LinkProtection), ...change },
});
const padded = (change: (pads: OtpProtection["pads"]) => OtpProtection["pads"]) => (offer: RelayOffer) => {
  const protection = offer.protection as OtpProtection;
  return { ...offer, protection: { ...protection, pads: change(protection.pads) } };
};

const OF_LINK: readonly Twist[] = [
  ...OF_ALL,
  ["sequence", named({ sequence: 2 })],
  ["run", named({ run: 2 })],
  ["link", named({ link: "bc" as never })],
  ["source", (offer) => ({ ...offer, source: "km-c" as never })],
  ["destination", (offer) => ({ ...offer, destination: "km-b" as never })],
  ["transit list", (offer) => ({ ...offer, transit: [] })],
];

const OF_OTP: readonly Twist[] = [
  ...OF_ALL,
  ["first byte of the key", (offer) => ({ ...offer, key: flipped(offer.key, 0) })],
  ["last byte of the key", (offer) => ({ ...offer, key: flipped(offer.key, offer.key.length - 1) })],
  ["length of the key", (offer) => ({ ...offer, key: offer.key.slice(8) })],
  ["offset of a pad", padded((pads) => pads.map((pad) => ({ ...pad, offset: pad.offset + 1 })))],
  ["length of a pad", padded(([first, ...rest]) => [{ ...first, length: 1 } as never, ...rest])],
  ["order of the pads", padded((pads) => pads.toReversed())],
  ["sequence of a pad", padded((pads) => pads.map((pad) => ({ ...pad, sequence: pad.sequence + 2 })))],
  ["run of a pad", padded((pads) => pads.map((pad) => ({ ...pad, run: 7 })))],
  ["link of a pad", padded((pads) => pads.map((pad) => ({ ...pad, link: "ab" as never })))],
  ["source", (offer) => ({ ...offer, source: "km-b" as never })],
  ["transit list", (offer) => ({ ...offer, transit: ["km-a" as never, "km-b" as never] })],
];

describe("key-protocol 2: a changed frame is refused, and no key comes of it", () => {
  test.each(OF_LINK)("on the first hop: %s", async (_what, twist) => {
    const { mesh, offer } = await intercepted({ links: LINE_3 }, ["a", "b"], "c");
    expect(await offered(mesh, "a", "b", twist(offer))).not.toMatch(/accepted|pending|INTERNAL/);
    expect(mesh.peer("c", "a").held.size).toBe(0);
    expect(mesh.node("b").recorder.count("relays_refused", { direction: "in" })).toBe(1);
    await mesh.run(5000);
    await exchanged(mesh, "a", "c");
    expectPadsOnce(mesh);
  });

  test.each(OF_OTP)("on a later hop: %s", async (_what, twist) => {
    const { mesh, offer } = await intercepted({ links: LINE_3 }, ["b", "c"], "c");
    expect(offer.protection.scheme).toBe("otp");
    expect(await offered(mesh, "b", "c", twist(offer))).not.toMatch(/accepted|pending|INTERNAL/);
    expect(mesh.peer("c", "a").held.size).toBe(0);
    expect(mesh.node("c").recorder.count("relays_refused", { direction: "in" })).toBe(1);
    await mesh.run(5000);
    await exchanged(mesh, "a", "c");
    expectPadsOnce(mesh);
  });

  test("a destination that is changed to a KM on the way is none of its route", async () => {
    const { mesh, offer } = await intercepted({ links: LINE_4 }, ["b", "c"], "d");
    expect(await offered(mesh, "b", "c", { ...offer, destination: "km-c" as never })).toBe("NOT_ON_ROUTE");
  });

  test("key-protocol 6: a relay that comes after its serial was given up is kept for no one", async () => {
    const { mesh, offer } = await intercepted({ links: LINE_3 }, ["b", "c"], "c");
    mesh.wire("b", "c").lose = ({ kind }) => kind === "relay";
    await mesh.run(2500);
    expect(mesh.peer("a", "c").stock.givenUp.size).toBe(0);
    expect(mesh.node("c").machine.rows.get("peer\nkm-a")?.accepted).toBeGreaterThan(0);
    expect(await offered(mesh, "b", "c", offer)).toBe("SERIAL_SEEN");
    expect(mesh.peer("c", "a").held.size).toBe(0);
  });

  test("key-protocol 6: a serial that is not durable is not told, or its source would seem a restored copy", async () => {
    const mesh = await Mesh.up({ links: LINE_3, blocks: 8, policy: ON_DEMAND });
    const a = mesh.node("a");
    await asked(mesh, "a", "c");
    a.machine.fate = () => "rejected, lost";
    await asked(mesh, "a", "c", 1, 32_000);
    a.crash();
    a.machine.fate = () => "durable";
    for (const wire of mesh.wiresOf("a")) wire.cut();
    await a.boot();
    mesh.connect();
    await mesh.run(500);
    expect(a.recorder.count("alarms", { alarm: "restored" })).toBe(0);
    expect(mesh.peer("a", "c").isSynchronised).toBe(true);
  });

  test("serials given up are not believed from others than their source", async () => {
    const { mesh, offer } = await intercepted({ links: LINE_3 }, ["b", "c"], "c");
    await mesh.run(5000);
    await exchanged(mesh, "a", "c");
    const held = mesh.peer("c", "a").held.serials();
    const wire = mesh.wire("b", "c");
    wire.alter = (one) => ({ ...one, givenUp: held.join() });
    mesh.make(10);
    for (let round = 0; round < 8; round++) await exchanged(mesh, "a", "c", 10);
    expect(offersIn(mesh).filter(({ givenUp }) => givenUp !== "")).toEqual([]);
    expect(offer.givenUp).toBe("");
    expectAgreement(mesh.node("a"), mesh.node("c"));
  });
});

describe("a replayed frame", () => {
  test("changes nothing at a transit KM and nothing at the destination", async () => {
    const mesh = await Mesh.up({ links: LINE_3, blocks: 20, policy: ON_DEMAND });
    const keys = await exchanged(mesh, "a", "c");
    const [first, second] = offersIn(mesh).filter(({ source }) => source === "km-a");
    if (first === undefined || second === undefined) throw new Error("nothing was relayed");
    const before = offersIn(mesh).length;
    expect(await offered(mesh, "a", "b", first)).toBe("BLOCK_NOT_HELD");
    expect(await offered(mesh, "b", "c", second)).toBe("BLOCK_USED");
    expect(offersIn(mesh)).toHaveLength(before);
    expect(keys).toHaveLength(3);
    await exchanged(mesh, "a", "c");
    expectPadsOnce(mesh);
  });

  test("is refused after a restart too", async () => {
    const mesh = await Mesh.up({ links: LINE_3, blocks: 20, policy: ON_DEMAND });
    await exchanged(mesh, "a", "c");
    const [first, second] = offersIn(mesh).filter(({ source }) => source === "km-a");
    if (first === undefined || second === undefined) throw new Error("nothing was relayed");
    await mesh.reboot("b");
    await mesh.reboot("c");
    expect(await offered(mesh, "a", "b", first)).toBe("BLOCK_NOT_HELD");
    expect(await offered(mesh, "b", "c", second)).toBe("BLOCK_USED");
    await exchanged(mesh, "a", "c");
    expectPadsOnce(mesh);
  });
});

test("frames of one link that come in another order are refused, for pads are taken in order", async () => {
  const mesh = await Mesh.up({ links: LINE_3, blocks: 20, policy: ON_DEMAND });
  const wire = mesh.wire("b", "c");
  wire.lose = (crossing) => crossing.kind === "relay" && crossing.from === "km-b";
  await asked(mesh, "a", "c", 1, 32_000);
  await asked(mesh, "a", "c", 8, 32_000);
  const [one, two] = offersIn(mesh).filter(
    ({ protection, source }) => protection.scheme === "otp" && source === "km-a",
  );
  if (one === undefined || two === undefined) throw new Error("two keys were to be relayed");
  wire.lose = () => false;
  expect(await offered(mesh, "b", "c", two)).toBe("accepted");
  expect(await offered(mesh, "b", "c", one)).toBe("BLOCK_USED");
});

describe("a KM that cannot pass a key on", () => {
  test("names the hop that failed, and the source is told before it gives up itself", async () => {
    const mesh = await Mesh.up({ links: LINE_5, blocks: 40, policy: ON_DEMAND });
    mesh.wire("c", "d").lose = (crossing) => crossing.kind === "relay";
    await asked(mesh, "a", "e");
    await mesh.run(2000);
    const [result] = mesh.node("a").parts.context.relayLog.after(0);
    expect([result?.outcome, result?.failedAt]).toEqual(["RELAY_TIMEOUT", "km-d"]);
    expect(result?.ms).toBeLessThan(2000);
    expect(mesh.node("c").recorder.count("transits_failed", { fault: "RELAY_TIMEOUT" })).toBe(1);
  });

  test("says at once that the next is gone, and destroys what it was given", async () => {
    const mesh = await Mesh.up({ links: LINE_4, blocks: 20, policy: ON_DEMAND });
    mesh.wire("b", "c").cut();
    const stored = mesh.link("b", "ab").stored;
    await asked(mesh, "a", "d");
    const [result] = mesh.node("a").parts.context.relayLog.after(0);
    expect([result?.outcome, result?.failedAt]).toEqual(["PEER_UNAVAILABLE", "km-c"]);
    expect(mesh.link("b", "ab").stored).toBe(stored - 1);
    expect(mesh.node("b").recorder.count("blocks_ended", { link: "ab", reason: "given_up" })).toBe(1);
  });

  test("design 5: has no pads: the key waits for some, then is refused, and the link before it is retained", async () => {
    const mesh = await Mesh.up({ links: LINE_3, blocks: 0, policy: { ...ON_DEMAND, timeoutMs: 60_000 } });
    mesh.modules("ab").make(40);
    await mesh.run(200);
    await asked(mesh, "a", "c");
    await mesh.run(30_000);
    const results = mesh.node("a").parts.context.relayLog.after(0);
    expect(results.map(({ outcome, failedAt }) => [outcome, failedAt])).toEqual(
      results.map(() => ["INSUFFICIENT_KEYS", "km-c"]),
    );
    expect(results.length).toBeGreaterThan(2);
    expect(results.length).toBeLessThan(7);
    mesh.modules("bc").make(10);
    await mesh.run(40_000);
    expect(mesh.peer("a", "c").stock.size).toBeGreaterThan(0);
    expectPadsOnce(mesh);
  });

  test("waits for pads that come in time", async () => {
    const mesh = await Mesh.up({ links: LINE_3, blocks: 0, policy: ON_DEMAND });
    mesh.modules("ab").make(4);
    await mesh.run(200);
    const request = await asked(mesh, "a", "c");
    expect(request.outcome).toBeUndefined();
    mesh.modules("bc").make(8);
    await mesh.run(200);
    expect(request.outcome).toBe("granted");
  });
});

test("a block that the next hop has no more is named once, and its rest, which is as old, not at all", async () => {
  const mesh = await Mesh.up({ links: LINE_3, blocks: 40, policy: ON_DEMAND });
  await exchanged(mesh, "a", "c");
  /** As on a link that brings many: what is begun at one end is old at the other when it is named. */
  const age = (): void => {
    const { begun } = mesh.link("b", "bc").pads;
    if (begun !== undefined) mesh.link("c", "bc").leave(begun.block.id);
  };
  age();
  await asked(mesh, "a", "c", 1, 32_000);
  const lost = { link: "bc", direction: "out", reason: "gap" } as const;
  expect(mesh.node("b").recorder.count("pad_bytes_lost", lost)).toBeGreaterThan(0);
  for (let round = 0; round < 5; round++) {
    age();
    await mesh.run(5000);
  }
  expect(mesh.node("c").recorder.count("relays_refused", { fault: "BLOCK_NOT_HELD" })).toBe(1);
  expect(mesh.peer("a", "c").stock.size).toBeGreaterThan(0);
  expectPadsOnce(mesh);
});

test("design 4: transit pads and the stock of a neighbour have their turns on a scarce link", async () => {
  const mesh = await Mesh.up({
    links: LINE_3,
    blocks: 0,
    policy: { stockLow: 30, stockHigh: 30, relayTimeoutMs: 60_000 },
  });
  mesh.modules("ab").make(140);
  await mesh.run(100);
  for (let round = 0; round < 40; round++) {
    mesh.modules("bc").make(2);
    await mesh.run(100);
  }
  const [own, passed] = [mesh.peer("b", "c").stock.size, mesh.node("b").recorder.count("transits", { to: "km-c" })];
  expect(own + passed).toBeGreaterThan(35);
  expect(Math.abs(own - passed)).toBeLessThan(8);
});

test("design 3.6: relays under way through a KM are bounded, and more are refused as BUSY", async () => {
  const around = ["c", "d", "e", "f", "g"];
  const links = ["ab", ...around.map((name) => `b${name}`)];
  const mesh = new Mesh({ links, keepBlocks: 400, policy: { stockLow: 8, stockHigh: 8 } });
  for (const name of around) mesh.wire("b", name).lose = ({ kind, from }) => kind === "relay" && from === "km-b";
  for (const node of mesh.nodes.values()) await node.boot();
  mesh.connect();
  mesh.make(150);
  await mesh.run(900);
  const { recorder } = mesh.node("b");
  expect(
    offersIn(mesh).filter(({ source, protection }) => source === "km-a" && protection.scheme === "otp"),
  ).toHaveLength(32);
  expect(recorder.count("transits_failed", { from: "km-a", fault: "BUSY" })).toBeGreaterThan(0);
  expect(recorder.count("blocks_ended", { link: "ab", reason: "given_up" })).toBe(
    recorder.count("transits_failed", { from: "km-a", fault: "BUSY" }),
  );
  expectPadsOnce(mesh);
});

test("design 3.7: a pad that cannot be read is dropped and counted, and the next key does not meet it", async () => {
  const mesh = await Mesh.up({ links: LINE_3, blocks: 20, policy: ON_DEMAND });
  await exchanged(mesh, "a", "c");
  const { begun } = mesh.link("b", "bc").pads;
  if (begun === undefined) throw new Error("no pad is begun");
  await mesh.reboot("b");
  mesh.node("b").machine.records.delete(`block\n${begun.block.id}`);
  await asked(mesh, "a", "c", 1, 32_000);
  await mesh.run(500);
  const labels = { link: "bc", direction: "out", reason: "unreadable" };
  expect(mesh.node("b").recorder.count("pad_bytes_lost", labels)).toBeGreaterThanOrEqual(begun.length);
  await mesh.run(3000);
  await exchanged(mesh, "a", "c", 20);
  expectPadsOnce(mesh);
});

test("design 5: a hop that was dry is tried with one key, however many are wanted", async () => {
  const mesh = await Mesh.up({ links: LINE_3, blocks: 0, policy: { stockLow: 8, stockHigh: 8 } });
  mesh.modules("ab").make(60);
  await mesh.run(1000);
  const first = mesh.node("a").parts.context.relayLog.totals(mesh.node("c").id).failed;
  await mesh.run(20_000);
  const then = mesh.node("a").parts.context.relayLog.totals(mesh.node("c").id).failed - first;
  expect(first).toBeLessThanOrEqual(8);
  expect(then).toBeGreaterThan(2);
  expect(then).toBeLessThanOrEqual(5);
  mesh.modules("bc").make(60);
  await mesh.run(20_000);
  expect(mesh.peer("a", "c").stock.size).toBe(8);
  expectPadsOnce(mesh);
});
