// Conversations with our server by an application made of the tables alone: every message, right and wrong, whole and in pieces.

import { describe, expect, test } from "vitest";
import { AkConnection } from "../../src/ak/connection.ts";
import { Fault } from "../../src/core/fault.ts";
import { appId, kmId } from "../../src/core/ids.ts";
import { BufferPool } from "../../src/wire/buffer-pool.ts";
import { SupplyRing } from "../../src/wire/ring.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { recorder } from "../support/recorder.ts";
import { FakeChannel } from "./fake-channel.ts";
import { FakeDoor, FakeGrant, keyIdOf } from "./fake-door.ts";
import { FakeSessions } from "./fake-sessions.ts";
import { handFrame, handParse } from "./hand.ts";
import { least, rightOnes, TABLES, type Table, whole, wrongOnes } from "./tables.ts";

const APP = TABLES.filter(({ from }) => from === "app");
const REQUESTS = APP.filter(({ answeredBy }) => answeredBy !== undefined);
const ANSWERS = APP.filter(({ answeredBy }) => answeredBy === undefined);
const titled = (tables: readonly Table[]): [string, Table][] =>
  tables.map((table) => [`0x${table.code.toString(16).toUpperCase()} (table ${table.table})`, table]);

/** A server that grants whatever it is asked. */
function open() {
  const channel = new FakeChannel();
  const [door, sessions, seen, clock, buffers] = [
    new FakeDoor(),
    new FakeSessions(),
    recorder(),
    new ManualClock(),
    new BufferPool(1),
  ];
  const ring = new SupplyRing(new Uint8Array(0x2_0000));
  sessions.meetCreation = (_, answer) => answer.opened("s-1", kmId("km-a"));
  sessions.meetWish = ({ count, sizeBits }, answer) =>
    answer.granted(new FakeGrant(0, Array<number>(count).fill(sizeBits / 8)));
  new AkConnection(channel, { door, sessions, clock, ring, buffers, ...seen });
  const frames = () => handParse(Buffer.concat(channel.writes)).frames;
  const asked = () => door.asked.length + sessions.creations.length + sessions.wishes.length;
  return { channel, door, sessions, seen, clock, buffers, ring, frames, asked };
}

/** What an answer has when its request is refused, beside `response`. */
const REFUSED: Readonly<Record<number, object>> = {
  4611: { keys: [] },
  4613: { session_ID: "" },
  4617: { session_ID: expect.any(String), keys: [] },
};

describe.each(titled(REQUESTS))("%s", (_, table) => {
  const { code, answeredBy = 0 } = table;

  test.each(rightOnes(table))("$title is answered with success under its number", ({ json }) => {
    const { channel, frames, asked } = open();
    channel.receive(handFrame(code, 0xffff_ffff, json));
    expect(frames()).toMatchObject([
      { version: 1, messageId: 0xffff_ffff, code: answeredBy, json: { response: "success" } },
    ]);
    expect([asked(), channel.closedBecause]).toEqual([1, undefined]);
  });

  test.each(wrongOnes(table))(
    "$title is refused with its own answer, and the connection goes on",
    ({ json, parameter }) => {
      const { channel, frames, asked } = open();
      channel.receive(handFrame(code, 7, json));
      const [answer, ...more] = frames();
      expect([answer?.code, answer?.messageId, more]).toEqual([answeredBy, 7, []]);
      expect(answer?.json).toEqual({ ...REFUSED[answeredBy], response: expect.stringContaining(parameter) });
      expect(answer?.json.response).toMatch(/^MALFORMED_REQUEST: /);
      expect(asked()).toBe(0);
      channel.receive(handFrame(code, 7, whole(table)));
      expect(frames().at(-1)?.json.response).toBe("success");
    },
  );

  test("under the number of one without an answer ends the connection; under that of an answered one it is welcome", () => {
    const { channel, door, sessions, frames, seen } = open();
    channel.receive(handFrame(code, 3, least(table)));
    channel.receive(handFrame(code, 3, least(table)));
    expect(frames()).toHaveLength(2);
    door.hold();
    sessions.meetCreation = sessions.meetWish = () => {};
    channel.receive(handFrame(code, 3, least(table)));
    channel.receive(handFrame(code, 3, least(table)));
    expect(frames()).toHaveLength(2);
    expect(seen.count("frames_refused", { door: "ak", reason: "message_id" })).toBe(1);
    expect(channel.closedBecause).toContain("request 3 has no answer yet");
    expect([...door.held, ...sessions.creations, ...sessions.wishes].at(-1)?.givenUp).toBe(true);
  });

  test("is answered once, whatever the key manager says afterwards", async () => {
    const { channel, door, sessions, frames } = open();
    door.meet = (request, answer) => {
      answer.refused(new Fault("BUSY"));
      answer.granted(door.grantFor(request));
    };
    sessions.meetCreation = (_, answer) => {
      answer.refused(new Fault("BUSY"));
      answer.opened("s-1", kmId("km-a"));
    };
    sessions.meetWish = (_, answer) => {
      answer.refused(new Fault("BUSY"));
      answer.granted(new FakeGrant(0, [32]));
    };
    channel.receive(handFrame(code, 3, least(table)));
    await Promise.resolve();
    expect(frames().map(({ json }) => json.response)).toEqual(["BUSY: too many requests are waiting"]);
  });
});

