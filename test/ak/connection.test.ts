// A connection over a channel without a socket: what is asked of the key manager, what is answered, when and in how many writes.

import fc from "fast-check";
import { expect, test } from "vitest";
import { AkConnection, MAX_OUTSTANDING } from "../../src/ak/connection.ts";
import { Fault } from "../../src/core/fault.ts";
import { BufferPool } from "../../src/wire/buffer-pool.ts";
import { SupplyRing } from "../../src/wire/ring.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { recorder } from "../support/recorder.ts";
import { FakeChannel, frame, keyRequest } from "./fake-channel.ts";
import { FakeDoor, keyBytes, keyIdOf } from "./fake-door.ts";
import { FakeSessions } from "./fake-sessions.ts";

const RING_BYTES = 0x2_0000;
const ID = keyIdOf(0, 0, 32);

function open(door = new FakeDoor(), ring = new SupplyRing(new Uint8Array(RING_BYTES))) {
  const channel = new FakeChannel();
  const seen = recorder();
  const buffers = new BufferPool(1);
  new AkConnection(channel, { door, sessions: new FakeSessions(), clock: new ManualClock(), ring, buffers, ...seen });
  return { channel, door, seen, ring, buffers };
}

const zero = (ring: SupplyRing): boolean => ring.memory.every((byte) => byte === 0);

test("Q.4161 8.1.1: keys are asked for under the certificate's name, with defaults, and answered with their IDs", () => {
  const { channel, door, ring } = open();
  channel.receive(keyRequest(7));
  channel.receive(keyRequest(8, { number_of_keys: 2, size_of_key: 1024, extension: [{ unknown: 1 }], other: true }));
  const request = { door: "ak", app: "app-a1", destination: "app-c1" };
  expect(door.asked).toEqual([
    { ...request, count: 1, sizeBits: 256 },
    { ...request, count: 2, sizeBits: 1024 },
  ]);
  const key = (grant: number, index: number, bytes: number): object => ({
    key: keyBytes(grant, index, bytes).toString("base64"),
    key_ID: keyIdOf(grant, index, bytes),
  });
  expect(channel.answers()).toEqual([
    { code: 0x1203, messageId: 7, json: { keys: [key(0, 0, 32)], response: "success" } },
    { code: 0x1203, messageId: 8, json: { keys: [key(1, 0, 128), key(1, 1, 128)], response: "success" } },
  ]);
  expect(door.grants.map(({ disposals }) => disposals)).toEqual([1, 1]);
  expect(zero(ring)).toBe(true);
});

test("Q.4161 8.1.2: keys are asked for by their IDs, and by nothing else than the certificate", () => {
  const { channel, door, seen } = open();
  const json = { application_source_ID: "app-c1", application_destination_ID: "app-x", key_IDs: [{ key_ID: ID }] };
  channel.receive(frame(0x2102, 1, json));
  channel.receive(frame(0x2102, 2, json));
  const asked = { door: "ak", app: "app-a1", initiator: "app-c1", keyIds: [ID] };
  expect(door.asked).toEqual([asked, asked]);
  expect(channel.answers().map(({ json: { response } }) => response)).toEqual(["success", "success"]);
  const told = seen.lines.filter(({ fields }) => fields.application_destination_ID === "app-x");
  expect(told).toHaveLength(1);
});

test("what one read brings is answered in one write, from memory that is zero afterwards", () => {
  const { channel, ring } = open();
  channel.receive(Buffer.concat(Array.from({ length: 64 }, (_, index) => keyRequest(index))));
  expect(channel.writes).toHaveLength(1);
  expect(channel.answers().map(({ messageId }) => messageId)).toEqual(Array.from({ length: 64 }, (_, index) => index));
  expect(zero(ring)).toBe(true);
});

test("requests chopped at every size, and cut at every byte, are answered as far as they are whole", () => {
  const requests = Buffer.concat([keyRequest(1), keyRequest(2, { number_of_keys: 3 })]);
  const first = keyRequest(1).length;
  for (let size = 1; size <= requests.length; size++) {
    const { channel, buffers } = open();
    for (let at = 0; at < requests.length; at += size) channel.receive(requests.subarray(at, at + size));
    expect(channel.answers().map(({ messageId }) => messageId)).toEqual([1, 2]);
    const cut = open();
    cut.channel.receive(requests.subarray(0, size));
    expect(cut.channel.answers()).toHaveLength((size >= first ? 1 : 0) + (size === requests.length ? 1 : 0));
    cut.channel.lose();
    expect([buffers.lent, cut.buffers.lent]).toEqual([0, 0]);
  }
});

