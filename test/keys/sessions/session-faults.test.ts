// What goes wrong in sessions: half acknowledged, gone, killed, lied to. Budgets stay exact and nothing leaks.

import { describe, expect, test } from "vitest";
import { Fault } from "../../../src/core/fault.ts";
import type { Asked } from "../support/apps.ts";
import { DEFAULT_SESSIONS } from "../support/policy.ts";
import { Scene } from "../support/session-scene.ts";

const IDLE_MS = DEFAULT_SESSIONS.idleMs;

const fault = ({ fault }: Asked): readonly (string | undefined)[] => [fault?.code, fault?.message];

describe("Q.4161 8.2: acknowledgement key by key", () => {
  test("what the destination did not acknowledge is supplied to nobody, counted, and given back to the budget", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session(4);
    scene.b.acknowledge = ({ keys }) => keys.filter((_, index) => index % 2 === 1).map(({ id }) => id);
    const asked = await scene.taken(sessionId, 4);
    expect(asked.keys).toEqual([scene.b.keys[1], scene.b.keys[3]]);
    expect(scene.network.b.recorder.count("keys_unacknowledged", { app: "app-b1" })).toBe(2);
    expect((await scene.taken(sessionId, 3)).fault?.message).toBe("2 keys of the session's budget are left, not 3");
    scene.b.acknowledge = ({ keys }) => keys.map(({ id }) => id);
    expect((await scene.taken(sessionId, 2)).keys).toHaveLength(2);
    expect(fault(await scene.taken(sessionId))).toEqual([
      "SESSION_ENDED",
      "the session has ended: its budget is spent",
    ]);
    expect(scene.open).toEqual([0, 0]);
    scene.expectSound();
  });

  test("an ID that was not pushed, or is told twice, acknowledges nothing", async () => {
    const scene = await Scene.open();
    const one = await scene.session(10);
    const two = await scene.session(10);
    await scene.taken(one, 2);
    const earlier = scene.b.keys.map(({ id }) => id);
    scene.b.acknowledge = ({ keys }) => [...earlier, "", "nonsense", ...keys.slice(0, 1).flatMap(({ id }) => [id, id])];
    expect((await scene.taken(two, 3)).keys).toEqual([scene.b.keys[2]]);
    expect((await scene.taken(one, 8)).keys).toEqual([scene.b.keys[5]]);
    scene.expectSound();
  });

  test("an application that is there and acknowledges none has refused: the session ends at both KMs", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    scene.b.acknowledge = () => [];
    expect(fault(await scene.taken(sessionId, 2))).toEqual([
      "NOT_ACKNOWLEDGED",
      "the destination application acknowledged none of the keys",
    ]);
    await scene.network.run(100);
    expect(scene.open).toEqual([0, 0]);
    expect(fault(await scene.taken(sessionId))).toEqual([
      "SESSION_ENDED",
      "the session has ended: the destination application acknowledged none of the keys pushed to it",
    ]);
    scene.expectSound();
  });

  test("one whose answer cannot be read loses the key that it was about: the session goes on at both KMs", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    const { acknowledge } = scene.b;
    scene.b.acknowledge = () => {
      throw new Fault("MALFORMED_REQUEST", { text: "session_ID is missing" });
    };
    expect(fault(await scene.taken(sessionId))).toEqual(["NOT_ACKNOWLEDGED", "session_ID is missing"]);
    scene.b.acknowledge = acknowledge;
    expect((await scene.taken(sessionId, 2)).keys).toHaveLength(2);
    expect(scene.network.b.recorder.count("keys_unacknowledged")).toBe(1);
    scene.expectSound();
  });

  test("an application that does not answer is waited for, but not for ever", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    scene.b.acknowledge = () => undefined;
    const asked = scene.ask(sessionId);
    await scene.network.run(4000);
    expect(asked.answers).toBe(0);
    await scene.network.run(2000);
    expect(asked.fault?.code).toBe("NOT_ACKNOWLEDGED");
    scene.expectSound();
  });

  test("requests of one session at once share its budget, whichever is acknowledged first", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session(5);
    scene.b.delayMs = 100;
    const first = scene.ask(sessionId, 3);
    await scene.network.run(10);
    scene.b.delayMs = 10;
    const second = scene.ask(sessionId, 2);
    const third = scene.ask(sessionId, 1);
    await scene.network.run(200);
    expect([first.keys.length, second.keys.length, third.fault?.code]).toEqual([3, 2, "TOO_MANY_KEYS"]);
    expect(scene.open).toEqual([0, 0]);
    scene.expectSound();
  });
});

