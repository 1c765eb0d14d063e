// Channels: bytes both ways, one unfinished write, deadlines, and what TLS has negotiated.

import { connect as connectTcp, createServer } from "node:net";
import { beforeAll, expect, test } from "vitest";
import type { Channel, ChannelHandler } from "../../src/net/channel.ts";
import { until } from "../support/until.ts";
import { type Door, gone, openDoor, type Papers, papers } from "./net-kit.ts";

let own: Papers;
beforeAll(async () => {
  own = await papers();
});

/** What a channel told its handler. */
interface Reported {
  text: string;
  readonly events: string[];
  readonly chunks: Uint8Array[];
}

function start(channel: Channel, more: Partial<ChannelHandler> = {}): Reported {
  const told: Reported = { text: "", events: [], chunks: [] };
  channel.start({
    received(chunk) {
      told.text += Buffer.from(chunk).toString("latin1");
      told.chunks.push(chunk);
      told.events.push("received");
      more.received?.(chunk);
    },
    drained() {
      told.events.push("drained");
      more.drained?.();
    },
    closed(reason) {
      told.events.push(`closed: ${reason}`);
    },
  });
  return told;
}

/** A pair of channels: the application's and the door's. */
async function pair(door: Door): Promise<[client: Channel, server: Channel]> {
  const before = door.channels.length;
  const client = await door.dial(own.app);
  await until("the door has it", () => door.channels.length > before);
  const server = door.channels.at(-1);
  if (server === undefined) throw new Error("no channel");
  return [client, server];
}

test("bytes go both ways between two identities, and both ends see it close once", async () => {
  await using door = await openDoor(own);
  const [client, server] = await pair(door);
  expect([client.id, server.id]).toEqual(["km-a", "app-a1"]);
  expect(server.certificate).toMatch(/^CN=app-a1 serial [0-9A-F]+ SHA-256 [0-9A-F:]{95}$/);
  const [atClient, atServer] = [start(client), start(server)];
  client.write(Buffer.from("ping"));
  await until("ping is there", () => atServer.text === "ping");
  server.write(Buffer.from("pong"));
  await until("pong is there", () => atClient.text === "pong");
  server.close("that was all");
  await until("both are closed", () => [atClient, atServer].every(({ events }) => events.at(-1)?.startsWith("closed")));
  expect(atServer.events).toEqual(["received", "drained", "closed: that was all"]);
  expect(atClient.events).toEqual(["drained", "received", "closed: the peer ended the connection"]);
  expect(() => server.write(Buffer.from("late"))).toThrow("closed");
  await until("the door is empty", () => door.listener.connections === 0);
});

test("what has arrived is zeroed when its handler returns", async () => {
  await using door = await openDoor(own);
  const [client, server] = await pair(door);
  start(client);
  const told = start(server);
  client.write(Buffer.from("secret"));
  await until("it arrived", () => told.text === "secret");
  expect(told.chunks).toEqual([Buffer.alloc(6)]);
});

test("what has arrived waits for the end of its turn of the event loop, and is not lost with what comes between", async () => {
  await using door = await openDoor(own);
  const socket = door.connect({ cert: own.app.certificate, key: own.app.key });
  await until("the door has it", () => door.channels.length === 1);
  const [server] = door.channels;
  if (server === undefined) throw new Error("no channel");
  const told = start(server);
  // Two records that come together: the second finds the first waiting. Then the end of the connection does.
  for (const text of ["one ", "two ", "three "]) socket.write(text);
  socket.end("four");
  await until("it is closed", () => told.events.at(-1)?.startsWith("closed") === true);
  expect(told.text).toBe("one two three four");
  expect(told.chunks.every((chunk) => chunk.every((byte) => byte === 0))).toBe(true);
});

test("a write of our own may come before what waits for the end of the turn, and nothing of that is lost", async () => {
  await using door = await openDoor(own);
  const socket = door.connect({ cert: own.app.certificate, key: own.app.key });
  await until("the door has it", () => door.channels.length === 1);
  const [server] = door.channels;
  if (server === undefined) throw new Error("no channel");
  const told = start(server);
  socket.resume();
  const asked = Array.from({ length: 100 }, (_, index) => `${index},`);
  for (const text of asked) {
    socket.write(text);
    // Begun before the turn in which something has arrived, this comes before its end.
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (!server.writing) server.write(Buffer.alloc(1 << 20));
  }
  await until("all has arrived", () => told.text.length >= asked.join("").length);
  expect(told.text).toBe(asked.join(""));
  socket.destroy();
});

test.each([
  ["X25519MLKEM768", "X25519MLKEM768"],
  ["X25519", "X25519"],
  ["X25519:X25519MLKEM768", "X25519MLKEM768"],
  ["P-256:X25519", "X25519"],
])("a client that offers %s gets %s, and the door knows it", async (offered, group) => {
  await using door = await openDoor(own);
  const socket = door.connect({ cert: own.app.certificate, key: own.app.key, ecdhCurve: offered });
  await until("the door has it", () => door.channels.length === 1);
  expect(socket.getEphemeralKeyInfo()).toMatchObject({ name: group });
  expect(socket.getCipher().name).toBe("TLS_AES_256_GCM_SHA384");
  expect(door.channels[0]?.group).toBe(group);
  expect(door.seen.count("connections_opened", { door: "ak", group, tls: "TLSv1.3" })).toBe(1);
  expect(door.seen.count("connections_opened", { cipher: "TLS_AES_256_GCM_SHA384" })).toBe(1);
  socket.destroy();
});