test("answers that come later leave when they come, those of one turn in one write", async () => {
  const { channel, door } = open();
  door.hold();
  for (const messageId of [1, 2, 3]) channel.receive(keyRequest(messageId));
  expect(channel.writes).toEqual([]);
  const [one, two, three] = door.held;
  three?.answer.granted(door.grantFor(three.request));
  two?.answer.refused(new Fault("INSUFFICIENT_KEYS", { retryAfterMs: 250 }));
  await Promise.resolve();
  expect(channel.writes).toHaveLength(1);
  one?.answer.granted(door.grantFor(one.request));
  await Promise.resolve();
  expect(channel.answers().map(({ messageId }) => messageId)).toEqual([3, 2, 1]);
  expect(channel.answers()[1]?.json).toEqual({
    keys: [],
    response: "INSUFFICIENT_KEYS: there is not enough key",
    extension: [{ name: "qkm_retry_after", ms: 250 }],
  });
});

test("while the channel is writing answers wait as grants, and leave in one write when it is free", async () => {
  const { channel, door, ring } = open();
  channel.slow = true;
  door.hold();
  for (const messageId of [1, 2, 3]) channel.receive(keyRequest(messageId));
  for (const { request, answer } of door.held) {
    answer.granted(door.grantFor(request));
    await Promise.resolve();
  }
  expect(channel.writes).toHaveLength(1);
  expect(door.grants.map(({ disposals }) => disposals)).toEqual([1, 0, 0]);
  expect(zero(ring)).toBe(true);
  channel.drain();
  expect(channel.writes).toHaveLength(2);
  expect(channel.answers().map(({ messageId }) => messageId)).toEqual([1, 2, 3]);
});