describe("an application that goes away", () => {
  test("before the keys are carved: nothing is carved, and the session goes on when it is back", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session(2);
    scene.b.disconnect();
    expect((await scene.taken(sessionId, 2)).fault?.code).toBe("APP_UNAVAILABLE");
    expect(scene.b.pushes).toEqual([]);
    scene.b.connect(scene.network.b.parts.sessions);
    expect((await scene.taken(sessionId, 2)).keys).toHaveLength(2);
    scene.expectSound();
  });

  test("in the middle of a push: its keys are lost, the budget is not, and the session goes on when it is back", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session(2);
    scene.b.delayMs = 1000;
    const asked = scene.ask(sessionId, 2);
    await scene.network.run(100);
    scene.b.disconnect();
    await scene.network.run(100);
    expect(asked.fault?.code).toBe("APP_UNAVAILABLE");
    expect(scene.network.b.recorder.count("keys_unacknowledged")).toBe(2);
    scene.b.delayMs = 0;
    scene.b.connect(scene.network.b.parts.sessions);
    expect((await scene.taken(sessionId, 2)).keys).toHaveLength(2);
    scene.expectSound();
  });

  test("while its keys wait for stock: the request ends at once and takes nothing", async () => {
    const scene = await Scene.open({ blocks: 0 });
    const sessionId = await scene.session();
    const asked = await scene.taken(sessionId);
    scene.b.disconnect();
    await scene.network.run(10);
    expect(asked.fault?.code).toBe("APP_UNAVAILABLE");
    scene.network.modules.make(8);
    await scene.network.run(500);
    expect(scene.b.pushes).toEqual([]);
    scene.expectSound();
  });

  test("from an older connection: the newest is used, and nothing else changes", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    scene.b.connect(scene.network.b.parts.sessions);
    scene.b.disconnect();
    expect((await scene.taken(sessionId)).keys).toHaveLength(1);
  });

  test("as the initiator in the middle of a request: what was acknowledged counts, and is given to nobody", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session(3);
    scene.b.delayMs = 100;
    const asked = scene.ask(sessionId, 2);
    await scene.network.run(20);
    asked.cancel();
    await scene.network.run(500);
    expect(asked.answers).toBe(0);
    expect(scene.network.a.recorder.count("keys_undelivered", { app: "app-a1" })).toBe(2);
    scene.asks.pop();
    expect((await scene.taken(sessionId, 2)).fault?.code).toBe("TOO_MANY_KEYS");
    await scene.network.run(100);
    expect((await scene.taken(sessionId, 1)).answers).toBe(0);
    await scene.network.run(100);
    scene.expectSound();
  });
});

