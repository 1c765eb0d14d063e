// Key relay by link between two peers: what is proved, refused, given up and told (key-protocol 2, 4, 5).

import { describe, expect, test } from "vitest";
import { Fault } from "../../../src/core/fault.ts";
import { linkId } from "../../../src/core/ids.ts";
import { kmaKeyId, kmaSerial, MAX_SERIAL } from "../../../src/keys/common/key-id.ts";
import { linkBlock } from "../../../src/keys/common/rows.ts";
import type { LinkProtection, RelayOffer } from "../../../src/keys/ports/peers.ts";
import { ask, fetchKeys } from "../support/apps.ts";
import { Network } from "../support/network.ts";
import type { TestNode } from "../support/node.ts";

const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

const stockOf = (node: TestNode, peer: TestNode) => peerOf(node, peer).stock;
const heldOf = (node: TestNode, peer: TestNode) => peerOf(node, peer).held;

function peerOf(node: TestNode, peer: TestNode) {
  const found = node.parts.peers.get(peer.id);
  if (found === undefined) throw new Error("no such peer");
  return found;
}

/** The offers that have crossed, in order. */
const offers = ({ wire }: Network): RelayOffer[] =>
  wire.log.flatMap((crossing) => (crossing.kind === "relay" && crossing.from === "km-a" ? [crossing.offer] : []));

/** Asks km-b to accept an offer, as if it had come over the wire. */
async function offered(network: Network, offer: RelayOffer): Promise<string> {
  const connection = peerOf(network.b, network.a).connection;
  if (connection === undefined) throw new Error("not connected");
  const outcome = network.b.km.peerEvents.relayed(connection, offer).then(
    () => "accepted",
    (thrown: unknown) => (thrown instanceof Fault ? thrown.code : String(thrown)),
  );
  await network.run(10);
  return outcome;
}

/** A network in which km-a's offer never arrives, and that offer. */
async function intercepted(): Promise<{ network: Network; offer: RelayOffer }> {
  const network = new Network({ policy: { stockLow: 1, stockHigh: 1 } });
  network.wire.lose = (crossing) => crossing.kind === "relay" && crossing.from === "km-a";
  await network.a.boot();
  await network.b.boot();
  network.wire.connect();
  network.modules.make(4);
  await network.run(200);
  const [offer] = offers(network);
  if (offer === undefined) throw new Error("nothing was offered");
  return { network, offer };
}

const LINK = linkId("ab");

/** The block that an offer under the scheme `link` names. */
function named({ protection }: RelayOffer): LinkProtection {
  if (protection.scheme !== "link") throw new Error("the offer is under another scheme");
  return protection;
}

/** The same offer of another of the first two own blocks. */
const onAnotherBlock = (offer: RelayOffer): RelayOffer => ({
  ...offer,
  protection: { ...named(offer), sequence: named(offer).sequence === 0 ? 2 : 0 },
});

describe("the stock", () => {
  test("design 5: is filled below the low mark up to the high one, in whole KMA-keys", async () => {
    const network = await Network.up({ blocks: 32 });
    expect(stockOf(network.a, network.b).size).toBe(4);
    expect(heldOf(network.b, network.a).serials()).toEqual([1, 2, 3, 4]);
    for (let round = 0; round < 4; round++) {
      ask(network.a.km, { app: "app-a1", to: "app-b1", bits: 32_000 });
      await network.run(100);
    }
    expect(stockOf(network.a, network.b).size).toBeGreaterThanOrEqual(2);
  });

  test("key-protocol 3: grows no more when the serials are used up, for none is given twice", async () => {
    const network = await Network.up({ blocks: 0 });
    const first = MAX_SERIAL - 2;
    stockOf(network.a, network.b).nextSerial = first;
    heldOf(network.b, network.a).raise(first - 1);
    peerOf(network.a, network.b).announceSoon();
    network.modules.make(16);
    await network.run(500);
    const serials = offers(network).map(({ keyId }) => kmaSerial(keyId));
    expect(serials).toEqual([first, first + 1, first + 2]);
    expect(stockOf(network.a, network.b).size).toBe(3);
    expect(network.a.recorder.count("alarms", { alarm: "serials_exhausted" })).toBe(1);
  });

  test("is never carved before both ends proved it equal", async () => {
    const { network } = await intercepted();
    const asked = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(100);
    expect(asked.outcome).toBeUndefined();
    expect(stockOf(network.a, network.b).bytes).toBe(0);
  });
});

