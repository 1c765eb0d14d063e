// Tests of src/http/service.ts at a door that keys come to: bodies lie in locked memory, and wait for room in it.

import { expect, test } from "vitest";
import type { BodyStore } from "../../src/http/body-store.ts";
import { Service } from "../../src/http/service.ts";
import type { ChannelHandler, PausableChannel } from "../../src/net/channel.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { recorder } from "../support/recorder.ts";

const PART = 65_536;
const BODY = "0123456789";
const POST = `POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: ${BODY.length}\r\n\r\n`;

class FakeChannel implements PausableChannel {
  readonly id = "app-a1";
  readonly certificate = "CN=app-a1";
  readonly group = "X25519MLKEM768";
  readonly serverName = "";
  writing = false;
  isHeld = false;
  written = "";
  #handler: ChannelHandler | undefined;

  start(handler: ChannelHandler): void {
    this.#handler = handler;
  }

  hold(): void {
    this.isHeld = true;
  }

  release(): void {
    this.isHeld = false;
  }

  write(bytes: Uint8Array): void {
    this.writing = true;
    this.written += Buffer.from(bytes).toString("latin1");
  }

  receive(text: string): void {
    this.#handler?.received(Buffer.from(text, "latin1"));
  }

  drain(): void {
    this.writing = false;
    this.#handler?.drained();
  }

  close(reason: string): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.closed(reason);
  }
}

/** A door with room for two bodies, whose handler takes them and answers nothing yet. */
function open() {
  const memory = new Uint8Array(2 * PART);
  const bodies: BodyStore[] = [];
  const ports = { clock: new ManualClock(), meter: recorder().meter };
  const service = new Service({ door: "etsi020", memory, bringsKeys: true }, ports, (exchange) => {
    const body = exchange.takeBody();
    if (body !== undefined) bodies.push(body);
  });
  const connect = (): FakeChannel => {
    const channel = new FakeChannel();
    service.connected(channel);
    return channel;
  };
  return { memory, bodies, connect };
}

const textOf = (body: BodyStore | undefined): string => Buffer.from(body?.bytes ?? []).toString("latin1");

test("a body for which there is no room waits until another is released, and its connection is not read meanwhile", () => {
  const { memory, bodies, connect } = open();
  const [first, second, third] = [connect(), connect(), connect()];
  for (const channel of [first, second]) channel.receive(POST + BODY);
  third.receive((POST + BODY).repeat(2));
  expect([bodies.length, first.isHeld, second.isHeld, third.isHeld]).toEqual([2, false, false, true]);
  bodies[0]?.release();
  // It has two, and room for one of them.
  expect([bodies.length, third.isHeld, textOf(bodies[2])]).toEqual([3, true, BODY]);
  bodies[1]?.release();
  expect(third.isHeld).toBe(false);
  for (const body of bodies) body.release();
  third.close("lost");
  expect(memory.every((byte) => byte === 0)).toBe(true);
});

test("what a client that goes away has sent of a body is given back zeroed, and so is its place among those that wait", () => {
  const { memory, bodies, connect } = open();
  const channels = [connect(), connect(), connect()];
  for (const channel of channels) channel.receive(POST + BODY.slice(1));
  for (const channel of channels) channel.close("lost");
  expect(memory.every((byte) => byte === 0)).toBe(true);
  for (const channel of [connect(), connect()]) channel.receive(POST + BODY);
  expect(bodies.map(textOf)).toEqual([BODY, BODY]);
});

test("a body that no handler takes is released when the handler returns", () => {
  const memory = new Uint8Array(PART);
  const ports = { clock: new ManualClock(), meter: recorder().meter };
  const service = new Service({ door: "etsi020", memory, bringsKeys: true }, ports, (exchange) =>
    exchange.sendText(200, Buffer.from(exchange.body ?? []).toString("latin1")),
  );
  const channel = new FakeChannel();
  service.connected(channel);
  for (let i = 1; i <= 3; i++) {
    channel.receive(POST + BODY);
    channel.drain();
    expect(channel.written.split(`\r\n\r\n${BODY}`)).toHaveLength(i + 1);
  }
  expect(memory.every((byte) => byte === 0)).toBe(true);
});