test("no session ticket is sent", async () => {
  await using door = await openDoor(own);
  const socket = door.connect({ cert: own.app.certificate, key: own.app.key });
  let tickets = 0;
  socket.on("session", () => (tickets += 1));
  await until("the door has it", () => door.channels.length === 1);
  door.channels[0]?.write(Buffer.from("x"));
  await new Promise((resolve) => socket.once("data", resolve));
  expect(tickets).toBe(0);
  socket.destroy();
});

test("a ClientHello that comes byte by byte is understood", async () => {
  await using door = await openDoor(own);
  const drip = createServer((near) => {
    const far = connectTcp(door.listener.port, "127.0.0.1").setNoDelay(true);
    near.on("data", (chunk: Buffer) => {
      for (const byte of chunk) far.write(Uint8Array.of(byte));
    });
    far.pipe(near).on("error", () => {});
    near.on("close", () => far.destroy());
  });
  await new Promise<void>((resolve) => drip.listen(0, "127.0.0.1", resolve));
  const address = drip.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const channel = await door.dial(own.app, { port });
  expect(channel.group).toBe("X25519MLKEM768");
  channel.close("enough");
  await new Promise((resolve) => drip.close(resolve));
});

test("TLS has encrypted the whole view when write returns, however slowly the peer reads", async () => {
  await using door = await openDoor(own);
  const socket = door.connect({ cert: own.app.certificate, key: own.app.key });
  await until("the door has it", () => door.channels.length === 1);
  const [server] = door.channels;
  if (server === undefined) throw new Error("no channel");
  const told = start(server);
  const sent = Buffer.alloc(4 << 20, "0123456789abcdef");
  const view = Buffer.from(sent);
  server.write(view);
  view.fill(0);
  expect(server.writing).toBe(true);
  expect(() => server.write(Buffer.from("second"))).toThrow("one unfinished write");
  const parts: Buffer[] = [];
  socket.on("data", (part: Buffer) => parts.push(part));
  await until("all has arrived", () => parts.reduce((sum, part) => sum + part.length, 0) === sent.length);
  expect(Buffer.concat(parts).equals(sent)).toBe(true);
  expect(told.events).toEqual(["drained"]);
  socket.destroy();
});

test("a socket with an unfinished write is not read, and goes on where it was", async () => {
  await using door = await openDoor(own);
  const socket = door.connect({ cert: own.app.certificate, key: own.app.key });
  await until("the door has it", () => door.channels.length === 1);
  const [server] = door.channels;
  if (server === undefined) throw new Error("no channel");
  const told = start(server);
  server.write(Buffer.alloc(8 << 20));
  const numbers = Array.from({ length: 40_000 }, (_, index) => `${index},`).join("");
  await new Promise((resolve) => socket.write(numbers.slice(0, 60_000), resolve));
  socket.write(numbers.slice(60_000));
  await new Promise((resolve) => setImmediate(resolve));
  expect([server.writing, told.events]).toEqual([true, []]);
  socket.resume();
  await until("all is read", () => told.text.length === numbers.length);
  expect(told.text).toBe(numbers);
  expect(told.events[0]).toBe("drained");
  socket.destroy();
});

test("a peer that does not read is closed at the deadline, and others go on", async () => {
  await using door = await openDoor(own, { timing: { writeMs: 100 } });
  const socket = door.connect({ cert: own.app.certificate, key: own.app.key });
  await until("the door has it", () => door.channels.length === 1);
  const [slow] = door.channels;
  if (slow === undefined) throw new Error("no channel");
  const told = start(slow);
  slow.write(Buffer.alloc(8 << 20));
  const [client, server] = await pair(door);
  const [atClient] = [start(client), start(server)];
  for (let round = 1; told.events.length === 0; round++) {
    server.write(Buffer.from("x"));
    await until("the other is served", () => atClient.text.length === round && !server.writing);
  }
  expect(told.events).toEqual(["closed: the peer did not take what was written within 100 ms"]);
  await gone(socket);
});

test("the next write may come from drained, and a channel may be closed from received", async () => {
  await using door = await openDoor(own);
  const [client, server] = await pair(door);
  let left = 3;
  const atServer = start(server, {
    drained: () => (left-- > 0 ? server.write(Buffer.from("again ")) : server.close("done")),
  });
  const atClient = start(client);
  server.write(Buffer.from("first "));
  await until("it is closed", () => atServer.events.includes("closed: done"));
  await until("all has arrived", () => atClient.text === "first again again again ");
});

test("a channel is started once, and one that was lost before its start says so", async () => {
  await using door = await openDoor(own);
  const [client, server] = await pair(door);
  const told = start(client);
  expect(() => start(client)).toThrow("started once");
  client.close("enough");
  await until("the client is closed", () => told.events.length === 1);
  await until("the door is empty", () => door.listener.connections === 0);
  const late = start(server);
  await until("the late one is told", () => late.events.length === 1);
  expect(late.events[0]).toMatch(/^closed: /);
});