describe("blocks that differ at the two ends", () => {
  test("design 3: are refused with BAD_TAG, destroyed at both, counted, and never supplied from", async () => {
    const network = await Network.up({ blocks: 0 });
    network.modules.make(8, { spoiltAt: 1 });
    await network.run(500);
    network.modules.make(8);
    await network.run(500);
    expect(network.a.recorder.count("kma_keys_ended", { reason: "mismatch" })).toBe(4);
    expect(network.b.recorder.count("blocks_ended", { reason: "mismatch" })).toBe(4);
    expect([...network.a.machine.records.keys()].filter((key) => /link:ab:1:[0246]$/.test(key))).toEqual([]);
    const supplied = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(100);
    const back = fetchKeys(network.b.km, "app-b1", "app-a1", [supplied.keys[0]?.id ?? ""]);
    await network.run(10);
    expect(back.keys).toEqual(supplied.keys);
  });

  test("are given up by the source when only the end-to-end tag tells, and the destination's copy goes", async () => {
    const network = await Network.up({ blocks: 0, policy: { stockLow: 1, stockHigh: 1 } });
    network.wire.twist = ({ keyId }) => ({ keyId, tag: new Uint8Array(16) });
    network.modules.make(2);
    await network.run(200);
    expect(network.a.recorder.count("kma_keys_ended", { role: "source", reason: "mismatch" })).toBe(1);
    expect(heldOf(network.b, network.a).serials()).toEqual([1]);
    network.wire.twist = (confirmation) => confirmation;
    network.modules.make(2);
    await network.run(200);
    expect(heldOf(network.b, network.a).serials()).toEqual([2]);
    expect(
      stockOf(network.a, network.b)
        .keys()
        .map(({ serial }) => serial),
    ).toEqual([2]);
  });
});

describe("links whose ends are configured differently", () => {
  test.each([
    ["share", { share: [1, 3] as const }],
    ["block size", { blockBytes: 8192 }],
  ])("key-protocol 5: another %s leaves the link unused, with an alarm at both ends", async (_what, linkAtB) => {
    const network = await Network.up({ linkAtB });
    for (const node of [network.a, network.b]) {
      expect(node.parts.links.get("ab")?.agreement).toBe("refused");
      expect(node.recorder.count("alarms", { alarm: "link_differs" })).toBe(1);
    }
    expect(offers(network)).toEqual([]);
    const asked = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(5000);
    expect(asked.fault?.code).toBe("NO_ROUTE");
  });

  test("a block whose ownership was stamped before the share changed is still its owner's", async () => {
    const { network, offer } = await intercepted();
    const link = network.b.parts.links.get("ab");
    if (link === undefined) throw new Error("no link");
    Object.assign(link.settings, { share: [0, 1] });
    expect(await offered(network, offer)).toBe("accepted");
  });
});

