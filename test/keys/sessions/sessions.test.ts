// The proactive mode between two key managers: sessions opened, keys pushed, acknowledged and supplied (Q.4161 8.2).

import { describe, expect, test } from "vitest";
import type { SessionKeysRequest } from "../../../src/keys/ports/sessions.ts";
import { fetchKeys } from "../support/apps.ts";
import { expectOneUse } from "../support/ledger.ts";
import { LINE_3, Mesh } from "../support/mesh.ts";
import { Network } from "../support/network.ts";
import { askInSession, openSession, SessionApp } from "../support/session-app.ts";
import { Scene } from "../support/session-scene.ts";

describe("Q.4161 7: a session", () => {
  test("is opened with the other application's consent, under an ID that all know", async () => {
    const scene = await Scene.open();
    const opening = scene.opening(5);
    await scene.network.run(20);
    expect(opening).toMatchObject({ answers: 1, sourceKm: "km-a", fault: undefined });
    expect(opening.sessionId).toMatch(/^[0-9a-f]{32}$/);
    const { sessionId } = opening;
    expect(scene.b.offers).toEqual([
      { sessionId, initiator: "app-a1", destination: "app-b1", applicationName: undefined, budget: 5 },
    ]);
    expect(scene.open).toEqual([1, 1]);
  });

  test("gives both applications the same keys, carved by the destination's KM", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    const asked = await scene.taken(sessionId, 3);
    expect(asked.keys).toHaveLength(3);
    expect(scene.b.keys).toEqual(asked.keys);
    expect(scene.b.pushes.map((push) => push.sessionId)).toEqual([sessionId]);
    const { a, b } = scene.network;
    expect(b.recorder.count("keys_supplied", { app: "app-b1", door: "session" })).toBe(3);
    expect(a.recorder.count("keys_fetched", { app: "app-a1", door: "session" })).toBe(3);
    scene.expectSound();
  });

  test("works in both directions at once", async () => {
    const scene = await Scene.open();
    const { a, b } = scene.network;
    const atA = new SessionApp(scene.network.clock, "app-a1").connect(a.parts.sessions);
    const there = await scene.session();
    const opening = openSession(b.parts.sessions, "app-b1", "app-a1");
    await scene.network.run(20);
    const back = askInSession(b.parts.sessions, { app: "app-b1", sessionId: opening.sessionId });
    const asked = await scene.taken(there);
    expect([asked.keys.length, back.keys]).toEqual([1, atA.keys]);
    expectOneUse([a, b], [...asked.keys, ...back.keys]);
  });

  test("of two applications of one KM is served by that KM alone", async () => {
    const network = new Network();
    await network.a.boot();
    await network.run(10);
    const { sessions } = network.a.parts;
    const other = new SessionApp(network.clock, "app-a2").connect(sessions);
    const opening = openSession(sessions, "app-a1", "app-a2", 3);
    await network.run(10);
    const some = askInSession(sessions, { app: "app-a1", sessionId: opening.sessionId, count: 2 });
    await network.run(50);
    expect(some.keys).toHaveLength(2);
    const last = askInSession(sessions, { app: "app-a1", sessionId: opening.sessionId });
    await network.run(50);
    expect(other.keys).toEqual([...some.keys, ...last.keys]);
    expect(sessions.sizes).toEqual({ initiator: 0, destination: 0, asks: 0 });
    expectOneUse([network.a], [...some.keys, ...last.keys]);
    expect(network.a.vault.leases.blocks).toBe(0);
  });

  test("of one KM: what was pushed cannot be fetched by ID before the initiator has it, nor after", async () => {
    const network = new Network();
    await network.a.boot();
    await network.run(10);
    const { sessions } = network.a.parts;
    const other = new SessionApp(network.clock, "app-a2").connect(sessions);
    other.delayMs = 1_000;
    const opening = openSession(sessions, "app-a1", "app-a2", 3);
    await network.run(1_010);
    const first = askInSession(sessions, { app: "app-a1", sessionId: opening.sessionId });
    await network.run(100);
    const ids = other.keys.map(({ id }) => id);
    expect(ids).toHaveLength(1);
    const early = fetchKeys(network.a.km, "app-a2", "app-a1", ids);
    await network.run(1_000);
    const late = fetchKeys(network.a.km, "app-a2", "app-a1", ids);
    await network.run(10);
    expect([early.fault?.code, late.fault?.code]).toEqual(["NOT_AUTHORIZED", "NOT_AUTHORIZED"]);
    expect(first.keys).toEqual(other.keys);
  });

  test("of KMs without a link between them gets keys that were relayed", async () => {
    const mesh = await Mesh.up({ links: LINE_3, blocks: 48 });
    const [a, c] = [mesh.node("a"), mesh.node("c")];
    const other = new SessionApp(mesh.clock, "app-c").connect(c.parts.sessions);
    const opening = openSession(a.parts.sessions, "app-a", "app-c", 20);
    await mesh.run(50);
    const asked = askInSession(a.parts.sessions, { app: "app-a", sessionId: opening.sessionId, count: 20 });
    await mesh.run(500);
    expect(asked.keys).toHaveLength(20);
    expect(other.keys).toEqual(asked.keys);
    expectOneUse([a, c], asked.keys);
  });

  test("takes keys in turn with whoever waits at the destination's KM, and waits for stock like them", async () => {
    const scene = await Scene.open({ blocks: 0 });
    const sessionId = await scene.session();
    const asked = await scene.taken(sessionId, 2);
    expect(asked.answers).toBe(0);
    scene.network.modules.make(8);
    await scene.network.run(500);
    expect(asked.keys).toHaveLength(2);
    scene.expectSound();
  });

  test("without stock is refused when the destination's KM has waited in vain", async () => {
    const scene = await Scene.open({ blocks: 0 });
    const sessionId = await scene.session(1);
    const asked = await scene.taken(sessionId);
    await scene.network.run(6000);
    expect(asked.fault?.code).toBe("INSUFFICIENT_KEYS");
    scene.network.modules.make(8);
    await scene.network.run(500);
    expect((await scene.taken(sessionId)).keys).toHaveLength(1);
    scene.expectSound();
  });
});

