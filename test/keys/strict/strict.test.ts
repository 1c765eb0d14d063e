// Peers of another make: whole keys under TLS alone, both ways, through everything that can go wrong.

import { describe, expect, it } from "vitest";
import { reportOf } from "../../../src/control/status.ts";
import { deferred } from "../../../src/core/deferred.ts";
import { asFault } from "../../../src/core/fault.ts";
import { appId } from "../../../src/core/ids.ts";
import { parseKeyId } from "../../../src/keys/common/key-id.ts";
import { ask, fetchKeys } from "../support/apps.ts";
import { emittedTwice } from "../support/ledger.ts";
import { letters, StrictPair } from "../support/strict-peer.ts";

const codeOf = (relayed: Promise<void>): Promise<string> =>
  relayed.then(
    () => "success",
    (thrown: unknown) => asFault(thrown).code,
  );

const K1 = ["k-1", letters(1)] as const;
const K2 = ["k-2", letters(2)] as const;

describe("keys that we relay to a strict peer", () => {
  it("design 5: are whole keys with IDs of their own, up to the high mark, and again below the low one", async () => {
    const pair = await StrictPair.up();
    expect(pair.stock.status).toMatchObject({ storedKeys: 64, maxStoredKeys: 64 });
    expect(pair.s.taken.size).toBe(64);
    for (const id of pair.s.taken.keys()) {
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(parseKeyId(id)).toBeUndefined();
    }
    for (let round = 0; round < 7; round++) {
      ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 7 });
      await pair.run(10);
    }
    expect(pair.s.taken.size).toBe(64 + 49);
    expect(pair.stock.status.storedKeys).toBe(64);
    expect(emittedTwice(pair.a)).toEqual([]);
  });

  it("are supplied to our application, equal to what the peer has, each once", async () => {
    const pair = await StrictPair.up();
    const asked = [
      ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 3 }),
      ask(pair.a.km, { app: "app-a2", to: "app-s1" }),
    ];
    await pair.run(10);
    const given = asked.flatMap(({ keys }) => keys);
    expect(given).toHaveLength(4);
    expect(new Set(given.map(({ key }) => key)).size).toBe(4);
    expect(pair.has(given)).toBe(true);
    expect(pair.a.recorder.count("keys_supplied", { app: "app-a1", door: "ak" })).toBe(3);
    expect(pair.a.vault.leases).toEqual({ blocks: 0, idKeys: expect.any(Number) });
  });

  it("come fewer at a time to a peer that refuses, until it takes them, and then more again", async () => {
    const pair = new StrictPair();
    pair.s.refusal = "STORE_FULL";
    await pair.a.boot();
    pair.wire.connect();
    await pair.run(8000);
    expect(pair.s.relays[0]).toBe(64);
    expect(Math.min(...pair.s.relays)).toBe(8);
    pair.s.refusal = undefined;
    const refused = pair.s.relays.length;
    await pair.run(10_000);
    expect(pair.stock.status.storedKeys).toBe(64);
    expect(pair.s.relays.slice(refused).some((count) => count > 8)).toBe(true);
  });

  it("of another size are relayed while the request waits", async () => {
    const pair = await StrictPair.up();
    const asked = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 5, bits: 512 });
    expect(asked.outcome).toBeUndefined();
    await pair.run(10);
    expect(asked.keys.map(({ key }) => Buffer.from(key, "base64").length)).toEqual([64, 64, 64, 64, 64]);
    expect(pair.has(asked.keys)).toBe(true);
    expect(pair.stock.stock.ready(64)).toBe(0);
  });

  it("as many as an answer holds are granted at once, from as many blocks as they need", async () => {
    const pair = await StrictPair.up();
    const asked = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 11, bits: 8 * 4088 });
    await pair.run(50);
    expect(asked.keys).toHaveLength(11);
    expect(pair.has(asked.keys)).toBe(true);
    expect(pair.s.relays.filter((count) => count === 1)).toHaveLength(11);
  });

  it.each([
    ["12 bits", { bits: 12 }, "KEY_SIZE_NOT_BYTES"],
    ["too large a size", { bits: 8 * 4096 }, "KEY_SIZE_INVALID"],
    ["too many", { count: 1_000 }, "TOO_MANY_KEYS"],
    ["a route type", { only: { routeType: "direct" } }, "EXTENSION_UNMET"],
  ] as const)("asked with %s are refused", async (_, wish, code) => {
    const pair = await StrictPair.up();
    expect(ask(pair.a.km, { app: "app-a1", to: "app-s1", ...wish }).fault?.code).toBe(code);
  });

  it("are not older than asked", async () => {
    const pair = await StrictPair.up();
    await pair.run(1_000);
    const fresh = ask(pair.a.km, { app: "app-a1", to: "app-s1", only: { maxAgeMs: 100 } });
    const old = ask(pair.a.km, { app: "app-a1", to: "app-s1", only: { maxAgeMs: 100_000 } });
    await pair.run(10);
    expect([fresh.fault?.code, old.keys.length]).toEqual(["EXTENSION_UNMET", 1]);
  });

  it("are never used when the peer does not say success: a refusal waits 1 s, then 2 s, before the next relay", async () => {
    const pair = new StrictPair();
    pair.s.refusal = "STORE_FULL";
    await pair.a.boot();
    pair.wire.connect();
    await pair.run(500);
    const first = pair.s.relays.length;
    expect(first).toBeGreaterThan(0);
    await pair.run(400);
    expect(pair.s.relays).toHaveLength(first);
    const asked = ask(pair.a.km, { app: "app-a1", to: "app-s1" });
    await pair.run(6_000);
    expect(asked.fault?.code).toBe("INSUFFICIENT_KEYS");
    expect(pair.s.relays.length).toBeLessThanOrEqual(first + 3 * 4);
    const lost = pair.a.recorder.count("kma_keys_ended", { peer: "km-s", role: "source", reason: "given_up" });
    expect(lost).toBe(pair.s.relays.reduce((sum, count) => sum + count, 0));
    pair.s.refusal = undefined;
    await pair.run(10_000);
    expect(pair.stock.status.storedKeys).toBe(64);
  });

  it("are given up when no answer comes, and what was relayed is relayed never again", async () => {
    const pair = new StrictPair();
    pair.wire.lose = ({ kind }) => kind === "wholeTaken";
    await pair.a.boot();
    pair.wire.connect();
    await pair.run(2_100);
    const lost = [...pair.s.taken.keys()];
    expect(lost.length).toBeGreaterThan(0);
    expect(pair.stock.status.storedKeys).toBe(0);
    pair.wire.lose = () => false;
    await pair.run(5_000);
    const asked = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 60 });
    await pair.run(10);
    expect(asked.keys).toHaveLength(60);
    expect(asked.keys.filter(({ id }) => lost.includes(id))).toEqual([]);
    expect(pair.has(asked.keys)).toBe(true);
  });

  it("that are ready are supplied while the peer is away; then requests wait, and end as PEER_UNAVAILABLE", async () => {
    const pair = await StrictPair.up();
    pair.wire.cut();
    const ready = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 64 });
    const late = ask(pair.a.km, { app: "app-a2", to: "app-s1" });
    await pair.run(5_000);
    expect([ready.keys.length, late.fault?.code]).toEqual([64, "PEER_UNAVAILABLE"]);
    const patient = ask(pair.a.km, { app: "app-a2", to: "app-s1" });
    await pair.run(1_000);
    pair.wire.connect();
    await pair.run(10);
    expect(patient.keys).toHaveLength(1);
  });

  it("a request that is given up costs nothing, and who waited behind it is served", async () => {
    const pair = await StrictPair.up();
    pair.wire.cut();
    const large = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 100 });
    const small = ask(pair.a.km, { app: "app-a2", to: "app-s1", count: 2 });
    large.cancel();
    await pair.run(10);
    expect([large.answers, small.keys.length]).toEqual([0, 2]);
    const held = ask(pair.a.km, { app: "app-a1", to: "app-s1", manner: "hold" });
    held.cancel();
    await pair.run(10);
    expect(held.answers).toBe(0);
    expect(pair.a.recorder.count("keys_undelivered", { app: "app-a1" })).toBe(1);
    expect(pair.a.vault.leases.blocks).toBe(0);
  });

  it("expire at max_age", async () => {
    const pair = await StrictPair.up({ maxAgeMs: 60_000 });
    pair.wire.cut();
    await pair.run(61_000);
    expect(pair.stock.status.storedKeys).toBe(0);
    expect(pair.a.recorder.count("kma_keys_ended", { peer: "km-s", role: "source", reason: "expired" })).toBe(64);
  });

  it("are no more than may be kept, however small that is", async () => {
    const pair = await StrictPair.up({ maxHeld: 10, stockLow: 1, stockHigh: 2 });
    expect(pair.stock.status).toMatchObject({ storedKeys: 10, maxStoredKeys: 10 });
    expect(pair.s.taken.size).toBe(10);
    expect(ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 11 }).fault?.code).toBe("TOO_MANY_KEYS");
    const asked = ["app-a1", "app-a2"].map((app) => ask(pair.a.km, { app, to: "app-s1", count: 8, bits: 128 }));
    await pair.run(100);
    expect(asked.map(({ keys }) => keys.length)).toEqual([8, 8]);
    await pair.run(2_000);
    expect(pair.stock.status.storedKeys).toBe(10);
    expect(pair.s.taken.size).toBeLessThanOrEqual(10 + 16 + 10);
  });

  it("are bounded: sizes that nobody wants any more make room, the oldest first", async () => {
    const pair = await StrictPair.up({ maxHeld: 70 });
    pair.wire.delayMs = 5;
    for (let round = 0; round < 4; round++) {
      const asked = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 4, bits: 512 + 64 * round });
      await pair.run(7);
      asked.cancel();
      await pair.run(100);
    }
    expect(pair.stock.stock.book.size).toBeLessThanOrEqual(70);
    expect(pair.stock.stock.ready(64 + 8 * 3)).toBe(4);
    const overflow = { peer: "km-s", role: "source", reason: "overflow" };
    expect(pair.a.recorder.count("kma_keys_ended", overflow)).toBeGreaterThan(0);
  });

  it("that are ready make no room for what a full peer refuses: they are still supplied", async () => {
    const pair = await StrictPair.up({ maxHeld: 70 });
    expect(pair.stock.status.storedKeys).toBe(64);
    pair.s.refusal = "STORE_FULL";
    const other = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 10, bits: 512 });
    await pair.run(6_000);
    expect(other.fault?.code).toBe("INSUFFICIENT_KEYS");
    expect(pair.stock.status.storedKeys).toBe(64);
    const asked = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 60 });
    await pair.run(10);
    expect(asked.keys).toHaveLength(60);
    expect(pair.has(asked.keys)).toBe(true);
  });
});