test("answers beyond the ring go out in several writes, each when the one before has ended", async () => {
  const { channel, door } = open();
  channel.slow = true;
  const most = door.sizes.maxKeys(32_704);
  const requests = Array.from({ length: 7 }, (_, index) =>
    keyRequest(index, { number_of_keys: most, size_of_key: 32_704 }),
  );
  channel.receive(Buffer.concat(requests));
  await Promise.resolve();
  expect(channel.writes).toHaveLength(1);
  for (let round = 0; round < 10 && channel.writing; round++) channel.drain();
  expect(channel.answers().map(({ messageId }) => messageId)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(channel.writes.every(({ length }) => length <= RING_BYTES && length > RING_BYTES / 4)).toBe(true);
  expect(door.grants.every(({ disposals }) => disposals === 1)).toBe(true);
});

test("the most keys of each size that are allowed fit their answer, and one more is refused", () => {
  for (const sizeBits of [64, 72, 80, 256, 4096, 32_704]) {
    const { channel, door } = open();
    const most = door.sizes.maxKeys(sizeBits);
    channel.receive(keyRequest(1, { number_of_keys: most, size_of_key: sizeBits }));
    channel.receive(keyRequest(2, { number_of_keys: most + 1, size_of_key: sizeBits }));
    const [first, second] = channel.answers();
    expect(first?.json).toMatchObject({ response: "success", keys: { length: most } });
    expect(second?.json).toEqual({
      keys: [],
      response: `TOO_MANY_KEYS: at most ${most} keys of ${sizeBits} bits fit one answer`,
    });
  }
});

test("a request that is byte for byte the last asks the same as if it came alone, whatever came between", () => {
  const json = fc.record(
    {
      application_destination_ID: fc.constantFrom("app-c1", "app-c2", "", 7),
      number_of_keys: fc.constantFrom(1, 2, 0, -1, "1", null),
      size_of_key: fc.constantFrom(256, 512, 255, 8, 1e9),
      extension: fc.constantFrom([], [{ unknown: 1 }], {}),
      other: fc.object({ maxDepth: 1 }),
    },
    { requiredKeys: [] },
  );
  const few = fc.array(json, { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(few, fc.array(fc.nat(3), { maxLength: 12 }), (payloads, order) => {
      const one = open();
      const asked = order.flatMap((at) => payloads[at] ?? []);
      for (const [messageId, payload] of asked.entries()) {
        const alone = open();
        alone.channel.receive(frame(0x2101, messageId, payload));
        const before = one.door.asked.length;
        one.channel.receive(frame(0x2101, messageId, payload));
        expect(one.door.asked.slice(before)).toEqual(alone.door.asked);
        const [own] = alone.channel.answers();
        const both = one.channel.answers().at(-1);
        expect(both?.messageId).toBe(messageId);
        // Keys are others with each grant; a refusal is the same.
        if (own?.json.response === "success") expect(both?.json.response).toBe("success");
        else expect(both).toEqual(own);
      }
    }),
  );
});

test("a grant that fits no answer after all is refused and disposed", () => {
  const { channel, door } = open();
  door.meet = (request, answer) => {
    if (!("keyIds" in request)) answer.granted(door.grantFor({ ...request, count: 100, sizeBits: 32_704 }));
  };
  channel.receive(keyRequest(1));
  expect(channel.answers()[0]?.json.response).toMatch(/^TOO_MANY_KEYS: /);
  expect(door.grants[0]?.disposals).toBe(1);
});

test.each<[number, object, string]>([
  [0x2101, {}, "MALFORMED_REQUEST: application_destination_ID is missing"],
  [0x2101, { application_destination_ID: 1 }, "MALFORMED_REQUEST: application_destination_ID must be a string"],
  [
    0x2101,
    { application_destination_ID: "a b" },
    "MALFORMED_REQUEST: application_destination_ID must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ -",
  ],
  [
    0x2101,
    { application_destination_ID: "b", application_source_ID: "" },
    "MALFORMED_REQUEST: application_source_ID must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ -",
  ],
  [
    0x2101,
    { application_destination_ID: "b", number_of_keys: 0 },
    "MALFORMED_REQUEST: number_of_keys must be 1 or more",
  ],
  [
    0x2101,
    { application_destination_ID: "b", number_of_keys: -1 },
    "MALFORMED_REQUEST: number_of_keys must be an integer, 0 or more",
  ],
  [
    0x2101,
    { application_destination_ID: "b", size_of_key: 257 },
    "KEY_SIZE_NOT_BYTES: size_of_key must be a multiple of 8 bits",
  ],
  [
    0x2101,
    { application_destination_ID: "b", size_of_key: 56 },
    "KEY_SIZE_INVALID: size_of_key must be from 64 to 32704 bits",
  ],
  [
    0x2101,
    { application_destination_ID: "b", size_of_key: 32_712 },
    "KEY_SIZE_INVALID: size_of_key must be from 64 to 32704 bits",
  ],
  [
    0x2101,
    { application_destination_ID: "b", extension: {} },
    "MALFORMED_REQUEST: extension must be an array of objects",
  ],
  [0x2102, { key_IDs: [] }, "MALFORMED_REQUEST: application_source_ID is missing"],
  [0x2102, { application_source_ID: "a", key_IDs: [] }, "MALFORMED_REQUEST: key_IDs must name at least one key"],
  [
    0x2102,
    { application_source_ID: "a", key_IDs: [{ key_ID: 5 }] },
    "MALFORMED_REQUEST: key_IDs[0].key_ID must be a string",
  ],
])("0x%x %j is refused with its own answer: %s", (code, json, response) => {
  const { channel, door, seen } = open();
  channel.receive(frame(code, 9, json));
  expect(channel.answers()).toEqual([{ code: 0x1203, messageId: 9, json: { keys: [], response } }]);
  expect(door.asked).toEqual([]);
  const [fault = ""] = response.split(":");
  expect(seen.count("requests_refused", { door: "ak", fault })).toBe(1);
  expect(channel.closedBecause).toBeUndefined();
});

test("what the key manager refuses is answered with its fault, and a defect as INTERNAL with its cause in the log", () => {
  const { channel, door, seen } = open();
  door.meet = (_, answer) => answer.refused(new Fault("UNKNOWN_APPLICATION"));
  channel.receive(keyRequest(1));
  door.meet = () => {
    throw new TypeError("oops");
  };
  channel.receive(keyRequest(2));
  expect(channel.answers().map(({ json }) => json.response)).toEqual([
    "UNKNOWN_APPLICATION: the application named is not known here",
    "INTERNAL: an internal error",
  ]);
  expect(seen.lines.some(({ fields }) => fields.err instanceof TypeError)).toBe(true);
});

test("answers to nothing that was asked are dropped and counted", () => {
  const { channel, seen } = open();
  channel.receive(frame(0x2107, 1, { session_ID: "s", response: "success" }));
  channel.receive(frame(0x210b, 1, { session_ID: "s", key_ID: "k", response: "success" }));
  expect(seen.count("answers_dropped", { door: "ak" })).toBe(2);
  expect([channel.writes, channel.closedBecause]).toEqual([[], undefined]);
});

test.each<[string, Buffer]>([
  ["version", Buffer.from("00020000000121010000", "hex")],
  ["unknown_code", frame(0x2199, 2, {})],
  ["unknown_code", frame(0x1101, 2, {})],
  ["direction", frame(0x1203, 2, { keys: [], response: "success" })],
  ["direction", frame(0x120a, 2, {})],
  ["json", Buffer.concat([Buffer.from("00010000000221010001", "hex"), Buffer.from("{")])],
  ["json", frame(0x2101, 2, [])],
  ["json", Buffer.concat([Buffer.from("00010000000221010002", "hex"), Buffer.from([0xc3, 0x28])])],
  ["message_id", keyRequest(1)],
])("a bad frame (%s) ends the connection with its reason, after what was answered before it", (reason, bad) => {
  const { channel, door, seen, buffers, ring } = open();
  channel.receive(keyRequest(5));
  door.hold();
  channel.receive(Buffer.concat([keyRequest(1), bad, keyRequest(3)]));
  expect(channel.answers().map(({ messageId }) => messageId)).toEqual([5]);
  expect(channel.closedBecause).toMatch(/^a frame was refused: /);
  expect(seen.count("frames_refused", { door: "ak", reason })).toBe(1);
  expect(door.held.at(-1)?.givenUp).toBe(true);
  expect(door.asked).toHaveLength(2);
  channel.receive(keyRequest(4));
  expect([door.asked.length, buffers.lent, zero(ring)]).toEqual([2, 0, true]);
});

test("a message ID may come again as soon as it was answered", () => {
  const { channel } = open();
  channel.receive(Buffer.concat([keyRequest(1), keyRequest(1)]));
  expect(channel.answers().map(({ messageId }) => messageId)).toEqual([1, 1]);
});

test("a session ID that is too long to be repeated is refused, and the connection goes on", () => {
  const { channel, seen } = open();
  channel.receive(frame(0x2108, 1, { session_ID: "x".repeat(65_470) }));
  channel.receive(keyRequest(2));
  expect(channel.answers().map(({ code, messageId }) => [code, messageId])).toEqual([
    [0x1209, 1],
    [0x1203, 2],
  ]);
  expect(channel.answers()[0]?.json).toMatchObject({
    session_ID: "",
    keys: [],
    response: expect.stringMatching(/^MALFORMED_REQUEST: /),
  });
  expect(seen.lines.filter(({ level }) => level === "error")).toEqual([]);
});

test("requests beyond the limit are refused as BUSY, and welcome again when others were answered", async () => {
  const { channel, door } = open();
  door.hold();
  for (let messageId = 0; messageId <= MAX_OUTSTANDING; messageId++) channel.receive(keyRequest(messageId));
  expect(channel.answers()).toMatchObject([
    {
      messageId: MAX_OUTSTANDING,
      json: {
        keys: [],
        response: "BUSY: too many requests are waiting",
        extension: [{ name: "qkm_retry_after", ms: 1000 }],
      },
    },
  ]);
  expect(door.asked).toHaveLength(MAX_OUTSTANDING);
  const [first] = door.held;
  first?.answer.granted(door.grantFor(first.request));
  await Promise.resolve();
  channel.receive(keyRequest(1000));
  expect(door.asked).toHaveLength(MAX_OUTSTANDING + 1);
});

test("a lost connection gives waiting requests up, and disposes what comes for them or waited to be written", async () => {
  const { channel, door, ring } = open();
  channel.slow = true;
  channel.receive(Buffer.concat([keyRequest(1), keyRequest(2)]));
  door.hold();
  channel.receive(keyRequest(3));
  channel.receive(keyRequest(4));
  const [, , three, four] = door.held;
  three?.answer.granted(door.grantFor(three.request));
  channel.lose();
  expect([three?.givenUp, four?.givenUp]).toEqual([false, true]);
  four?.answer.granted(door.grantFor(four.request));
  four?.answer.refused(new Fault("STOPPING"));
  await Promise.resolve();
  expect(door.grants.map(({ disposals, written }) => [disposals, written.size])).toEqual([
    [1, 1],
    [1, 1],
    [1, 0],
    [1, 0],
  ]);
  expect([channel.writes.length, zero(ring)]).toEqual([1, true]);
});

test("an answer for one connection that another's request brings about does not mix with it", async () => {
  const ring = new SupplyRing(new Uint8Array(RING_BYTES));
  const door = new FakeDoor();
  const [a, b] = [open(door, ring), open(door, ring)];
  door.hold();
  b.channel.receive(keyRequest(100));
  const [waiting] = door.held;
  door.meet = (request, answer) => {
    answer.granted(door.grantFor(request));
    waiting?.answer.granted(door.grantFor(waiting.request));
  };
  a.channel.receive(Buffer.concat([keyRequest(1), keyRequest(2)]));
  await Promise.resolve();
  expect(a.channel.answers().map(({ messageId }) => messageId)).toEqual([1, 2]);
  expect(b.channel.answers().map(({ messageId }) => messageId)).toEqual([100]);
  expect(door.grants.map(({ disposals }) => disposals)).toEqual([1, 1, 1, 1]);
});