describe("who may have a session", () => {
  test.each([
    ["app-a1", "app-a1", undefined, "MALFORMED_REQUEST"],
    ["app-a1", "app-x", undefined, "UNKNOWN_APPLICATION"],
    ["app-x", "app-b1", undefined, "UNKNOWN_APPLICATION"],
    ["app-b1", "app-a1", undefined, "UNKNOWN_APPLICATION"],
    ["app-a1", "app-c1", undefined, "NO_ROUTE"],
    ["app-a1", "app-b2", undefined, "APP_UNAVAILABLE"],
    ["app-a1", "app-b1", 0, "MALFORMED_REQUEST"],
    ["app-a1", "app-b1", 1.5, "MALFORMED_REQUEST"],
    ["app-a1", "app-b1", 1_000_001, "TOO_MANY_KEYS"],
  ])("%s with %s and a budget of %s is refused: %s", async (from, to, budget, code) => {
    const scene = await Scene.open();
    const opening = openSession(scene.network.a.parts.sessions, from, to, budget);
    await scene.network.run(20);
    expect([opening.fault?.code, opening.answers]).toEqual([code, 1]);
    expect(scene.open).toEqual([0, 0]);
  });

  test("the destination may refuse, and its word reaches the initiator", async () => {
    const scene = await Scene.open();
    scene.b.accept = () => false;
    const opening = scene.opening();
    await scene.network.run(20);
    expect(opening.fault?.message).toBe("the application does not want this session");
    expect(scene.open).toEqual([0, 0]);
  });

  test("a destination that does not answer is waited for, but not for ever", async () => {
    const scene = await Scene.open();
    scene.b.accept = () => undefined;
    const opening = scene.opening();
    await scene.network.run(4000);
    expect(opening.answers).toBe(0);
    await scene.network.run(2000);
    expect(opening.fault?.code).toBe("PEER_UNAVAILABLE");
    expect(scene.open).toEqual([0, 0]);
  });

  test("nobody while the other KM is away", async () => {
    const scene = await Scene.open();
    const before = await scene.session();
    scene.network.wire.cut();
    const opening = scene.opening();
    const asked = await scene.taken(before);
    expect([opening.fault?.code, asked.fault?.code]).toEqual(["PEER_UNAVAILABLE", "PEER_UNAVAILABLE"]);
  });

  test("so many per application and in all, at either KM, and one more when one has ended", async () => {
    const scene = await Scene.open({ sessions: { maxPerApp: 2, max: 3 } });
    new SessionApp(scene.network.clock, "app-b2").connect(scene.network.b.parts.sessions);
    const { sessions } = scene.network.a.parts;
    const one = await scene.session(1);
    await scene.session();
    const third = scene.opening();
    const atB = openSession(sessions, "app-a2", "app-b1");
    await scene.network.run(20);
    const other = openSession(sessions, "app-a2", "app-b2");
    await scene.network.run(20);
    const fourth = openSession(sessions, "app-a3", "app-b2");
    await scene.network.run(20);
    expect([third, atB, other, fourth].map(({ fault }) => fault?.code)).toEqual(["BUSY", "BUSY", undefined, "BUSY"]);
    await scene.taken(one);
    expect(await scene.session()).toMatch(/^[0-9a-f]{32}$/);
  });

  test("a request given up while the session is being opened leaves none behind", async () => {
    const scene = await Scene.open();
    scene.b.delayMs = 1000;
    const opening = scene.opening();
    await scene.network.run(100);
    opening.cancel();
    await scene.network.run(2000);
    expect(opening.answers).toBe(0);
    expect(scene.open).toEqual([0, 0]);
    expect(scene.network.b.recorder.count("sessions_ended", { role: "destination", reason: "left" })).toBe(1);
  });
});