describe("keys that a strict peer relays to us", () => {
  it("design 5: are fetched once, under its IDs, by the application that the policy names", async () => {
    const pair = await StrictPair.up();
    await pair.relay([K1, K2]);
    const other = fetchKeys(pair.a.km, "app-a2", "app-s1", ["k-1"]);
    expect(other.fault?.code).toBe("NOT_AUTHORIZED");
    const asked = fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-2", "k-1"]);
    await pair.run(10);
    expect(asked.keys).toEqual([K2, K1].map(([id, key]) => ({ id, key })));
    expect(fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"]).fault?.code).toBe("KEY_NOT_FOUND");
    expect(pair.a.recorder.count("keys_fetched", { app: "app-a1", door: "ak" })).toBe(2);
    expect(pair.a.vault.leases.blocks).toBe(0);
    await pair.run(10);
    expect([...pair.a.vault.blocks()].filter((block) => block.startsWith("whole:held:"))).toEqual([]);
  });

  it("are the same in upper case when they are UUIDs, and only then", async () => {
    const pair = await StrictPair.up();
    const uuid = "0B1C9A3E-5D2F-4A6B-9C8D-7E6F5A4B3C2D";
    await pair.relay([[uuid, K1[1]], K2]);
    expect(fetchKeys(pair.a.km, "app-a1", "app-s1", ["K-2"]).fault?.code).toBe("KEY_NOT_FOUND");
    const twice = fetchKeys(pair.a.km, "app-a1", "app-s1", [uuid, uuid.toLowerCase()]);
    expect(twice.fault?.code).toBe("KEY_NOT_FOUND");
    const asked = fetchKeys(pair.a.km, "app-a1", "app-s1", [uuid.toLowerCase()]);
    await pair.run(10);
    expect(asked.keys).toEqual([{ id: uuid, key: K1[1] }]);
  });

  it("are a space of their own: an ID of ours and theirs are different keys", async () => {
    const pair = await StrictPair.up();
    const local = ask(pair.a.km, { app: "app-a2", to: "app-a1" });
    await pair.run(10);
    const id = local.keys[0]?.id ?? "";
    await pair.relay([[id, letters(9)]]);
    const theirs = fetchKeys(pair.a.km, "app-a1", "app-s1", [id]);
    const ours = fetchKeys(pair.a.km, "app-a1", "app-a2", [id]);
    await pair.run(10);
    expect(theirs.keys).toEqual([{ id, key: letters(9) }]);
    expect(ours.keys).toEqual(local.keys);
  });

  it.each([
    ["an unknown one", ["k-1", "k-9"]],
    ["the same twice", ["k-1", "k-1"]],
  ])("a request for %s consumes nothing", async (_, ids) => {
    const pair = await StrictPair.up();
    await pair.relay([K1]);
    expect(fetchKeys(pair.a.km, "app-a1", "app-s1", ids).fault?.code).toBe("KEY_NOT_FOUND");
    const asked = fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"]);
    await pair.run(10);
    expect(asked.keys).toHaveLength(1);
  });

  it.each([
    ["crash, lost", 0],
    ["crash, kept", 2],
  ] as const)("are durable before they are answered, all of a message or nothing: %s", async (fate, kept) => {
    const pair = await StrictPair.up();
    const from = pair.a.machine.commits;
    pair.a.machine.fate = (n) => (n === from + 1 ? fate : "durable");
    const outcome = codeOf(pair.relay([K1, K2]));
    await pair.run(1);
    pair.wire.cut();
    expect(await outcome).toBe("PEER_UNAVAILABLE");
    await pair.reboot();
    const found = [K1, K2].map(([id]) => fetchKeys(pair.a.km, "app-a1", "app-s1", [id]));
    await pair.run(10);
    expect(found.filter(({ keys }) => keys.length === 1)).toHaveLength(kept);
  });

  it("are refused a second time: while they are here, when they were fetched, and after a restart", async () => {
    const pair = await StrictPair.up();
    await pair.relay([K1, K2]);
    expect(await codeOf(pair.relay([K1]))).toBe("SERIAL_SEEN");
    for (const id of ["k-1", "k-2"]) fetchKeys(pair.a.km, "app-a1", "app-s1", [id]);
    await pair.run(10);
    expect(await codeOf(pair.relay([["k-3", letters(3)], K2]))).toBe("SERIAL_SEEN");
    await pair.reboot();
    expect(await codeOf(pair.relay([K1]))).toBe("SERIAL_SEEN");
    expect(fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-3"]).fault?.code).toBe("KEY_NOT_FOUND");
    expect(pair.a.recorder.count("relays_refused", { peer: "km-s", direction: "in", fault: "SERIAL_SEEN" })).toBe(3);
  });

  it("keep their bound", async () => {
    const pair = await StrictPair.up({ maxHeld: 64 });
    const many = Array.from({ length: 64 }, (_, index) => [`n-${index}`, letters(1 + index)] as const);
    await pair.relay(many.slice(0, 60));
    expect(await codeOf(pair.relay(many.slice(59, 64).map(([id, key]) => [`x${id}`, key])))).toBe("STORE_FULL");
    await pair.relay(many.slice(60));
    fetchKeys(pair.a.km, "app-a1", "app-s1", ["n-0"]);
    await pair.run(10);
    await pair.relay([K1]);
    expect(await codeOf(pair.relay([K2]))).toBe("STORE_FULL");
  });

  it("are found after a restart, but not what was fetched", async () => {
    const pair = await StrictPair.up();
    await pair.relay([K1, K2]);
    fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"]);
    await pair.run(10);
    await pair.reboot();
    expect(fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"]).fault?.code).toBe("KEY_NOT_FOUND");
    const asked = fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-2"]);
    await pair.run(10);
    expect(asked.keys).toEqual([{ id: "k-2", key: letters(2) }]);
    expect(emittedTwice(pair.a)).toEqual([]);
  });

  it("a crash between the mark and the answer leaves a key fetched", async () => {
    const pair = await StrictPair.up();
    await pair.relay([K1]);
    const from = pair.a.machine.commits;
    pair.a.machine.fate = (n) => (n === from + 1 ? "crash, kept" : "durable");
    const asked = fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"]);
    await pair.run(10);
    expect(asked.answers).toBe(0);
    await pair.reboot();
    expect(fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"]).fault?.code).toBe("KEY_NOT_FOUND");
  });

  it("expire a fetch window after max_age, and their names are forgotten", async () => {
    const pair = await StrictPair.up({ maxAgeMs: 60_000, fetchWindowMs: 30_000 });
    await pair.relay([K1, K2]);
    fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"]);
    await pair.run(89_000);
    expect(pair.stock.held.book.size).toBe(1);
    await pair.run(2_000);
    expect(pair.stock.held.book.size).toBe(0);
    expect(pair.a.recorder.count("kma_keys_ended", { peer: "km-s", role: "destination", reason: "expired" })).toBe(1);
    await pair.relay([K1, K2]);
    expect(pair.a.machine.rows.size).toBeGreaterThan(0);
    await pair.run(92_000);
    expect([...pair.a.machine.rows.values()].filter(({ state }) => state === "gone" || state === "held")).toEqual([]);
  });

  it.each([
    ["to another destination", [K1], { destination: "km-z" }, "NOT_ON_ROUTE"],
    ["over another predecessor", [K1], { transit: ["km-z"] }, "NOT_ON_ROUTE"],
    ["from ourselves", [K1], { source: "km-a", transit: ["km-s"] }, "NOT_ON_ROUTE"],
    ["with an ID that JSON would escape", [['k"1', letters(1)]], {}, "MALFORMED_REQUEST"],
    ["with an ID that is no ASCII", [["schlüssel", letters(1)]], {}, "MALFORMED_REQUEST"],
    ["with a key that is no base64", [K1, ["k-2", "AA=A"]], {}, "MALFORMED_REQUEST"],
    ["with a key that is too large", [["k-1", letters(1, 4_092)]], {}, "KEY_SIZE_INVALID"],
  ] as const)("%s are refused, and nothing is stored", async (_, keys, change, code) => {
    const pair = await StrictPair.up();
    expect(await codeOf(pair.relay(keys, change))).toBe(code);
    expect(pair.stock.held.book.size).toBe(0);
    expect(pair.a.recorder.count("relays_refused", { peer: "km-s", direction: "in", fault: code })).toBe(1);
    await pair.relay([K1]);
  });

  it("come from a source behind the peer too", async () => {
    const pair = await StrictPair.up();
    await pair.relay([K1], { source: "km-z", transit: ["km-s"] });
    expect(pair.stock.held.book.size).toBe(1);
  });

  it("are refused when nobody may fetch them", async () => {
    const pair = await StrictPair.up({}, []);
    expect(await codeOf(pair.relay([K1]))).toBe("PROTECTION_REFUSED");
  });

  it("a store or a token that fails refuses, and nothing is left behind", async () => {
    const pair = await StrictPair.up();
    pair.a.vault.token("gone");
    expect(await codeOf(pair.relay([K1]))).toBe("HSM_UNAVAILABLE");
    pair.a.vault.token("ready");
    const from = pair.a.machine.commits;
    pair.a.machine.fate = (n) => (n === from + 1 ? "rejected, kept" : "durable");
    expect(await codeOf(pair.relay([K1]))).toBe("STORE_UNAVAILABLE");
    pair.a.vault.store("ready");
    expect(fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"]).fault?.code).toBe("KEY_NOT_FOUND");
    await pair.relay([K1]);
    const asked = fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"]);
    await pair.run(10);
    expect(asked.keys).toHaveLength(1);
  });

  it("leave their places while they are fetched only when that is durable: a rejected change brings them back", async () => {
    const pair = await StrictPair.up({ maxHeld: 2 });
    await pair.relay([K1, K2]);
    const disk = deferred<void>();
    pair.a.machine.pace = () => disk.promise;
    pair.a.machine.fate = () => "rejected, lost";
    const asked = fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"]);
    await pair.run(10);
    const refused = codeOf(pair.relay([["k-3", letters(3)]]));
    disk.resolve();
    await pair.run(10);
    expect([await refused, asked.fault?.code]).toEqual(["STORE_FULL", "STORE_UNAVAILABLE"]);
    expect(pair.stock.held.book.size).toBe(2);
  });
});

describe("design 5: with a strict peer there is nothing but keys", () => {
  it("nothing is told to it, and what it tells or opens is refused", async () => {
    const pair = await StrictPair.up();
    await pair.run(60_000);
    expect(new Set(pair.wire.log.filter(({ from }) => from === "km-a").map(({ kind }) => kind))).toEqual(
      new Set(["whole"]),
    );
    const { peer } = pair.s;
    if (peer === undefined) throw new Error("not connected");
    const creation = {
      sessionId: "s",
      initiator: "app-s1",
      destination: "app-a1",
      applicationName: undefined,
      budget: 1,
    };
    const refused = [peer.tell([{ name: "qkm_state" }], 100), peer.createSession(creation as never, 100)];
    const codes = Promise.all(refused.map((call) => codeOf(call)));
    await pair.run(10);
    expect(await codes).toEqual(["EXTENSION_UNSUPPORTED", "EXTENSION_UNSUPPORTED"]);
  });

  it("an extended peer's whole keys are refused", async () => {
    const pair = await StrictPair.up();
    const peer = { id: "km-x" } as never;
    await expect(pair.a.km.peerEvents.relayedUnprotected(peer, { keys: [] } as never)).rejects.toMatchObject({
      code: "PROTECTION_REFUSED",
    });
  });
});

describe("applications here", () => {
  it("have their quota, and get back what a failed request took", async () => {
    const pair = await StrictPair.up({}, ["app-a1"], { bitsPerS: 256, burstBits: 1_024 });
    pair.s.refusal = "STORE_FULL";
    const failed = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 2, bits: 512 });
    expect(ask(pair.a.km, { app: "app-a1", to: "app-s1" }).fault?.code).toBe("QUOTA_EXCEEDED");
    await pair.run(5_000);
    expect(failed.fault?.code).toBe("INSUFFICIENT_KEYS");
    const next = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 4 });
    await pair.run(10);
    expect(next.keys).toHaveLength(4);
  });

  it("take turns when they wait", async () => {
    const pair = await StrictPair.up();
    pair.wire.cut();
    ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 62 });
    const large = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 3 });
    const [first, second, other] = ["app-a1", "app-a1", "app-a2"].map((app) => ask(pair.a.km, { app, to: "app-s1" }));
    await pair.run(100);
    const outcomes = () => [first, second, other].map((asked) => asked?.outcome);
    expect(outcomes()).toEqual([undefined, undefined, undefined]);
    large.cancel();
    await pair.run(10);
    expect(outcomes()).toEqual(["granted", undefined, "granted"]);
    pair.wire.connect();
    await pair.run(10);
    expect(second?.keys).toHaveLength(1);
    expect(pair.a.vault.leases.blocks).toBe(0);
  });

  it("hold keys that come of age meanwhile until they have them", async () => {
    const pair = await StrictPair.up({ maxAgeMs: 60_000, fetchWindowMs: 30_000 });
    await pair.relay([K1, K2]);
    const ours = ask(pair.a.km, { app: "app-a1", to: "app-s1", manner: "hold" });
    const theirs = fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"], "hold");
    await pair.run(95_000);
    expect(fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-2"]).fault?.code).toBe("KEY_NOT_FOUND");
    for (const asked of [ours, theirs]) asked.release();
    expect([pair.has(ours.keys), theirs.keys]).toEqual([true, [{ id: "k-1", key: K1[1] }]]);
    await pair.run(10);
    const ended = { peer: "km-s", role: "destination", reason: "expired" };
    expect(pair.a.recorder.count("kma_keys_ended", ended)).toBe(1);
    expect([...pair.a.vault.blocks()].filter((block) => block.startsWith("whole:held:"))).toEqual([]);
  });

  it("open no session with an application of a strict peer", async () => {
    const pair = await StrictPair.up();
    const faults: string[] = [];
    const [app, destination] = [appId("app-a1"), appId("app-s1")];
    pair.a.parts.sessions.createSession(
      { app, destination, applicationName: undefined, budget: undefined },
      { opened: () => faults.push("opened"), refused: ({ code }) => faults.push(code) },
    );
    await pair.run(10);
    expect(faults).toEqual(["EXTENSION_UNSUPPORTED"]);
  });

  it("are told by the status that the peer is strict", async () => {
    const pair = await StrictPair.up();
    await pair.relay([K1]);
    const report = reportOf(pair.a.id, pair.a.vault.health(), pair.a.km, () => undefined);
    const told = {
      strict: true,
      connected: true,
      synchronised: true,
      storedKeys: 64,
      kmaKeys: 64,
      held: 1,
      waiting: 0,
    };
    expect(report.peers.find(({ id }) => id === "km-s")).toMatchObject(told);
    expect(pair.a.km.requests.status(appId("app-a1"), appId("app-s1"))).toMatchObject({
      targetKm: "km-s",
      storedKeys: 64,
    });
  });
});