describe("gaps", () => {
  test("what the other end never got is destroyed as soon as that tells how far it has come", async () => {
    const network = await Network.up({ blocks: 0 });
    network.modules.make(4, { lostAt: 1 });
    await network.run(200);
    expect(network.a.parts.links.get("ab")?.usable).toBe(0);
    network.modules.make(4);
    await network.run(200);
    expect(network.a.recorder.count("blocks_ended", { reason: "gap" })).toBe(2);
    expect(
      offers(network)
        .map((offer) => named(offer).sequence)
        .sort(),
    ).toEqual([4, 6]);
  });

  test("a block that comes after the other end told that it lacks it is destroyed at once", async () => {
    const network = await Network.up({ blocks: 0, policy: { stockLow: 0, stockHigh: 0 } });
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    network.a.machine.pace = () => gate;
    network.modules.make(2, { lostAt: 1 });
    network.modules.make(2);
    await network.run(200);
    release();
    await network.run(200);
    const own = [...(network.a.parts.links.get("ab")?.own() ?? [])].map(({ sequence }) => sequence);
    expect(own).toEqual([2]);
    expect(network.a.parts.links.get("ab")?.usable).toBe(1);
    expect(network.a.recorder.count("blocks_ended", { reason: "gap" })).toBe(1);
    expect(network.a.vault.has(linkBlock(LINK, 1, 0))).toBe(false);
  });

  test("a module that begins a new run leaves no block of the old one behind", async () => {
    const network = await Network.up({ blocks: 0, policy: { stockLow: 0, stockHigh: 0 } });
    network.modules.make(4);
    network.modules.make(2, { lostAt: 1 });
    network.modules.restart();
    network.modules.make(2);
    await network.run(200);
    const own = [...(network.a.parts.links.get("ab")?.own() ?? [])].map(({ run, sequence }) => [run, sequence]);
    expect(own).toEqual([
      [1, 0],
      [1, 2],
      [2, 0],
    ]);
  });

  test("a block that the peer dropped as the oldest is refused with BLOCK_NOT_HELD and ended as a gap", async () => {
    const network = await Network.up({ blocks: 0, linkAtB: { keepBlocks: 2 }, policy: { stockLow: 0, stockHigh: 0 } });
    network.modules.make(2);
    await network.run(200);
    network.modules.make(8, { lostAt: 0 });
    await network.run(200);
    ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(200);
    expect(network.a.recorder.count("relays_refused", { direction: "out", fault: "BLOCK_NOT_HELD" })).toBe(1);
    expect(network.a.recorder.count("kma_keys_ended", { reason: "gap" })).toBe(1);
    expect(network.b.recorder.count("blocks_ended", { reason: "overflow" })).toBe(5);
  });
});

describe("a relay without an answer", () => {
  test("is given up after relay_timeout, its serial told with the next, and the destination's copy removed", async () => {
    const network = new Network({ policy: { stockLow: 1, stockHigh: 1 } });
    network.wire.lose = (crossing) => crossing.kind === "confirmation" && crossing.from === "km-b";
    await network.a.boot();
    await network.b.boot();
    network.wire.connect();
    network.modules.make(4);
    await network.run(1900);
    expect(heldOf(network.b, network.a).serials()).toEqual([1]);
    network.wire.lose = () => false;
    await network.run(4000);
    expect(network.a.recorder.count("relays_refused", { fault: "RELAY_TIMEOUT" })).toBe(1);
    expect(heldOf(network.b, network.a).serials()).toEqual([2]);
    expect(stockOf(network.a, network.b).givenUp.size).toBe(0);
    expect(network.b.recorder.count("kma_keys_ended", { role: "destination", reason: "given_up" })).toBe(1);
  });

  test("backs off from 1 s, doubling, when the link is dry of answers", async () => {
    const network = new Network({ policy: { stockLow: 1, stockHigh: 1 } });
    network.wire.lose = (crossing) => crossing.kind === "relay" && crossing.from === "km-a";
    await network.a.boot();
    await network.b.boot();
    network.wire.connect();
    network.modules.make(20);
    await network.run(200);
    const after: number[] = [];
    for (let second = 0; second < 30; second++) {
      after.push(offers(network).length);
      await network.run(1000);
    }
    expect([after[1], after[4], after[8], after[15]]).toEqual([1, 2, 3, 4]);
  });

  test("leaves no row at the destination when its commit was rejected and happened all the same", async () => {
    const network = await Network.up({ blocks: 0, policy: { stockLow: 1, stockHigh: 1 } });
    network.b.machine.fate = (_n, steps) =>
      steps.some((step) => step.op === "put" && step.table === "held" && step.id.startsWith("km-a"))
        ? "rejected, kept"
        : "durable";
    network.modules.make(2);
    await network.run(100);
    expect(network.b.vault.health().store).toBe("failing");
    network.b.machine.fate = () => "durable";
    network.b.vault.store("ready");
    await network.run(10);
    expect([...network.b.machine.rows.keys()].filter((key) => key.startsWith("held\nkm-a/"))).toEqual([]);
  });

  test("is not kept when it is taken in after its serial was told as given up", async () => {
    const network = await Network.up({ blocks: 0, policy: { stockLow: 1, stockHigh: 1 } });
    network.modules.make(4);
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    await network.run(40);
    network.b.machine.pace = () => gate;
    await network.run(3500);
    expect(offers(network).map(({ givenUp }) => givenUp)).toEqual(["", "1"]);
    expect(heldOf(network.b, network.a).serials()).toEqual([]);
    release();
    network.b.machine.pace = () => Promise.resolve();
    await network.run(100);
    expect(heldOf(network.b, network.a).serials()).toEqual([2]);
    expect(
      stockOf(network.a, network.b)
        .keys()
        .map(({ serial }) => serial),
    ).toEqual([2]);
  });
});

