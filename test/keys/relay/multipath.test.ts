// Multipath (key-protocol 2): a KMA-key in parts over routes that share no KM; with any part missing or wrong, none of it.

import { describe, expect, test } from "vitest";
import { asFault } from "../../../src/core/fault.ts";
import type { RelayOffer } from "../../../src/keys/ports/peers.ts";
import type { CommitFate } from "../../support/model-vault.ts";
import { ask } from "../support/apps.ts";
import { asked, exchanged, fetched } from "../support/exchange.ts";
import { expectAgreement, expectOneUse } from "../support/ledger.ts";
import { DIAMOND, Mesh, type MeshWanted, RING_4 } from "../support/mesh.ts";
import { expectPadsOnce, offersIn } from "../support/pads.ts";

const ON_DEMAND = { stockLow: 0, stockHigh: 1 };
const CRASHES = ["crash, lost", "crash, kept"] as const satisfies readonly CommitFate[];

const up = (more: Partial<MeshWanted> & { blocks?: number } = {}): Promise<Mesh> =>
  Mesh.up({ links: DIAMOND, blocks: 30, paths: { d: 2, a: 2 }, policy: ON_DEMAND, ...more });

const toD = (mesh: Mesh): RelayOffer[] => offersIn(mesh).filter(({ destination }) => destination === "km-d");

/** What is stored at a node under names of parts, or of link blocks without a row. */
function leftOvers(mesh: Mesh, name: string): string[] {
  const { vault, machine, parts } = mesh.node(name);
  const named = [...parts.peers.values(), parts.local].flatMap(({ stock, held }) => [...stock.keys(), ...held.keys()]);
  const known = new Set<string>([
    ...named.map(({ block }) => block),
    ...[...machine.rows.keys()].map((key) => key.split("\n")[1] ?? ""),
  ]);
  return [...vault.blocks()].filter((block) => !known.has(block));
}

describe("a destination with paths = 2", () => {
  test("gets a KMA-key whose two parts travel over different KMs, and neither is the key", async () => {
    const mesh = await up();
    const keys = await exchanged(mesh, "a", "d");
    const parts = toD(mesh).filter(({ protection }) => protection.scheme === "link");
    expect(parts.map(({ transit, part }) => [transit, part])).toEqual([
      [["km-b"], { part: 1, parts: 2 }],
      [["km-c"], { part: 2, parts: 2 }],
    ]);
    expect(new Set(parts.map(({ keyId, requestId }) => `${keyId} ${requestId}`)).size).toBe(1);
    expect(mesh.peer("a", "d").stock.keys()[0]).toMatchObject({ route: "multipath", block: "own:km-d:1" });
    expect([...mesh.peer("d", "a").held.keys()][0]?.block).toBe("held:km-a:1");
    const seen = ["b", "c"].flatMap((name) => mesh.node(name).machine.emitted);
    expect(seen).toEqual([]);
    expectOneUse([...mesh.nodes.values()], keys);
    expectPadsOnce(mesh);
    for (const name of ["a", "b", "c", "d"]) expect([name, leftOvers(mesh, name)]).toEqual([name, []]);
    for (const node of mesh.nodes.values()) expect(node.vault.leases.blocks).toBe(0);
  });

  test("serves on, in both directions, and after restarts of both ends", async () => {
    const mesh = await up({ policy: { stockLow: 1, stockHigh: 2 } });
    await exchanged(mesh, "a", "d");
    const { keys } = await asked(mesh, "a", "d", 3);
    await mesh.reboot("a");
    await mesh.reboot("d");
    expect(await fetched(mesh, "a", "d", keys)).toEqual(keys);
    mesh.make(8);
    for (let round = 0; round < 4; round++) {
      await exchanged(mesh, "a", "d", 20);
      await exchanged(mesh, "d", "a", 20);
    }
    expectAgreement(mesh.node("a"), mesh.node("d"));
    expectPadsOnce(mesh);
  });

  test("waits for a block of each first link: one that brings none holds back the key, and nothing is lost", async () => {
    const mesh = await up({ blocks: 0 });
    mesh.modules("ab").make(20);
    for (const id of ["bd", "cd"]) mesh.modules(id).make(20);
    await mesh.run(300);
    const request = await asked(mesh, "a", "d");
    expect([request.outcome, toD(mesh).length]).toEqual([undefined, 0]);
    mesh.modules("ac").make(4);
    await mesh.run(300);
    expect(request.outcome).toBe("granted");
    expectPadsOnce(mesh);
  });

  test("a ring: one route is the direct link, the other goes round", async () => {
    const mesh = await Mesh.up({ links: RING_4, blocks: 40, paths: { b: 2 }, policy: ON_DEMAND });
    await exchanged(mesh, "a", "b");
    const parts = offersIn(mesh).filter(({ protection, source }) => protection.scheme === "link" && source === "km-a");
    expect(parts.map(({ transit }) => transit.length).sort()).toEqual([0, 2]);
    expectPadsOnce(mesh);
  });
});