describe("the end", () => {
  test("comes when a session was not used for so long, at both KMs, and not before", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    await scene.network.run(IDLE_MS - 1000);
    expect((await scene.taken(sessionId)).keys).toHaveLength(1);
    await scene.network.run(IDLE_MS - 1000);
    expect(scene.open).toEqual([1, 1]);
    await scene.network.run(2000);
    expect(scene.open).toEqual([0, 0]);
    expect(fault(await scene.taken(sessionId))).toEqual([
      "SESSION_ENDED",
      "the session has ended: it was idle for too long",
    ]);
  });

  test("is told to the other KM, which may have more patience", async () => {
    const scene = await Scene.open();
    scene.network.a.settings = {
      ...scene.network.a.settings,
      policy: { ...scene.network.a.settings.policy, sessions: { ...DEFAULT_SESSIONS, idleMs: 10_000 } },
    };
    await scene.network.reboot(scene.network.a);
    await scene.session();
    await scene.network.run(10_200);
    expect(scene.open).toEqual([0, 0]);
    expect(scene.network.b.recorder.count("sessions_ended", { role: "destination", reason: "idle" })).toBe(1);
  });

  test("does not come while keys are waited for, however long that is", async () => {
    const scene = await Scene.open({ blocks: 0, sessions: { idleMs: 1000 } });
    const sessionId = await scene.session();
    const asked = scene.ask(sessionId);
    await scene.network.run(4000);
    expect(scene.open).toEqual([1, 1]);
    scene.network.modules.make(8);
    await scene.network.run(500);
    expect(asked.keys).toHaveLength(1);
    await scene.network.run(2000);
    expect(scene.open).toEqual([0, 0]);
  });

  test("of all sessions comes with an orderly stop, which the other KM is told", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    const stopped = scene.network.b.stop();
    await scene.network.run(50);
    await stopped;
    scene.network.wire.cut();
    expect(scene.network.a.parts.sessions.sizes.initiator).toBe(0);
    expect(fault(await scene.taken(sessionId))).toEqual([
      "SESSION_ENDED",
      "the session has ended: its key manager was stopped",
    ]);
  });

  test("of what is under way comes with an orderly stop, once", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    scene.b.delayMs = 3000;
    const asked = scene.ask(sessionId);
    const opening = scene.opening();
    await scene.network.run(50);
    const stopped = scene.network.a.stop();
    await scene.network.run(50);
    await stopped;
    await scene.network.run(10_000);
    expect([asked.fault?.code, asked.answers]).toEqual(["STOPPING", 1]);
    expect([opening.fault?.code, opening.answers]).toEqual(["STOPPING", 1]);
  });
});

describe("a key manager that is killed", () => {
  test("at the destination: the session is over when it is back, the initiator is told so, and opens a new one", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    await scene.network.reboot(scene.network.b);
    expect(scene.open).toEqual([0, 0]);
    scene.b.connect(scene.network.b.parts.sessions);
    expect(fault(await scene.taken(sessionId))).toEqual([
      "SESSION_ENDED",
      "the session has ended: the key manager at the other end was started again",
    ]);
    expect((await scene.taken(await scene.session())).keys).toHaveLength(1);
    scene.expectSound();
  });

  test("at the destination in the middle of a push: no key is supplied, and none comes again", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session(2);
    scene.b.delayMs = 1000;
    const asked = scene.ask(sessionId, 2);
    await scene.network.run(100);
    await scene.network.reboot(scene.network.b);
    expect(asked.fault?.code).toBe("PEER_UNAVAILABLE");
    scene.b.delayMs = 0;
    scene.b.connect(scene.network.b.parts.sessions);
    expect((await scene.taken(await scene.session(2), 2)).keys).toHaveLength(2);
    expect((await scene.taken(sessionId, 2)).fault?.code).toBe("SESSION_ENDED");
    expect(scene.open).toEqual([0, 0]);
    scene.expectSound();
  });

  test("at the source: the session is unknown there, and ends at the other KM when it is back", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    await scene.network.reboot(scene.network.a);
    expect((await scene.taken(sessionId)).fault?.code).toBe("SESSION_UNKNOWN");
    expect(scene.open).toEqual([0, 0]);
  });

  test("loses a session that the other KM still has: the initiator is told at the next use", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    const peer = scene.network.a.parts.peers.get("km-b" as never)?.connection;
    const told = peer?.tell([{ name: "session_end", session_ID: sessionId, reason: "idle" }], 1000);
    await scene.network.run(20);
    await told;
    expect(scene.open).toEqual([1, 0]);
    expect((await scene.taken(sessionId)).fault?.code).toBe("SESSION_ENDED");
    expect(scene.open).toEqual([0, 0]);
  });
});