describe("who may use a session", () => {
  test("its initiator alone", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    const stranger = askInSession(scene.network.a.parts.sessions, { app: "app-a2", sessionId });
    const unknown = await scene.taken("0123456789abcdef0123456789abcdef");
    const atB = askInSession(scene.network.b.parts.sessions, { app: "app-b1", sessionId });
    await scene.network.run(20);
    expect(stranger.fault?.code).toBe("NOT_AUTHORIZED");
    expect([unknown.fault?.code, atB.fault?.code]).toEqual(["SESSION_UNKNOWN", "SESSION_UNKNOWN"]);
    expect(scene.b.pushes).toEqual([]);
  });

  test.each<[Partial<SessionKeysRequest>, string]>([
    [{ sizeBits: 100 }, "KEY_SIZE_NOT_BYTES"],
    [{ sizeBits: 56 }, "KEY_SIZE_INVALID"],
    [{ sizeBits: 32_008 }, "KEY_SIZE_INVALID"],
    [{ count: 0 }, "MALFORMED_REQUEST"],
    [{ count: 1.5 }, "MALFORMED_REQUEST"],
    [{ count: Number.NaN }, "MALFORMED_REQUEST"],
    [{ count: 1000 }, "TOO_MANY_KEYS"],
  ])("%o is refused with %s, and nothing is carved", async (wish, code) => {
    const scene = await Scene.open();
    const sessionId = await scene.session(10_000);
    const asked = await scene.taken(sessionId, wish.count, wish.sizeBits);
    expect(asked.fault?.code).toBe(code);
    expect(scene.b.pushes).toEqual([]);
  });

  test("as many keys as one push and one answer hold", async () => {
    const scene = await Scene.open({ blocks: 32, policy: { stockHigh: 16 } });
    const sessionId = await scene.session();
    const tooMany = await scene.taken(sessionId, scene.network.a.km.requests.sizes.maxKeys(64), 64);
    expect(tooMany.fault?.code).toBe("TOO_MANY_KEYS");
    const most = Number(tooMany.fault?.details?.[0]?.max_key_per_request);
    const asked = await scene.taken(sessionId, most, 64);
    expect(asked.keys).toHaveLength(most);
    const letters = scene.b.keys.reduce((sum, { id, key }) => sum + JSON.stringify({ key_ID: id, key }).length + 1, 0);
    const frame = JSON.stringify({ session_ID: sessionId, keys: [], response: "success" });
    expect(letters + frame.length).toBeLessThanOrEqual(65_535);
  });

  test("against the quotas of both, each at its home; what was not acknowledged costs the initiator nothing", async () => {
    const quota = { bitsPerS: 1, burstBits: 1024 };
    const apps = [
      { id: "app-a1", home: "km-a", quota },
      { id: "app-a2", home: "km-a", quota: { bitsPerS: 1e9, burstBits: 1e9 } },
      { id: "app-b1", home: "km-b", quota: { bitsPerS: 1, burstBits: 2048 } },
    ] as never;
    const scene = await Scene.open({ apps });
    const sessionId = await scene.session();
    scene.b.acknowledge = ({ keys }) => keys.slice(0, 1).map(({ id }) => id);
    expect((await scene.taken(sessionId, 4)).keys).toHaveLength(1);
    expect((await scene.taken(sessionId, 4)).fault?.code).toBe("QUOTA_EXCEEDED");
    scene.b.acknowledge = ({ keys }) => keys.map(({ id }) => id);
    expect((await scene.taken(sessionId, 3)).keys).toHaveLength(3);
    const other = openSession(scene.network.a.parts.sessions, "app-a2", "app-b1");
    await scene.network.run(20);
    const asked = askInSession(scene.network.a.parts.sessions, { app: "app-a2", sessionId: other.sessionId, count: 2 });
    await scene.network.run(50);
    expect([asked.fault?.code, scene.b.keys.length]).toEqual(["QUOTA_EXCEEDED", 7]);
    scene.expectSound();
  });

  test("a key of a session cannot be fetched by its ID, at neither KM", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    scene.b.acknowledge = ({ keys }) => keys.slice(1).map(({ id }) => id);
    await scene.taken(sessionId, 2);
    const { a, b } = scene.network;
    for (const { id } of scene.b.keys) {
      const asked = [
        fetchKeys(a.km, "app-a1", "app-b1", [id]),
        fetchKeys(a.km, "app-a2", "app-b1", [id]),
        fetchKeys(b.km, "app-b1", "app-a1", [id]),
      ];
      await scene.network.run(20);
      expect(asked.map(({ outcome }) => outcome)).toEqual(["refused", "refused", "refused"]);
    }
  });
});