describe("key-protocol 2: the destination refuses", () => {
  test("an offer of another source, destination or route", async () => {
    const { network, offer } = await intercepted();
    expect(await offered(network, { ...offer, source: "km-c" as never })).toBe("NOT_ON_ROUTE");
    expect(await offered(network, { ...offer, destination: "km-c" as never })).toBe("NOT_ON_ROUTE");
    expect(await offered(network, { ...offer, transit: ["km-c" as never] })).toBe("NOT_ON_ROUTE");
    expect(await offered(network, offer)).toBe("accepted");
  });

  test("a link that is none of ours, a block that is its own, one never seen, and serial 0", async () => {
    const { network, offer } = await intercepted();
    const naming = (more: object) => ({ ...offer, protection: { ...offer.protection, ...more } });
    expect(await offered(network, naming({ link: "xy" }))).toBe("PROTECTION_REFUSED");
    expect(await offered(network, naming({ sequence: 1 }))).toBe("BLOCK_NOT_YOURS");
    expect(await offered(network, naming({ sequence: 1000 }))).toBe("BLOCK_NOT_HELD");
    expect(await offered(network, { ...offer, keyId: "00000000-0000-8000-8000-000000000000" })).toBe(
      "MALFORMED_REQUEST",
    );
    expect(await offered(network, { ...offer, keyId: "no key ID" })).toBe("MALFORMED_REQUEST");
  });

  test("a replay: the block is used, and the serial was seen", async () => {
    const { network, offer } = await intercepted();
    expect(await offered(network, offer)).toBe("accepted");
    expect(await offered(network, offer)).toBe("BLOCK_USED");
    expect(await offered(network, onAnotherBlock(offer))).toBe("SERIAL_SEEN");
  });

  test("a tag over anything else: the block is destroyed", async () => {
    const { network, offer } = await intercepted();
    expect(await offered(network, { ...offer, requestId: "ffff" })).toBe("BAD_TAG");
    expect(await offered(network, offer)).toBe("BLOCK_NOT_HELD");
    expect(network.b.vault.has(linkBlock(LINK, 1, named(offer).sequence))).toBe(false);
  });

  test("a serial that was changed on the way: it is not accepted, or its source would seem a restored copy", async () => {
    const { network, offer } = await intercepted();
    expect(await offered(network, { ...offer, keyId: kmaKeyId(889) })).toBe("BAD_TAG");
    network.wire.lose = () => false;
    network.wire.connect();
    await network.run(2000);
    for (const { recorder } of [network.a, network.b]) expect(recorder.count("alarms")).toBe(0);
    expect(stockOf(network.a, network.b).size).toBe(1);
  });

  test("key-protocol 6: a serial far above what its source announced, with nothing stored", async () => {
    const { network, offer } = await intercepted();
    expect(await offered(network, { ...offer, keyId: kmaKeyId(MAX_SERIAL) })).toBe("OUT_OF_BOUNDS");
    expect(network.b.recorder.count("alarms", { alarm: "peer_leap" })).toBe(1);
    expect(heldOf(network.b, network.a).accepted).toBe(0);
    expect(await offered(network, offer)).toBe("accepted");
  });

  test("an offer of an earlier connection, though nothing of it ever came", async () => {
    const { network, offer } = await intercepted();
    network.wire.lose = () => false;
    network.wire.connect();
    await network.run(100);
    expect(["SERIAL_SEEN", "BLOCK_USED"]).toContain(await offered(network, onAnotherBlock(offer)));
    expect(heldOf(network.b, network.a).isNew(1)).toBe(false);
  });

  test("a list of serials given up that is none, before anything is used", async () => {
    const { network, offer } = await intercepted();
    expect(await offered(network, { ...offer, givenUp: "3-1" })).toBe("MALFORMED_REQUEST");
    expect(await offered(network, offer)).toBe("accepted");
  });

  test("more than it may hold of one source, however many come at once", async () => {
    const network = await Network.up({ blocks: 0, policy: { maxHeld: 3, stockLow: 8, stockHigh: 8 } });
    network.modules.make(40);
    await network.run(500);
    expect(heldOf(network.b, network.a).size).toBe(3);
    expect(network.a.recorder.count("relays_refused", { direction: "out", fault: "STORE_FULL" })).toBeGreaterThan(0);
  });
});

