// What a KM asks of an application over a channel without a socket: notices and pushes, answered in every way or not at all.

import { describe, expect, test } from "vitest";
import { MAX_ASKED } from "../../src/ak/app-line.ts";
import { AkConnection } from "../../src/ak/connection.ts";
import { appId } from "../../src/core/ids.ts";
import type { SessionCreation } from "../../src/keys/ports/sessions.ts";
import { BufferPool } from "../../src/wire/buffer-pool.ts";
import { SupplyRing } from "../../src/wire/ring.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { recorder } from "../support/recorder.ts";
import { FakeChannel } from "./fake-channel.ts";
import { FakeDoor, FakeGrant, keyBytes, keyIdOf } from "./fake-door.ts";
import { FakeSessions } from "./fake-sessions.ts";
import { handFrame, handParse } from "./hand.ts";

const CREATION: SessionCreation = {
  sessionId: "s-1",
  initiator: appId("app-c1"),
  destination: appId("app-a1"),
  applicationName: undefined,
  budget: undefined,
};
const DROPPED = "answers_dropped";

function open() {
  const channel = new FakeChannel();
  const seen = recorder();
  const clock = new ManualClock();
  const sessions = new FakeSessions();
  const ring = new SupplyRing(new Uint8Array(0x2_0000));
  new AkConnection(channel, { door: new FakeDoor(), sessions, clock, ring, buffers: new BufferPool(1), ...seen });
  const frames = () => handParse(Buffer.concat(channel.writes)).frames;
  const answer = (code: number, messageId: number, json: object): void =>
    channel.receive(handFrame(code, messageId, json));
  return { channel, seen, clock, sessions, ring, frames, answer, line: sessions.line };
}

type Opened = ReturnType<typeof open>;
const acknowledge = ({ answer }: Opened, messageId: number, key_ID: string, response = "success"): void =>
  answer(0x210b, messageId, { session_ID: "s-1", key_ID, response });

/** A push of keys of 32 bytes that is on its way. */
async function pushed(opened: Opened, count: number, timeoutMs = 1000) {
  const grant = new FakeGrant(7, Array<number>(count).fill(32));
  const acknowledged = opened.line.push("s-1", grant, timeoutMs);
  await Promise.resolve();
  const messageId = opened.frames().at(-1)?.messageId ?? -1;
  return { grant, acknowledged, messageId, ids: grant.sizes.map((_, index) => keyIdOf(7, index, 32)) };
}

