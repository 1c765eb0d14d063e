// One end of a connection alone: what it answers, what it ignores, and what ends it.

import { expect, onTestFinished, test } from "vitest";
import { Connection } from "../../src/kq/connection.ts";
import { decodeCobs } from "../../src/kq/framing/cobs.ts";
import { type Guard, plainGuard } from "../../src/kq/guard.ts";
import { LIMITS } from "../../src/kq/limits.ts";
import { Line } from "../../src/kq/line.ts";
import { encode, type KqName, nameOf, type PayloadOf } from "../../src/kq/messages.ts";
import { ManualClock } from "../support/manual-clock.ts";

const nonces = { host: Buffer.alloc(16, 1), module: Buffer.alloc(16, 2) };

function alone() {
  const clock = new ManualClock();
  const written: string[] = [];
  const ended: string[] = [];
  const accepted: string[] = [];
  const write = (bytes: Uint8Array) => {
    for (let rest = Buffer.from(bytes); rest.length > 0; rest = rest.subarray(rest.indexOf(0) + 1)) {
      const plain = Buffer.alloc(100);
      decodeCobs(rest.subarray(0, rest.indexOf(0)), plain);
      written.push(`${nameOf(plain[0] ?? 0)} ${plain.readUInt32BE(1)}`);
    }
    return true;
  };
  const connection = new Connection({
    clock,
    limits: LIMITS,
    line: new Line(write),
    guard: plainGuard(nonces),
    accept: ({ name }) => accepted.push(name),
    fill: () => {},
    fault: () => {},
    lost: (kind) => ended.push(kind),
  });
  onTestFinished(() => {
    connection[Symbol.dispose]();
    expect(clock.waiting).toBe(0);
  });
  return { clock, connection, written, ended, accepted, other: plainGuard(nonces) };
}

const frame = <N extends KqName>(guard: Guard, name: N, number: number, values: PayloadOf<N>): Buffer =>
  Buffer.from(guard.seal(name, number, (to) => encode(name, values, to)));

test("what is asked for goes out again, once for each asking", () => {
  const { connection, written, other } = alone();
  connection.send("credit", { blocks: 1 });
  connection.send("credit", { blocks: 2 });
  connection.settle();
  const ask = frame(other, "acknowledgement", 5, { next: 0, resend: 1 });
  for (const again of [ask, ask, frame(other, "acknowledgement", 4, { next: 0, resend: 1 })]) {
    connection.received(again);
    connection.settle();
  }
  expect(written).toEqual(["credit 0", "credit 1", "credit 0", "credit 1"]);
});

test("numbered frames are acknowledged together, a moment later", () => {
  const { clock, connection, written, accepted, other } = alone();
  for (const number of [0, 1, 2]) connection.received(frame(other, "credit", number, { blocks: 1 }));
  connection.settle();
  expect(written).toEqual([]);
  clock.advance(LIMITS.restMs);
  expect(written).toEqual(["acknowledgement 0"]);
  expect(accepted).toEqual(["credit", "credit", "credit"]);
});

test("what the other end waits for goes out soon, and takes along what could have waited", () => {
  const { clock, connection, written } = alone();
  connection.send("credit", { blocks: 1 });
  connection.gather("rest");
  clock.advance(LIMITS.restMs - LIMITS.gatherMs - 1);
  expect(written).toEqual([]);
  connection.gather();
  connection.gather("rest");
  clock.advance(LIMITS.gatherMs);
  expect(written).toEqual(["credit 0"]);
  expect(clock.waiting).toBe(0);
});

test.each([
  ["a body that is too short", (other: Guard) => other.seal("credit", 0, (to) => to.raw(Buffer.alloc(3)))],
  ["a body that is too long", (other: Guard) => other.seal("credit", 0, (to) => to.raw(Buffer.alloc(5)))],
  ["a number beyond 53 bits", (other: Guard) => other.seal("fragment", 0, (to) => to.raw(Buffer.alloc(21, 0xff)))],
  ["an acknowledgement of the unsent", (other: Guard) => frame(other, "acknowledgement", 0, { next: 1, resend: 0 })],
])("%s ends the connection", (_what, make) => {
  const { connection, ended, accepted, other } = alone();
  connection.received(Buffer.from(make(other)));
  expect(ended).toEqual(["malformed"]);
  expect(accepted).toEqual([]);
});

test("a frame of another connection is damage", () => {
  const { connection, accepted } = alone();
  const foreign = plainGuard({ ...nonces, host: Buffer.alloc(16, 9) });
  connection.received(frame(foreign, "credit", 0, { blocks: 1 }));
  expect(accepted).toEqual([]);
});