describe.each(titled(ANSWERS))("%s", (_, table) => {
  test.each([...rightOnes(table), ...wrongOnes(table)])(
    "$title to nothing that was asked is dropped and counted",
    ({ json }) => {
      const { channel, frames, seen } = open();
      channel.receive(handFrame(table.code, 1, json));
      expect([frames(), channel.closedBecause]).toEqual([[], undefined]);
      expect(seen.count("answers_dropped", { door: "ak" })).toBe(1);
    },
  );
});

const NOTICE = {
  sessionId: "s-1",
  initiator: appId("app-c1"),
  destination: appId("app-a1"),
  applicationName: undefined,
  budget: undefined,
};

const [NOTICED, PUSHED] = ANSWERS;
if (NOTICED === undefined || PUSHED === undefined) throw new Error("tables 7 and 11 are missing");

describe("table 7, when it was asked for", () => {
  test.each(rightOnes(NOTICED))("$title opens the session", async ({ json }) => {
    const { channel, sessions } = open();
    const noticed = sessions.line.notify(NOTICE, 1000);
    channel.receive(handFrame(0x2107, 1, json));
    await noticed;
  });

  test.each(wrongOnes(NOTICED))("$title does not", async ({ json, parameter }) => {
    const { channel, sessions } = open();
    const refused = expect(sessions.line.notify(NOTICE, 1000)).rejects.toMatchObject({
      code: "MALFORMED_REQUEST",
      message: expect.stringContaining(parameter),
    });
    channel.receive(handFrame(0x2107, 1, json));
    await refused;
  });
});

describe("table 11, when it was asked for", () => {
  const key_ID = keyIdOf(5, 0, 32);

  test.each(rightOnes(PUSHED))("$title acknowledges the key", async ({ json }) => {
    const { channel, sessions } = open();
    const acknowledged = sessions.line.push("s-1", new FakeGrant(5, [32]), 1000);
    await Promise.resolve();
    channel.receive(handFrame(0x210b, 1, { ...json, key_ID }));
    expect(await acknowledged).toEqual([key_ID]);
  });

  test.each(wrongOnes(PUSHED))(
    "$title costs that key, and the log tells what was wrong",
    async ({ json, parameter }) => {
      const { channel, sessions, seen } = open();
      const acknowledged = expect(sessions.line.push("s-1", new FakeGrant(5, [32]), 1000)).rejects.toMatchObject({
        code: "MALFORMED_REQUEST",
      });
      await Promise.resolve();
      channel.receive(handFrame(0x210b, 1, parameter === "key_ID" ? json : { ...json, key_ID }));
      await acknowledged;
      const [line] = seen.lines.filter(({ level }) => level === "warn");
      expect(line).toMatchObject({
        fields: { app: "app-a1", session: "s-1" },
        sentence: expect.stringContaining(parameter),
      });
    },
  );

  test("one answer that is not as it should be costs its key alone, and Success is success", async () => {
    const { channel, sessions } = open();
    const ids = [32, 32, 32].map((bytes, index) => keyIdOf(5, index, bytes));
    const acknowledged = sessions.line.push("s-1", new FakeGrant(5, [32, 32, 32]), 1000);
    await Promise.resolve();
    const [first = "", second = "", third = ""] = ids;
    channel.receive(handFrame(0x210b, 1, { session_ID: "s-1", key_ID: first, response: "Success" }));
    channel.receive(handFrame(0x210b, 1, { key_ID: second, response: "success" }));
    channel.receive(handFrame(0x210b, 1, { session_ID: "s-1", key_ID: third, response: "SUCCESS" }));
    expect(await acknowledged).toEqual([first, third]);
  });
});

test("numbers of the two ends are their own: the same one may be under way in both directions", async () => {
  const { channel, door, sessions, frames } = open();
  door.hold();
  channel.receive(handFrame(0x2101, 1, { application_destination_ID: "app-c1" }));
  const noticed = sessions.line.notify(NOTICE, 1000);
  await Promise.resolve();
  expect(frames().map(({ code, messageId }) => [code, messageId])).toEqual([[0x1206, 1]]);
  channel.receive(handFrame(0x2107, 1, { session_ID: "s-1", response: "success" }));
  await noticed;
  const [held] = door.held;
  held?.answer.refused(new Fault("BUSY"));
  await Promise.resolve();
  expect(frames().map(({ code, messageId }) => [code, messageId])).toEqual([
    [0x1206, 1],
    [0x1203, 1],
  ]);
});

test("all messages in one stream, chopped at every size and cut at every byte, are met as far as they are whole", () => {
  const messages = APP.flatMap((table, at) => [
    handFrame(table.code, at, least(table)),
    handFrame(table.code, at + 50, whole(table)),
  ]);
  const stream = Buffer.concat(messages);
  const ends = messages.map((_, at) => Buffer.concat(messages.slice(0, at + 1)).length);
  const answered = (bytes: number): number =>
    messages.filter(
      (frame, at) => (ends[at] ?? 0) <= bytes && frame.readUInt16BE(6) !== 0x2107 && frame.readUInt16BE(6) !== 0x210b,
    ).length;
  for (let size = 1; size <= stream.length; size++) {
    const cut = open();
    cut.channel.receive(stream.subarray(0, size));
    expect(cut.frames()).toHaveLength(answered(size));
    cut.channel.lose();
    expect(cut.buffers.lent).toBe(0);
    if (size > 64 && size % 97 !== 0) continue;
    const chopped = open();
    for (let at = 0; at < stream.length; at += size) chopped.channel.receive(stream.subarray(at, at + size));
    expect(chopped.frames()).toHaveLength(8);
    expect(chopped.seen.count("answers_dropped")).toBe(4);
  }
});