describe("a restart", () => {
  it("key-protocol 4: destroys what was reserved and keeps what is ready, wherever the process ends", async () => {
    const clean = await StrictPair.up();
    const commits = clean.a.machine.commits;
    for (let at = 1; at <= commits; at++) {
      for (const fate of ["crash, lost", "crash, kept"] as const) {
        const pair = new StrictPair();
        pair.a.machine.fate = (n) => (n === at ? fate : "durable");
        void pair.a.boot();
        await pair.run(0);
        if (pair.a.events !== undefined && !pair.a.crashed) pair.wire.connect();
        await pair.run(50);
        pair.a.machine.fate = () => "durable";
        await pair.reboot();
        const rows = [...pair.a.machine.rows.values()].filter(({ state }) => state === "reserved");
        expect(rows, `commit ${at}, ${fate}`).toEqual([]);
        const asked = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 64 });
        await pair.run(1_500);
        expect(asked.keys, `commit ${at}, ${fate}`).toHaveLength(64);
        expect(pair.has(asked.keys)).toBe(true);
        expect(emittedTwice(pair.a)).toEqual([]);
      }
    }
  });

  it("supplies nothing that was supplied before", async () => {
    const pair = await StrictPair.up();
    const before = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 20 });
    await pair.run(10);
    await pair.reboot();
    const after = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 64 });
    await pair.run(100);
    expect([before.keys.length, after.keys.length]).toEqual([20, 64]);
    expect(new Set([...before.keys, ...after.keys].map(({ id }) => id)).size).toBe(84);
    expect(pair.has(after.keys)).toBe(true);
    expect(emittedTwice(pair.a)).toEqual([]);
  });

  it("is not needed for a turn of epochs: what was used is gone from the disk, the rest is there", async () => {
    const pair = await StrictPair.up({ epochMs: 60_000 });
    await pair.relay([K1, K2]);
    const before = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 20 });
    fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"]);
    const isOnDisk = ({ key }: { readonly key: string }): boolean =>
      [...pair.a.machine.records.values()].some((record) => Buffer.from(record).includes(Buffer.from(key, "base64")));
    await pair.run(1_000);
    expect(before.keys.filter(isOnDisk)).toHaveLength(20);
    await pair.run(61_000);
    expect(before.keys.filter(isOnDisk)).toEqual([]);
    expect([K1, K2].map(([, key]) => isOnDisk({ key }))).toEqual([false, true]);
    const after = [
      ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 40 }),
      fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-2"]),
    ];
    await pair.run(10);
    expect(after.map(({ keys }) => keys.length)).toEqual([40, 1]);
  });

  it.each(["rejected, lost", "rejected, kept"] as const)(
    "design 3.1: a key whose mark is %s is given later, through an epoch and a restart, and is no zeros",
    async (fate) => {
      const pair = await StrictPair.up({ epochMs: 60_000 });
      await pair.relay([K1, K2]);
      const supply = () => ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 64 });
      const fetch = () => fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"]);
      pair.a.machine.fate = () => fate;
      const refused = [supply(), fetch()];
      await pair.run(10);
      pair.a.machine.fate = () => "durable";
      pair.a.vault.store("ready");
      expect(refused.map(({ fault }) => fault?.code)).toEqual(["STORE_UNAVAILABLE", "STORE_UNAVAILABLE"]);
      await pair.run(62_000);
      await pair.reboot();
      const given = [supply(), fetch()];
      await pair.run(10);
      expect(pair.has(given[0]?.keys ?? [])).toBe(true);
      expect(given[1]?.keys).toEqual([{ id: "k-1", key: letters(1) }]);
      expect(pair.a.vault.leases.blocks).toBe(0);
    },
  );

  it("what an epoch zeroes is taken on the disk too, or a restart would give out zeros", async () => {
    const pair = await StrictPair.up({ epochMs: 60_000 });
    await pair.relay([K1, K2]);
    const [bundle] = pair.stock.held.book.bundles;
    // Used in memory alone, as whatever defect may leave it.
    bundle?.take(0);
    bundle?.settle(0);
    await pair.run(62_000);
    await pair.reboot();
    const asked = ["k-1", "k-2"].map((id) => fetchKeys(pair.a.km, "app-a1", "app-s1", [id]));
    await pair.run(10);
    expect(asked.map(({ keys, fault }) => keys[0]?.key ?? fault?.code)).toEqual(["KEY_NOT_FOUND", letters(2)]);
  });

  it("an application that breaks off while it is answered ends neither the process nor its block's lease", async () => {
    const pair = await StrictPair.up();
    await pair.relay([K1]);
    const breaksOff = {
      granted: () => {
        throw new Error("the application is gone");
      },
      refused: () => {},
    };
    const [app, other] = [appId("app-a1"), appId("app-s1")];
    pair.a.km.requests.supply({ door: "ak", app, destination: other, count: 1, sizeBits: 256 }, breaksOff);
    pair.a.km.requests.fetch({ door: "ak", app, initiator: other, keyIds: ["k-1"] }, breaksOff);
    await pair.run(10);
    expect(pair.a.recorder.lines.filter(({ level }) => level === "error")).toHaveLength(2);
    expect(pair.a.vault.leases.blocks).toBe(0);
  });

  it("of a restored copy is off the disk before anything begins, or the start fails", async () => {
    const pair = await StrictPair.up();
    pair.wire.cut();
    pair.a.crash();
    const before = pair.a.machine.commits;
    // The books are read with one commit, and lost relays end with another.
    pair.a.machine.fate = (n) => {
      if (n !== before + 3) return "durable";
      queueMicrotask(() => pair.a.vault.store("ready"));
      return "rejected, lost";
    };
    await expect(pair.a.boot(true)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });

  it("of a restored copy destroys everything, and of a clock that went back what is ours", async () => {
    const pair = await StrictPair.up();
    await pair.relay([K1]);
    pair.wire.cut();
    pair.a.crash();
    await pair.a.boot(true);
    expect([pair.stock.status.storedKeys, pair.stock.held.book.size]).toEqual([0, 0]);
    const ended = (role: string, reason: string): number =>
      pair.a.recorder.count("kma_keys_ended", { peer: "km-s", role, reason });
    expect([ended("source", "restored"), ended("destination", "restored")]).toEqual([64, 1]);
    const other = await StrictPair.up();
    await other.relay([K1]);
    await other.run(20_000);
    other.wire.cut();
    other.a.crash();
    other.clock.jump(-3_600_000);
    await other.a.boot();
    expect([other.stock.status.storedKeys, other.stock.held.book.size]).toEqual([0, 1]);
  });

  it("an orderly stop waits for relays under way, and refuses who waits", async () => {
    const pair = await StrictPair.up();
    pair.wire.cut();
    const waiting = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 100 });
    await pair.a.stop();
    expect(waiting.fault?.code).toBe("STOPPING");
    await pair.a.boot();
    expect(pair.stock.status.storedKeys).toBe(64);
  });
});