describe("a relay that fails on the way leaves nothing behind", () => {
  /** No lease is out, and each key-ID key and stored block is one of the books. */
  function expectBalance(node: TestNode): void {
    const sharedPeers = [node.parts.local, ...node.parts.peers.values()];
    const blocks = new Set(
      sharedPeers.flatMap(({ stock, held }) => [...stock.keys(), ...held.keys()].map(({ block }) => block)),
    );
    const stored = [...node.parts.links.values()].reduce((sum, link) => sum + link.stored, 0);
    expect({ ...node.vault.leases, stored: [...node.vault.blocks()].length }).toEqual({
      blocks: 0,
      idKeys: idKeysOf(node),
      stored: stored + blocks.size,
    });
  }

  test("at the destination, when the store does not take the key", async () => {
    const { network, offer } = await intercepted();
    network.b.machine.fate = () => "rejected, lost";
    expect(await offered(network, offer)).toBe("STORE_UNAVAILABLE");
    network.b.machine.fate = () => "durable";
    network.b.vault.store("ready");
    expect(network.b.vault.leases).toEqual({ blocks: 0, idKeys: idKeysOf(network.b) });
    expect(await offered(network, offer)).toBe("BLOCK_NOT_HELD");
  });

  test.each(range(0, 16))("at the destination, when the token goes away after %i turns", async (turns) => {
    const { network, offer } = await intercepted();
    const connection = peerOf(network.b, network.a).connection;
    if (connection === undefined) throw new Error("not connected");
    const answer = network.b.km.peerEvents.relayed(connection, offer).catch(() => {});
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    network.b.vault.token("gone");
    await answer;
    network.b.vault.token("ready");
    await network.run(10);
    expectBalance(network.b);
  });

  test.each(range(0, 24))("at the source, when the token goes away after %i turns: no block is lost", async (turns) => {
    const network = await Network.up({ blocks: 2, policy: { stockLow: 0, stockHigh: 0 } });
    const asked = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    network.a.vault.token("gone");
    await network.run(10);
    network.a.vault.token("ready");
    await network.run(5000);
    expectBalance(network.a);
    const again = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(1000);
    expect([asked.outcome, again.outcome]).toEqual([asked.outcome, "granted"]);
  });

  test.each(
    (["rejected, lost", "rejected, kept"] as const).flatMap((fate) => range(1, 5).map((nth) => [nth, fate] as const)),
  )("at the source, when the store says of commit %i: %s", async (nth, fate) => {
    const network = await Network.up({ blocks: 2, policy: { stockLow: 0, stockHigh: 0 } });
    const before = network.a.machine.commits;
    network.a.machine.fate = (n) => (n === before + nth ? fate : "durable");
    ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(100);
    network.a.vault.store("ready");
    network.modules.make(4);
    await network.run(8000);
    expect(network.a.vault.leases).toEqual({ blocks: 0, idKeys: idKeysOf(network.a) });
    await network.reboot(network.a);
    expectBalance(network.a);
    const held = heldOf(network.b, network.a);
    expect(
      stockOf(network.a, network.b)
        .keys()
        .filter(({ serial }) => held.get(serial) === undefined),
    ).toEqual([]);
  });
});

function idKeysOf(node: TestNode): number {
  const sharedPeers = [node.parts.local, ...node.parts.peers.values()];
  return sharedPeers.reduce((sum, { stock, held }) => sum + stock.size + held.size, 0);
}
