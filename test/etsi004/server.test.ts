// Tests of src/etsi004: the door over real TLS, in both dialects.

import { beforeAll, describe, expect, it, test } from "vitest";
import { Fault, type FaultCode } from "../../src/core/fault.ts";
import { until } from "../support/until.ts";
import { closeFrame, type Dialect, frameOf, keyFrame, openFrame } from "./client.ts";
import { FakeStreams, ID } from "./fake-streams.ts";
import { openDoor, type Papers, papers } from "./kit.ts";

let net: Papers;
beforeAll(async () => {
  net = await papers();
});

const [HERE, THERE] = ["qkd://app-a1@km-a", "qkd://app-b1@km-b"];
const OTHER = "f".repeat(32);

describe.each(["A", "B"] as const)("wire %s", (dialect: Dialect) => {
  it("OPEN_CONNECT: takes what is wanted, answers with what is registered", async () => {
    await using door = await openDoor(net);
    using client = await door.connect(dialect);
    const wish = { chunk: 64, max: 9000, min: 100, jitter: 5, priority: 1, timeout: 3000, ttl: 30 };
    const opened = await client.open(HERE, THERE, wish);
    expect(door.streams.opened).toEqual([
      {
        ...{ app: "app-a1", other: "app-b1", id: undefined },
        qos: {
          ...{ chunkBytes: 64, maxBps: 9000, minBps: 100, jitterBps: 5, priority: 1, timeoutMs: 3000, ttlS: 30 },
          withFacts: true,
        },
      },
    ]);
    expect(opened).toEqual({
      status: 0,
      ksid: ID,
      qos: {
        chunk: 32,
        max: 1000,
        min: 0,
        jitter: 0,
        priority: 0,
        timeout: 2000,
        ttl: 60,
        mimeType: "application/json",
      },
    });
  });

  it.each([
    [THERE, HERE],
    ["qkd//app-b1@00000000-0000-0000-0000-000000000000", "qkd//app-a1@11111111-1111-1111-1111-111111111111"],
    ["qkd://app-b1", "qkd://app-a1"],
  ])(
    "OPEN_CONNECT: who asks is who the certificate says, the other is the other one: %s",
    async (source, destination) => {
      await using door = await openDoor(net);
      using client = await door.connect(dialect);
      expect((await client.open(source, destination, {}, ID)).status).toBe(0);
      expect(door.streams.opened[0]).toMatchObject({ app: "app-a1", other: "app-b1", id: ID });
    },
  );

  it.each([
    ["app-a1@km-a", THERE],
    [HERE, ""],
    [HERE, "qkd://"],
    ["qkd://app-x@km-a", THERE],
    [HERE, "qkd://app b1@km-b"],
  ])("OPEN_CONNECT: %j with %j has status 4", async (source, destination) => {
    await using door = await openDoor(net);
    using client = await door.connect(dialect);
    expect((await client.open(source, destination)).status).toBe(4);
    expect(door.streams.opened).toEqual([]);
  });

  it("OPEN_CONNECT: 1 when the other is not there, 7 with the nearest offer, and for another kind of metadata", async () => {
    await using door = await openDoor(net);
    using client = await door.connect(dialect);
    door.streams.isJoined = false;
    expect(await client.open(HERE, THERE, {}, ID)).toMatchObject({ status: 1, ksid: ID, qos: { chunk: 32 } });
    expect((await client.open(HERE, THERE)).status).toBe(dialect === "A" ? 1 : 0);
    door.streams.answers = new Fault("INSUFFICIENT_KEYS");
    door.streams.offer = { ...door.streams.qos, minBps: 77 };
    expect(await client.open(HERE, THERE, { min: 100 })).toMatchObject({ status: 7, qos: { min: 77 } });
    expect(await client.open(HERE, THERE, { mimeType: "text/xml" })).toMatchObject({
      status: 7,
      qos: { mimeType: "application/json" },
    });
  });

  it("GET_KEY: the key and its metadata, out of locked memory that is zero behind it", async () => {
    await using door = await openDoor(net);
    using client = await door.connect(dialect);
    const got = await client.getKey(ID, 7);
    expect(door.streams.asked).toEqual([{ app: "app-a1", id: ID, index: 7 }]);
    expect(got).toMatchObject({ status: 0, index: 7, metadata: '{"age":12,"hops":1}' });
    expect(got.key).toEqual(FakeStreams.chunkOf([32], 32));
    expect(door.memory.every((byte) => byte === 0)).toBe(true);
    expect(door.streams.grants[0]).toMatchObject({ written: 1, disposed: 1 });
    expect(await client.getKey(ID, 8, 0)).toMatchObject({ status: 0, index: 8, metadata: "" });
  });

  it.each([
    [100, [104]],
    [8192, [2731, 2731, 2731]],
    [32_768, [4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096]],
  ])("GET_KEY: a chunk of %i bytes out of keys of %j", async (chunkBytes, sizes) => {
    await using door = await openDoor(net);
    using client = await door.connect(dialect);
    door.streams.qos = { ...door.streams.qos, chunkBytes };
    door.streams.answers = sizes;
    expect((await client.getKey(ID, 0)).key).toEqual(FakeStreams.chunkOf(sizes, chunkBytes));
    expect(door.memory.every((byte) => byte === 0)).toBe(true);
  });

  it("GET_KEY: too little room for metadata has status 8 and the size needed, and no key is asked for", async () => {
    await using door = await openDoor(net);
    using client = await door.connect(dialect);
    const { status, needed = 0 } = await client.getKey(ID, 0, 1);
    expect([status, door.streams.asked.length]).toEqual([8, 0]);
    expect((await client.getKey(ID, 0, needed)).status).toBe(0);
  });

  test.each([
    ["INSUFFICIENT_KEYS", 2],
    ["QUOTA_EXCEEDED", 2],
    ["KEY_NOT_FOUND", 2],
    ["APP_UNAVAILABLE", 3],
    ["SESSION_UNKNOWN", 3],
    ["NO_ROUTE", 4],
    ["PEER_UNAVAILABLE", 4],
    ["HSM_UNAVAILABLE", 4],
  ] as readonly (readonly [FaultCode, number])[])("GET_KEY: %s has status %i", async (code, status) => {
    await using door = await openDoor(net);
    using client = await door.connect(dialect);
    door.streams.answers = new Fault(code);
    expect((await client.getKey(ID, 3)).status).toBe(status);
    expect(door.told.count("requests_refused", { door: "etsi004", fault: code })).toBe(1);
  });

  it("an unknown stream has status 3, one in use by others 5", async () => {
    await using door = await openDoor(net);
    using client = await door.connect(dialect);
    expect((await client.getKey(OTHER, 0)).status).toBe(3);
    expect(await client.close(OTHER)).toBe(3);
    door.streams.answers = new Fault("NOT_AUTHORIZED");
    expect((await client.open(HERE, THERE, {}, OTHER)).status).toBe(5);
  });

  it("a call that takes longer than Timeout has status 6, and is given up", async () => {
    await using door = await openDoor(net);
    using client = await door.connect(dialect);
    door.streams.answers = "wait";
    const asking = client.getKey(ID, 0);
    await until("it is asked", () => door.streams.asked.length === 1);
    door.clock.advance(2000);
    expect((await asking).status).toBe(6);
    const opening = client.open(HERE, THERE, { timeout: 100 });
    await until("it is asked", () => door.streams.opened.length === 1);
    door.clock.advance(400);
    expect((await opening).status).toBe(6);
    expect(door.streams.givenUp).toBe(2);
  });

  it("CLOSE is answered, and a stream is known on another connection than it was opened on", async () => {
    await using door = await openDoor(net);
    using one = await door.connect(dialect);
    await one.open(HERE, THERE);
    one.socket.destroy();
    using other = await door.connect(dialect);
    expect((await other.getKey(ID, 0)).status).toBe(0);
    expect(await other.close(ID)).toBe(0);
    expect(door.streams.closed).toEqual([ID]);
  });

  it("calls that come together are answered in their order, however they are cut", async () => {
    await using door = await openDoor(net);
    using client = await door.connect(dialect);
    const bytes = Buffer.concat([
      openFrame(dialect, HERE, THERE),
      keyFrame(dialect, ID, 1, 64),
      closeFrame(dialect, ID),
    ]);
    for (let at = 0; at < bytes.length; at += 13) {
      client.socket.write(bytes.subarray(at, at + 13));
      if (at % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const services: number[] = [];
    while (services.length < 3) {
      const header = await client.take(8);
      services.push(header[3] ?? 0);
      await client.take(header.readUInt32BE(4));
    }
    expect(services).toEqual([3, 5, 9]);
  });

  test.each([
    ["another version", Buffer.from("0901010200000000", "hex"), "version"],
    ["a service that is none", frameOf(dialect, 0x07, Buffer.alloc(16)), "unknown_code"],
    ["the service that would close the server", frameOf(dialect, 0xff, Buffer.alloc(0)), "unknown_code"],
    [
      "a payload that is too long",
      Buffer.from([...frameOf(dialect, 4, Buffer.alloc(0)).subarray(0, 4), 0, 1, 0, 0]),
      "over_long",
    ],
    ["a payload that is too short", frameOf(dialect, 8, Buffer.alloc(15)), "malformed"],
    ["a payload with more than its fields", frameOf(dialect, 8, Buffer.alloc(17)), "malformed"],
    ["a string without an end", frameOf(dialect, 2, Buffer.alloc(40, 0x41)), "malformed"],
  ])("%s ends the connection", async (_what, frame, reason) => {
    await using door = await openDoor(net);
    using client = await door.connect(dialect);
    client.socket.write(frame);
    await client.ended();
    expect(door.told.count("frames_refused", { door: "etsi004", reason })).toBe(1);
  });

  it("a connection on which nothing comes is closed; so is one whose client goes while it waits", async () => {
    await using door = await openDoor(net);
    using idle = await door.connect(dialect);
    await until("it is open", () => door.told.count("connections_opened") === 1);
    door.clock.advance(600_000);
    await idle.ended();
    using client = await door.connect(dialect);
    door.streams.answers = "wait";
    client.socket.write(keyFrame(dialect, ID, 0));
    await until("it is asked", () => door.streams.asked.length === 1);
    client.socket.destroy();
    await until("it is given up", () => door.streams.givenUp === 1);
  });
});

describe("wire A", () => {
  it("has all fields of an answer on errors too", async () => {
    await using door = await openDoor(net);
    using client = await door.connect("A");
    expect(await client.open(HERE, "nonsense")).toMatchObject({ status: 4, ksid: "0".repeat(32), qos: { chunk: 0 } });
    expect(await client.getKey(OTHER, 5)).toMatchObject({ status: 3, index: 5, metadata: "" });
  });

  it("knows the kind of key that the C client names in place of room for metadata", async () => {
    await using door = await openDoor(net);
    using client = await door.connect("A");
    expect(await client.getKey(ID, 0, Buffer.from([0x00, 0x10]))).toMatchObject({ status: 0, metadata: "" });
    expect((await client.getKey(ID, 1, Buffer.from([0x01, 0x10]))).status).toBe(4);
    expect((await client.getKey(ID, 1, Buffer.from([0x07, 0x07]))).status).toBe(8);
  });
});

test("wires A and B are spoken on one connection, each answered in its own", async () => {
  await using door = await openDoor(net);
  using client = await door.connect("A");
  client.socket.write(Buffer.concat([closeFrame("A", ID), closeFrame("B", ID)]));
  expect((await client.take(24)).toString("hex")).toBe(
    `0201010900000004${"0".repeat(8)}0100010900000004${"0".repeat(8)}`,
  );
});