describe("a strict peer's key that was fetched while the store refused to forget it", () => {
  it("is in no book after a restart, and its ID is not accepted again", async () => {
    const pair = await StrictPair.up();
    await pair.relay([K1]);
    pair.a.machine.fate = (_, steps) => (steps.some(({ op }) => op === "destroy") ? "rejected, lost" : "durable");
    const asked = fetchKeys(pair.a.km, "app-a1", "app-s1", ["k-1"]);
    await pair.run(10);
    expect(asked.keys.map(({ id }) => id)).toEqual(["k-1"]);
    pair.a.machine.fate = () => "durable";
    await pair.reboot();
    expect([...pair.stock.held.book.bundles]).toEqual([]);
    expect(await codeOf(pair.relay([K1]))).toBe("SERIAL_SEEN");
  });
});

describe("a strict peer that leaves the configuration and comes back while the KM runs", () => {
  it("is no peer meanwhile, over a restart too; what it relayed and what was relayed to it serves again", async () => {
    const pair = await StrictPair.up();
    await pair.relay([K1, K2]);
    const { settings } = pair.a;
    const without = { ...settings, peers: [], strict: new Map() };
    const take = async (next: typeof settings) => pair.a.km.reconfigure(await pair.a.km.prepareReconfigure(next));
    await take(without);
    const refused = ask(pair.a.km, { app: "app-a1", to: "app-s1" });
    await pair.run(100);
    expect(refused.fault?.code).toBe("NO_ROUTE");
    pair.a.settings = without;
    await pair.reboot();
    expect([...pair.a.parts.strict]).toEqual([]);
    await take({
      ...settings,
      strict: new Map([...settings.peers.map((id) => [id, { fetchApps: [appId("app-a2")] }] as const)]),
    });
    pair.wire.cut();
    pair.wire.connect();
    await pair.run(200);
    expect(fetchKeys(pair.a.km, "app-a1", "app-s1", [K1[0]]).fault?.code).toBe("NOT_AUTHORIZED");
    const fetched = fetchKeys(pair.a.km, "app-a2", "app-s1", [K1[0], K2[0]]);
    const asked = ask(pair.a.km, { app: "app-a1", to: "app-s1", count: 2 });
    await pair.run(100);
    expect(fetched.keys.map(({ key }) => key)).toEqual([K1[1], K2[1]]);
    expect([asked.outcome, pair.has(asked.keys)]).toEqual(["granted", true]);
    expect(emittedTwice(pair.a)).toEqual([]);
  });
});