describe("a part that", () => {
  test("is missing: all are given up, the hop that lost it is avoided, and nothing is left of them", async () => {
    const mesh = await up();
    mesh.wire("c", "d").lose = ({ kind }) => kind === "relay";
    const request = await asked(mesh, "a", "d");
    await mesh.run(1200);
    expect(request.outcome).toBeUndefined();
    const results = mesh.node("a").parts.context.relayLog.after(0);
    expect(results.slice(0, 2).map(({ route, outcome }) => [route, outcome])).toEqual([
      [["km-b"], "RELAY_TIMEOUT"],
      [["km-c"], "RELAY_TIMEOUT"],
    ]);
    expect(mesh.peer("d", "a").held.size).toBe(0);
    expect(leftOvers(mesh, "d")).toEqual([]);
    expect(mesh.node("d").recorder.count("kma_keys_ended", { reason: "given_up" })).toBeGreaterThan(0);
    mesh.wire("c", "d").lose = () => false;
    await mesh.run(2500);
    expect(request.outcome).toBe("granted");
    expectPadsOnce(mesh);
  });

  test("is changed on the way: refused, and all are given up", async () => {
    const mesh = await up();
    mesh.wire("c", "d").alter = (offer) => ({
      ...offer,
      key: offer.key.map((byte, at) => (at === 100 ? byte ^ 4 : byte)),
    });
    const request = await asked(mesh, "a", "d");
    await mesh.run(1000);
    expect(request.outcome).toBeUndefined();
    expect(mesh.node("d").recorder.count("relays_refused", { fault: "BAD_TAG" })).toBeGreaterThan(0);
    expect(mesh.peer("d", "a").held.size).toBe(0);
    mesh.wire("c", "d").alter = (offer) => offer;
    mesh.make(30);
    await mesh.run(3000);
    expect(leftOvers(mesh, "d")).toEqual([]);
    await exchanged(mesh, "a", "d");
    expectAgreement(mesh.node("a"), mesh.node("d"));
  });

  test("is another key's: the end-to-end tag of the result tells the source", async () => {
    const mesh = await up();
    mesh.wire("c", "d").twist = ({ keyId, tag }) => ({ keyId, tag: tag.map((byte) => byte ^ 1) });
    await asked(mesh, "a", "d");
    await mesh.run(200);
    expect(mesh.node("a").recorder.count("kma_keys_ended", { role: "source", reason: "mismatch" })).toBeGreaterThan(0);
    expect(mesh.peer("a", "d").stock.size).toBe(0);
    mesh.wire("c", "d").twist = (confirmation) => confirmation;
    mesh.make(30);
    await mesh.run(3000);
    await exchanged(mesh, "a", "d");
    expectAgreement(mesh.node("a"), mesh.node("d"));
  });

  test.each([
    ["comes twice", (offer: RelayOffer) => offer],
    ["has another number of parts", (offer: RelayOffer) => ({ ...offer, part: { part: 1, parts: 3 } })],
    ["has a number that is none", (offer: RelayOffer) => ({ ...offer, part: { part: 0, parts: 2 } })],
    ["is one of too many", (offer: RelayOffer) => ({ ...offer, part: { part: 1, parts: 1000 } })],
  ])("%s is refused, and the others are not disturbed", async (_what, change) => {
    const mesh = await up();
    mesh.wire("c", "d").delayMs = 100;
    ask(mesh.node("a").km, { app: "app-a", to: "app-d" });
    await mesh.run(50);
    const offer = toD(mesh).find(({ protection }) => protection.scheme === "otp");
    const connection = mesh.peer("d", "b").connection;
    if (offer === undefined || connection === undefined) throw new Error("nothing came");
    const outcome = mesh
      .node("d")
      .km.peerEvents.relayed(connection, change(offer))
      .then(
        () => "accepted",
        (thrown: unknown) => asFault(thrown).code,
      );
    await mesh.run(400);
    expect(["BLOCK_USED", "MALFORMED_REQUEST", "SERIAL_SEEN"]).toContain(await outcome);
    expect(mesh.peer("a", "d").stock.size).toBe(1);
    expectAgreement(mesh.node("a"), mesh.node("d"));
  });
});