describe("the connection of the KMs", () => {
  test("may be lost and come back between two requests", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session(2);
    expect((await scene.taken(sessionId)).keys).toHaveLength(1);
    scene.network.wire.cut();
    await scene.network.run(1000);
    scene.network.wire.connect();
    await scene.network.run(200);
    expect((await scene.taken(sessionId)).keys).toHaveLength(1);
    expect(scene.open).toEqual([0, 0]);
    scene.expectSound();
  });

  test("lost while keys wait for stock takes nothing from it", async () => {
    const scene = await Scene.open({ blocks: 0 });
    const sessionId = await scene.session();
    const asked = await scene.taken(sessionId);
    scene.network.wire.cut();
    await scene.network.run(10);
    expect(asked.fault?.code).toBe("PEER_UNAVAILABLE");
    expect(scene.network.b.parts.admission.waiting).toBe(0);
    scene.network.wire.connect();
    scene.network.modules.make(8);
    await scene.network.run(500);
    expect(scene.b.pushes).toEqual([]);
    expect((await scene.taken(sessionId)).keys).toHaveLength(1);
    scene.expectSound();
  });

  test("lost with the answer: the destination's KM counts what was acknowledged, and never more than the budget", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session(3);
    scene.network.wire.lose = ({ kind }) => kind === "acknowledged";
    const asked = scene.ask(sessionId, 2);
    await scene.network.run(20_000);
    expect(asked.fault?.code).toBe("PEER_UNAVAILABLE");
    scene.network.wire.lose = () => false;
    expect((await scene.taken(sessionId, 2)).fault?.code).toBe("TOO_MANY_KEYS");
    expect((await scene.taken(sessionId, 1)).keys).toHaveLength(1);
    await scene.network.run(100);
    expect(scene.b.keys).toHaveLength(3);
    expect(scene.open).toEqual([0, 0]);
    scene.expectSound();
  });

  test("lost while a session is being opened leaves none at either KM", async () => {
    const scene = await Scene.open();
    scene.b.delayMs = 100;
    const opening = scene.opening();
    await scene.network.run(50);
    scene.network.wire.cut();
    scene.network.wire.connect();
    await scene.network.run(500);
    expect([opening.fault?.code, opening.answers]).toEqual(["PEER_UNAVAILABLE", 1]);
    expect(scene.open).toEqual([0, 0]);
  });
});