describe("Q.4161 8.2.3: a notice of a session", () => {
  test("has what it is told, and nothing for what is absent; success resolves it", async () => {
    const opened = open();
    const { line, frames, answer, clock } = opened;
    const plain = line.notify(CREATION, 1000);
    await Promise.resolve();
    const whole = line.notify({ ...CREATION, sessionId: "s-2", applicationName: "vpn", budget: 5 }, 1000);
    await Promise.resolve();
    const apps = { application_source_ID: "app-c1", application_destination_ID: "app-a1" };
    expect(frames()).toEqual([
      { version: 1, messageId: 1, code: 0x1206, json: { ...apps, session_ID: "s-1" } },
      {
        version: 1,
        messageId: 2,
        code: 0x1206,
        json: { ...apps, application_name: "vpn", session_ID: "s-2", number_of_keys: 5 },
      },
    ]);
    answer(0x2107, 2, { session_ID: "s-2", response: "success", extension: [{ unknown: 1 }] });
    answer(0x2107, 1, { session_ID: "s-1", response: "success" });
    await Promise.all([plain, whole]);
    expect(clock.waiting).toBe(0);
  });

  test.each([
    ["SESSION_REFUSED: no vpn today", "SESSION_REFUSED", "the other application refuses the session: no vpn today"],
    ["I do not want it", "SESSION_REFUSED", "the other application refuses the session: I do not want it"],
    ["BUSY: later", "BUSY", "the other application refuses the session: later"],
    ["APP_UNAVAILABLE: none", "APP_UNAVAILABLE", "the other application refuses the session: none"],
    ["INTERNAL: an internal error", "SESSION_REFUSED", "the other application refuses the session: an internal error"],
    ["", "SESSION_REFUSED", "the other application refuses the session"],
    ["x".repeat(9000), "SESSION_REFUSED", `the other application refuses the session: ${"x".repeat(200)}`],
  ])("that is answered with %j is refused as %s", async (response, code, message) => {
    const { line, answer, clock } = open();
    const refused = expect(line.notify(CREATION, 1000)).rejects.toMatchObject({ code, message });
    answer(0x2107, 1, { session_ID: "s-1", response });
    await refused;
    expect(clock.waiting).toBe(0);
  });

  test("that is answered wrongly fails with what is wrong", async () => {
    const { line, answer } = open();
    const refused = expect(line.notify(CREATION, 1000)).rejects.toMatchObject({
      code: "MALFORMED_REQUEST",
      message: "response must be a string",
    });
    answer(0x2107, 1, { session_ID: "s-1", response: 1 });
    await refused;
  });

  test("is given up when it is late, and an answer that comes then is dropped and counted", async () => {
    const { line, answer, clock, seen } = open();
    const refused = expect(line.notify(CREATION, 1000)).rejects.toMatchObject({ code: "PEER_UNAVAILABLE" });
    clock.advance(1000);
    await refused;
    answer(0x2107, 1, { session_ID: "s-1", response: "success" });
    expect(seen.count(DROPPED, { door: "ak" })).toBe(1);
  });

  test("is not answered by another session's name, another message's code or another number", async () => {
    const { line, answer, clock, seen } = open();
    const refused = expect(line.notify(CREATION, 1000)).rejects.toMatchObject({ code: "PEER_UNAVAILABLE" });
    answer(0x2107, 1, { session_ID: "s-2", response: "success" });
    answer(0x210b, 1, { session_ID: "s-1", key_ID: "", response: "success" });
    answer(0x2107, 2, { session_ID: "s-1", response: "success" });
    expect(seen.count(DROPPED)).toBe(3);
    clock.advance(1000);
    await refused;
  });

  test("that still waits for the channel when it is late is never sent", async () => {
    const { channel, line, clock, frames } = open();
    channel.slow = true;
    void line.notify(CREATION, 5000);
    await Promise.resolve();
    const refused = expect(line.notify({ ...CREATION, sessionId: "s-2" }, 1000)).rejects.toThrow("in time");
    await Promise.resolve();
    clock.advance(1000);
    await refused;
    channel.drain();
    expect(frames().map(({ json }) => json.session_ID)).toEqual(["s-1"]);
  });

  test("fails with the connection, and at once after its end", async () => {
    const { channel, line, sessions, clock } = open();
    const lost = { code: "PEER_UNAVAILABLE", message: "the application's connection has ended" };
    const refused = expect(line.notify(CREATION, 1000)).rejects.toMatchObject(lost);
    channel.lose();
    await refused;
    await expect(line.notify(CREATION, 1000)).rejects.toMatchObject(lost);
    expect([sessions.lines, clock.waiting]).toEqual([[], 0]);
  });
});