describe("paths = 2 where there is one route", () => {
  test("is refused at once, with a sentence that says how many there are", async () => {
    const mesh = await Mesh.up({ links: ["ab", "bd"], blocks: 10, paths: { d: 2 } });
    const refused = ask(mesh.node("a").km, { app: "app-a", to: "app-d" });
    expect([refused.fault?.code, refused.fault?.message]).toEqual([
      "NO_ROUTE",
      "keys for km-d are to travel over 2 routes that share no KM, and there are only 1",
    ]);
    expect(toD(mesh).filter(({ source }) => source === "km-a")).toEqual([]);
  });
});

describe("paths = 2 over links with blocks of different sizes", () => {
  test("is refused at once, with a sentence that says why", async () => {
    const mesh = await up({ blockBytesOf: { ac: 8192 } });
    const refused = ask(mesh.node("a").km, { app: "app-a", to: "app-d" });
    expect([refused.fault?.code, refused.fault?.message]).toEqual([
      "NO_ROUTE",
      "keys for km-d are to travel in parts, and block_bytes of the links that they begin with differ",
    ]);
    expect(toD(mesh).filter(({ source }) => source === "km-a")).toEqual([]);
  });
});

describe.each(["a", "d"])("km-%s ends in the middle of a key in parts", (name) => {
  test.each(CRASHES)(
    "at each commit, which is %s: nothing is used twice, nothing is left, keys come again",
    async (fate) => {
      const work = async (mesh: Mesh): Promise<Awaited<ReturnType<typeof asked>>[]> => [
        await asked(mesh, "a", "d", 2, 24_000),
      ];
      const quiet = await up();
      const before = quiet.node(name).machine.commits;
      await work(quiet);
      const commits = quiet.node(name).machine.commits - before;
      expect(commits).toBeGreaterThan(4);
      for (let nth = 1; nth <= commits; nth++) {
        const mesh = await up();
        const { machine } = mesh.node(name);
        const first = machine.commits;
        machine.fate = (n) => (n === first + nth ? fate : "durable");
        const asks = await work(mesh);
        await mesh.reboot(name);
        await mesh.run(3000);
        const { keys } = await asked(mesh, "a", "d", 2, 24_000);
        const given = [...asks.flatMap((one) => one.keys), ...keys];
        expect(keys).toHaveLength(2);
        expect(await fetched(mesh, "a", "d", given)).toEqual(given);
        expectOneUse([...mesh.nodes.values()], given);
        expectPadsOnce(mesh);
        expectAgreement(mesh.node("a"), mesh.node("d"));
        expect([nth, leftOvers(mesh, "a"), leftOvers(mesh, "d")]).toEqual([nth, [], []]);
      }
    },
  );
});
