// The Ak door over real TLS: identities, pipelining, slow readers, bad frames.

import type { TLSSocket } from "node:tls";
import { beforeAll, expect, test } from "vitest";
import { appId } from "../../src/core/ids.ts";
import { BufferPool } from "../../src/wire/buffer-pool.ts";
import { FrameReader } from "../../src/wire/frame.ts";
import { forIdentity } from "../support/certificates.ts";
import { until } from "../support/until.ts";
import { openAk, type Papers, papers } from "./ak-kit.ts";
import { frame, keyRequest } from "./fake-channel.ts";

let own: Papers;
beforeAll(async () => {
  own = await papers();
});

/** Message IDs of the answers that have arrived on a socket. */
function answersOf(socket: TLSSocket): number[] {
  const ids: number[] = [];
  const reader = new FrameReader(new BufferPool(1));
  socket.on("data", (chunk: Buffer) => reader.push(chunk, ({ messageId }) => void ids.push(messageId)));
  return ids;
}

test("64 requests in one write are answered in order, and the supply ring is zero afterwards", async () => {
  await using door = await openAk(own);
  const socket = door.socket(own.a1);
  const ids = answersOf(socket);
  socket.write(Buffer.concat(Array.from({ length: 64 }, (_, index) => keyRequest(index))));
  await until("all are answered", () => ids.length === 64);
  expect(ids).toEqual(Array.from({ length: 64 }, (_, index) => index));
  expect(door.ring.memory.every((byte) => byte === 0)).toBe(true);
  socket.destroy();
});

test("the certificate alone says who asks", async () => {
  await using door = await openAk(own);
  const socket = door.socket(own.c1);
  const ids = answersOf(socket);
  socket.write(keyRequest(1, { application_source_ID: "app-a1" }));
  await until("it is answered", () => ids.length === 1);
  expect(door.keys.asked).toMatchObject([{ app: "app-c1", destination: "app-c1" }]);
  socket.destroy();
});

test("an application that is not homed here, a key manager, or nobody gets no answer, and nothing is asked for it", async () => {
  await using door = await openAk(own);
  const strangers = [
    await forIdentity(own.apps, "app", "app-x"),
    await forIdentity(own.apps, "km", "km-a"),
    await forIdentity(own.kms, "app", "app-a1"),
  ];
  for (const stranger of strangers) {
    const socket = door.socket(stranger);
    socket.write(keyRequest(1));
    await new Promise((resolve) => socket.resume().once("close", resolve));
  }
  await until("all are refused", () => door.seen.count("connections_refused") === 3);
  const reasons = door.seen.lines.map(({ fields }) => fields.reason);
  expect(reasons).toEqual(["not_admitted", "identity", "unknown_ca"]);
  expect(door.keys.asked).toEqual([]);
});

test("an application at a key manager that is not its home is told so, and nothing is asked for it", async () => {
  await using door = await openAk(own);
  const b1 = await forIdentity(own.apps, "app", "app-b1");
  await using client = await door.client(b1);
  await expect(client.getKeys({ destination: appId("app-a1") })).rejects.toMatchObject({ code: "NOT_AT_HOME" });
  await expect(client.openSession({ destination: appId("app-a1") })).rejects.toMatchObject({ code: "NOT_AT_HOME" });
  expect(door.keys.asked).toEqual([]);
  expect(door.seen.count("connections_refused", { reason: "not_admitted" })).toBeGreaterThan(0);
  const rude = door.socket(b1);
  rude.write(frame(0x1203, 1, {}));
  await new Promise((resolve) => rude.resume().once("close", resolve));
});

test("require_hybrid refuses an application that has X25519 alone, and without it X25519 is enough", async () => {
  await using strict = await openAk(own, { requireHybrid: true });
  const refused = strict.socket(own.a1, { ecdhCurve: "X25519" });
  await new Promise((resolve) => refused.once("close", resolve));
  await until("it is counted", () => strict.seen.count("connections_refused", { reason: "group" }) === 1);
  await using door = await openAk(own);
  const socket = door.socket(own.a1, { ecdhCurve: "X25519" });
  const ids = answersOf(socket);
  socket.write(keyRequest(1));
  await until("it is answered", () => ids.length === 1);
  expect(door.seen.count("connections_opened", { group: "X25519" })).toBe(1);
  socket.destroy();
});

test("a client that does not read is closed at the deadline, its waiting keys undelivered, while others are served", async () => {
  await using door = await openAk(own, { timing: { writeMs: 150 } });
  const most = door.keys.sizes.maxKeys(4096);
  const socket = door.socket(own.a1);
  socket.pause();
  const hungry = Buffer.concat(
    Array.from({ length: 100 }, (_, index) => keyRequest(index, { number_of_keys: most, size_of_key: 4096 })),
  );
  socket.write(hungry);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await using client = await door.client(own.c1);
  const isClosed = (): boolean => door.seen.lines.some(({ fields }) => fields.event === "connection_closed");
  for (;;) {
    const keys = await client.getKeys({ destination: appId("app-a1") });
    expect(keys).toHaveLength(1);
    if (isClosed()) break;
    await new Promise((resolve) => setImmediate(resolve));
  }
  const why = door.seen.lines.find(({ fields }) => fields.event === "connection_closed")?.fields;
  expect(why).toMatchObject({ app: "app-a1", reason: "the peer did not take what was written within 150 ms" });
  expect(door.keys.grants.every(({ disposals }) => disposals === 1)).toBe(true);
  expect(door.keys.grants.some(({ written }) => written.size === 0)).toBe(true);
  socket.destroy();
  await closed;
});

test("a client that hammers a stalled key manager is refused as BUSY and stays connected", async () => {
  await using door = await openAk(own);
  door.keys.hold();
  const socket = door.socket(own.a1);
  const ids = answersOf(socket);
  socket.write(Buffer.concat(Array.from({ length: 300 }, (_, index) => keyRequest(index))));
  await until("the rest is refused", () => ids.length === 300 - 128);
  expect(door.keys.held).toHaveLength(128);
  socket.destroy();
  await until("the others are given up", () => door.keys.held.every(({ givenUp }) => givenUp));
});

test.each<[string, Buffer]>([
  ["version", Buffer.from("ffff0000000121010000", "hex")],
  ["unknown_code", frame(0x0000, 1, {})],
  ["direction", frame(0x1203, 1, {})],
  ["json", frame(0x2101, 1, [])],
])("a bad frame (%s) closes its connection and no other", async (reason, bad) => {
  await using door = await openAk(own);
  await using client = await door.client(own.c1);
  const socket = door.socket(own.a1);
  socket.write(bad);
  await new Promise((resolve) => socket.resume().once("close", resolve));
  expect(door.seen.count("frames_refused", { door: "ak", reason })).toBe(1);
  expect(await client.getKeys({ destination: appId("app-a1") })).toHaveLength(1);
});

test("a half frame is waited for, and costs nothing when its connection goes", async () => {
  await using door = await openAk(own);
  const socket = door.socket(own.a1);
  const ids = answersOf(socket);
  const request = keyRequest(1);
  await new Promise((resolve) => socket.write(request.subarray(0, 15), resolve));
  await using client = await door.client(own.c1);
  await client.getKeys({ destination: appId("app-a1") });
  socket.write(request.subarray(15));
  await until("it is answered", () => ids.length === 1);
  socket.write(request.subarray(0, 5));
  socket.end();
  await until("it is gone", () => door.listener.connections === 1);
});