describe("Q.4161 8.2.7: a push", () => {
  test("carries its keys, leaves nothing in the ring, and resolves when each is answered, in the order of the keys", async () => {
    const opened = open();
    const { frames, ring, clock, seen } = opened;
    const { grant, acknowledged, messageId, ids } = await pushed(opened, 3);
    const keys = ids.map((key_ID, index) => ({ key: keyBytes(7, index, 32).toString("base64"), key_ID }));
    expect(frames()).toEqual([{ version: 1, messageId: 1, code: 0x120a, json: { session_ID: "s-1", keys } }]);
    expect([grant.disposals, ring.memory.every((byte) => byte === 0)]).toEqual([1, true]);
    for (const id of ids.toReversed()) acknowledge(opened, messageId, id);
    expect(await acknowledged).toEqual(ids);
    expect([clock.waiting, seen.count(DROPPED)]).toEqual([0, 0]);
  });

  test("resolves with those keys alone that the application takes", async () => {
    const opened = open();
    const { acknowledged, messageId, ids } = await pushed(opened, 3);
    const [one = "", two = "", three = ""] = ids;
    acknowledge(opened, messageId, one);
    acknowledge(opened, messageId, two, "SESSION_REFUSED: not this one");
    acknowledge(opened, messageId, three);
    expect(await acknowledged).toEqual([one, three]);
  });

  test.each<[string, (ids: readonly string[]) => readonly unknown[]]>([
    ["as strings", (ids) => ids],
    ["as objects", (ids) => ids.map((key_ID) => ({ key_ID }))],
  ])("may be answered by one message whose extension lists the keys %s", async (_, listed) => {
    const opened = open();
    const { acknowledged, messageId, ids } = await pushed(opened, 4);
    const extension = [{ other: 1 }, { name: "key_IDs", key_IDs: listed(ids.slice(1)) }];
    const [first = ""] = ids;
    opened.answer(0x210b, messageId, { session_ID: "s-1", key_ID: first, response: "success", extension });
    expect(await acknowledged).toEqual(ids);
  });

  test("is refused whole by a refusal that names no key", async () => {
    const opened = open();
    const { acknowledged, messageId, ids } = await pushed(opened, 3);
    acknowledge(opened, messageId, ids[1] ?? "");
    acknowledge(opened, messageId, "", "SESSION_UNKNOWN: what session");
    expect(await acknowledged).toEqual([ids[1]]);
  });

  test("counts answers that come twice, too late, for no key of its, or malformed, and they change nothing", async () => {
    const opened = open();
    const { clock, seen, answer } = opened;
    const { acknowledged, messageId, ids } = await pushed(opened, 3);
    const [one = "", two = "", three = ""] = ids;
    acknowledge(opened, messageId, one);
    acknowledge(opened, messageId, one);
    acknowledge(opened, messageId, one, "SESSION_REFUSED: after all");
    acknowledge(opened, messageId, keyIdOf(8, 0, 32));
    acknowledge(opened, messageId, "");
    acknowledge(opened, messageId + 1, two);
    answer(0x210b, messageId, { session_ID: "s-2", key_ID: two, response: "success" });
    answer(0x210b, messageId, { session_ID: "s-1", response: "success" });
    answer(0x2107, messageId, { session_ID: "s-1", response: "success" });
    answer(0x210b, messageId, {
      session_ID: "s-1",
      key_ID: "",
      response: "success",
      extension: [{ name: "key_IDs", key_IDs: [5, null, { key_ID: 7 }] }],
    });
    expect(seen.count(DROPPED)).toBe(9);
    clock.advance(1000);
    expect(await acknowledged).toEqual([one]);
    acknowledge(opened, messageId, three);
    expect(seen.count(DROPPED)).toBe(10);
  });

  test("that nobody answers ends in time with nothing, and its number is not used again", async () => {
    const opened = open();
    const { acknowledged } = await pushed(opened, 2);
    opened.clock.advance(1000);
    expect(await acknowledged).toEqual([]);
    expect((await pushed(opened, 1)).messageId).toBe(2);
  });

  test("that still waits for the channel when it is late is wiped and never sent", async () => {
    const opened = open();
    const { channel, clock, frames, line } = opened;
    channel.slow = true;
    await pushed(opened, 1, 5000);
    const grant = new FakeGrant(9, [32, 32]);
    const acknowledged = line.push("s-1", grant, 1000);
    await Promise.resolve();
    clock.advance(1000);
    expect(await acknowledged).toEqual([]);
    expect([grant.disposals, grant.written.size]).toEqual([1, 0]);
    channel.drain();
    expect(frames()).toHaveLength(1);
  });

  test("ends with the connection: what was acknowledged counts, what waited is wiped", async () => {
    const opened = open();
    const { channel, line, clock } = opened;
    const first = await pushed(opened, 2);
    acknowledge(opened, first.messageId, first.ids[0] ?? "");
    channel.slow = true;
    await pushed(opened, 1);
    const waiting = new FakeGrant(9, [32]);
    const second = line.push("s-1", waiting, 1000);
    await Promise.resolve();
    channel.lose();
    expect([await first.acknowledged, await second]).toEqual([[first.ids[0]], []]);
    const late = new FakeGrant(10, [32]);
    expect(await line.push("s-1", late, 1000)).toEqual([]);
    expect([waiting.disposals, waiting.written.size, late.disposals, clock.waiting]).toEqual([1, 0, 1, 0]);
  });

  test("of keys that fit no frame, or of none, is wiped and resolves with nothing", async () => {
    const { line, frames } = open();
    const grants = [new FakeGrant(1, Array<number>(100).fill(4088)), new FakeGrant(2, [])];
    for (const grant of grants) expect(await line.push("s-1", grant, 1000)).toEqual([]);
    expect(grants.map(({ disposals }) => disposals)).toEqual([1, 1]);
    expect(frames()).toEqual([]);
  });
});

test("one connection has a bounded number of requests of ours, and room again when some are answered", async () => {
  const opened = open();
  const { line, clock } = opened;
  const pushes = [];
  for (let index = 0; index < MAX_ASKED; index++) pushes.push(await pushed(opened, 1));
  const over = new FakeGrant(9, [32]);
  expect([await line.push("s-1", over, 1000), over.disposals]).toEqual([[], 1]);
  await expect(line.notify(CREATION, 1000)).rejects.toMatchObject({ code: "BUSY" });
  const [first] = pushes;
  acknowledge(opened, first?.messageId ?? 0, first?.ids[0] ?? "");
  const next = await pushed(opened, 1);
  expect(next.messageId).toBe(MAX_ASKED + 1);
  clock.advance(1000);
  expect(await Promise.all(pushes.map(({ acknowledged }) => acknowledged))).toHaveLength(MAX_ASKED);
});
