// A channel over a stream that stands for a TLS socket: what is held while a write is unfinished, and when reading stops.

import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { expect, test } from "vitest";
import { TlsChannel } from "../../src/net/tls-channel.ts";
import { until } from "../support/until.ts";

const PEER = { id: "app-a1", certificate: "CN=app-a1", serverName: "", group: "X25519MLKEM768" } as const;

function open() {
  const seen: string[] = [];
  let written: () => void = () => {};
  let pauses = 0;
  class Socket extends Duplex {
    override _read(): void {}
    override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
      written = done;
    }
    override pause(): this {
      pauses++;
      return super.pause();
    }
  }
  const socket = new Socket();
  const channel = new TlsChannel(socket as unknown as TLSSocket, PEER, 60_000);
  channel.start({
    received: (chunk) => void seen.push(Buffer.from(chunk).toString()),
    drained: () => {},
    closed: () => {},
  });
  return { socket, channel, seen, written: () => written(), pauses: () => pauses };
}

/** Resolves when what one turn of the event loop left for its end is done. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test("design 8: nothing is handled while a write is unfinished, however much comes, and nothing is lost or out of order", async () => {
  const { socket, channel, seen, written, pauses } = open();
  await turn();
  channel.write(Buffer.from("answer"));
  for (const chunk of ["a", "b", "c"]) socket.push(chunk);
  await turn();
  expect(seen).toEqual([]);
  expect(pauses()).toBeGreaterThan(0);
  written();
  await until("all has come", () => seen.length === 3);
  expect(seen).toEqual(["a", "b", "c"]);
});

test("a request that comes before the end of the last write is told stops no reading, if that is told in the same turn", async () => {
  const { socket, channel, seen, written, pauses } = open();
  await turn();
  for (const request of ["a", "b", "c"]) {
    // As Node does it: before what JavaScript has asked for.
    setImmediate(written);
    channel.write(Buffer.from("answer"));
    socket.push(request);
    await until(`request ${request} has come`, () => seen.at(-1) === request);
  }
  expect(pauses()).toBe(0);
});

test("whoever is closed with something held hears of its end and of nothing else", async () => {
  const { socket, channel, seen } = open();
  await turn();
  channel.write(Buffer.from("answer"));
  socket.push("a");
  channel.close("enough");
  await turn();
  expect(seen).toEqual([]);
});

test("nothing is received while its owner has no room, however much comes, and then all of it in order", async () => {
  const { socket, channel, seen, written, pauses } = open();
  await turn();
  socket.push("a");
  await until("the first has come", () => seen.length === 1);
  channel.hold();
  channel.write(Buffer.from("answer"));
  for (const chunk of ["b", "c", "d"]) socket.push(chunk);
  await turn();
  written();
  await turn();
  expect(seen).toEqual(["a"]);
  expect(pauses()).toBeGreaterThan(0);
  channel.release();
  await until("all has come", () => seen.length === 4);
  expect(seen).toEqual(["a", "b", "c", "d"]);
});
