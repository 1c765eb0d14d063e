// Connections that are let in: shares of identities, and what is not used.

import { beforeAll, expect, test } from "vitest";
import type { Channel } from "../../src/net/channel.ts";
import { type Credentials, forIdentity } from "../support/certificates.ts";
import { until } from "../support/until.ts";
import { type Door, openDoor, type Papers, papers } from "./net-kit.ts";

let own: Papers;
let other: Credentials;
beforeAll(async () => {
  own = await papers();
  other = await forIdentity(own.apps, "app", "app-a2");
});

/** A connection, whether the door has ended it, and whether it has received something. */
async function connected(
  door: Door,
  credentials: Credentials,
): Promise<{ channel: Channel; ended: boolean; used: boolean }> {
  const before = door.channels.length;
  const one = { channel: await door.dial(credentials), ended: false, used: false };
  one.channel.start({ received: () => {}, drained: () => {}, closed: () => (one.ended = true) });
  await until("it is let in or gone", () => door.channels.length > before || one.ended);
  door.channels[before]?.start({ received: () => (one.used = true), drained: () => {}, closed: () => {} });
  return one;
}

test("an application with all places makes room for another, by the connection that it has not used for longest", async () => {
  await using door = await openDoor(own, { maxConnections: 3 });
  const [first, second, third] = [
    await connected(door, own.app),
    await connected(door, own.app),
    await connected(door, own.app),
  ];
  first.channel.write(Buffer.from("used"));
  await until("it is used", () => first.used);
  const newcomer = await connected(door, other);
  await until("one has made room", () => second.ended);
  expect([first.ended, third.ended, newcomer.ended]).toEqual([false, false, false]);
  expect(door.seen.count("connections_refused", { reason: "share" })).toBe(1);
});

test("nobody makes room for an identity that has as many, and the greedy one does not come back", async () => {
  await using door = await openDoor(own, { maxConnections: 2 });
  const first = await connected(door, own.app);
  const theirs = await connected(door, other);
  for (const credentials of [own.app, other]) {
    const again = await connected(door, credentials);
    await until("it is refused", () => again.ended);
  }
  expect([first.ended, theirs.ended]).toEqual([false, false]);
  expect(door.seen.count("connections_refused", { reason: "too_many" })).toBe(2);
});

test("where fewer are allowed than stand, nobody is cut off and nobody comes in", async () => {
  let most = 2;
  await using door = await openDoor(own, { maxConnections: () => most });
  const first = await connected(door, own.app);
  most = 1;
  const theirs = await connected(door, other);
  await until("it is refused", () => theirs.ended);
  most = 2;
  const again = await connected(door, other);
  expect([first.ended, again.ended]).toEqual([false, false]);
});

test("a connection that sends nothing for long is closed, but never the last one of an identity", async () => {
  await using door = await openDoor(own, { timing: { idleMs: 200 } });
  const [first, second] = [await connected(door, own.app), await connected(door, own.app)];
  const theirs = await connected(door, other);
  await until("one is closed", () => first.ended || second.ended);
  const closed = door.seen.count("connections_refused", { reason: "idle" });
  expect([closed, first.ended !== second.ended, theirs.ended]).toEqual([1, true, false]);
});