describe("a peer that lies", () => {
  test("about who is at home there, about a session's name, or about one that is not its own, is refused", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    const peer = scene.network.a.parts.peers.get("km-b" as never)?.connection;
    const creation = {
      sessionId: "fresh",
      initiator: "app-a1",
      destination: "app-b1",
      applicationName: undefined,
      budget: 1,
    } as never;
    const tell = async (change: object): Promise<string> => {
      const told = peer?.createSession({ ...(creation as object), ...change } as never, 5000);
      const outcome = told?.then(
        () => "opened",
        (thrown: unknown) => (thrown instanceof Fault ? thrown.code : String(thrown)),
      );
      await scene.network.run(20);
      return (await outcome) ?? "";
    };
    expect(await tell({ initiator: "app-b2" })).toBe("NOT_AUTHORIZED");
    expect(await tell({ initiator: "app-c1" })).toBe("NOT_AUTHORIZED");
    expect(await tell({ destination: "app-a2" })).toBe("UNKNOWN_APPLICATION");
    expect(await tell({ destination: "app-x" })).toBe("UNKNOWN_APPLICATION");
    expect(await tell({ sessionId: "" })).toBe("MALFORMED_REQUEST");
    expect(await tell({ sessionId: "a b" })).toBe("MALFORMED_REQUEST");
    expect(await tell({ budget: 0 })).toBe("MALFORMED_REQUEST");
    expect(await tell({ applicationName: "x".repeat(257) })).toBe("MALFORMED_REQUEST");
    expect(await tell({ sessionId })).toBe("MALFORMED_REQUEST");
    expect(await tell({})).toBe("opened");
    expect(await tell({})).toBe("MALFORMED_REQUEST");
    const wish = peer?.notifySession({ sessionId: "other", count: 1, sizeBits: 256 }, 5000);
    const unknown = expect(wish).rejects.toMatchObject({ code: "SESSION_UNKNOWN" });
    await scene.network.run(20);
    await unknown;
  });

  test("about keys that are none of the session's supplies nothing for them", async () => {
    const scene = await Scene.open();
    const one = await scene.session(10);
    await scene.taken(one, 1);
    const [spent] = scene.b.keys;
    const { peerEvents } = scene.network.b.km;
    const honest = peerEvents.sessionNotified.bind(peerEvents);
    peerEvents.sessionNotified = async (peer, wish) => {
      const [first = ""] = await honest(peer, wish);
      return [spent?.id ?? "", first, first, "nonsense", first.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"))];
    };
    const asked = await scene.taken(one, 2);
    expect(asked.keys).toEqual([scene.b.keys[1]]);
    expect(scene.network.a.recorder.count("key_ids_refused", { peer: "km-b" })).toBe(4);
    scene.expectSound();
  });

  test("about more keys than were asked supplies no more than were asked", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session(4);
    const { peerEvents } = scene.network.b.km;
    const honest = peerEvents.sessionNotified.bind(peerEvents);
    peerEvents.sessionNotified = (peer, wish) => honest(peer, { ...wish, count: wish.count + 1 });
    expect((await scene.taken(sessionId, 1)).keys).toHaveLength(1);
    expect(scene.network.a.recorder.count("key_ids_refused")).toBe(1);
    scene.expectSound();
  });

  test("about the end of sessions ends only those that it shares", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session();
    const peer = scene.network.b.parts.peers.get("km-a" as never)?.connection;
    const told = [
      peer?.tell([{ name: "session_end", session_ID: "unknown", reason: "idle" }], 1000),
      peer?.tell([{ name: "session_end", session_ID: sessionId, reason: "made up" }], 1000),
    ];
    const malformed = peer?.tell([{ name: "session_end", session_ID: 5, reason: "idle" }], 1000);
    const refused = expect(malformed).rejects.toMatchObject({ code: "MALFORMED_REQUEST" });
    await scene.network.run(20);
    await Promise.all([...told, refused]);
    expect(scene.network.a.recorder.count("sessions_ended", { role: "initiator", reason: "peer" })).toBe(1);
  });
});

describe("a KM in trouble", () => {
  test("without its token, at either end, says so and takes nothing of the budget", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session(1);
    for (const node of [scene.network.a, scene.network.b]) {
      node.vault.token("gone");
      expect((await scene.taken(sessionId)).fault?.code).toBe("HSM_UNAVAILABLE");
      node.vault.token("ready");
    }
    expect((await scene.taken(sessionId)).keys).toHaveLength(1);
    scene.expectSound();
  });

  test("whose disk is full when the keys have been acknowledged: they are lost, and count", async () => {
    const scene = await Scene.open();
    const sessionId = await scene.session(2);
    scene.b.delayMs = 100;
    const asked = scene.ask(sessionId);
    await scene.network.run(50);
    scene.network.a.machine.fate = () => "rejected, lost";
    await scene.network.run(200);
    expect(asked.fault?.code).toBe("STORE_UNAVAILABLE");
    scene.network.a.machine.fate = () => "durable";
    scene.network.a.vault.store("ready");
    expect((await scene.taken(sessionId, 2)).fault?.code).toBe("TOO_MANY_KEYS");
  });
});
