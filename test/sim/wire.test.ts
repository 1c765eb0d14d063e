// What a simulated network tells of a machine that is gone.

import { expect, test } from "vitest";
import { kmId } from "../../src/core/ids.ts";
import type { Channel } from "../../src/net/channel.ts";
import { SimClock } from "./clock.ts";
import { Dice } from "./dice.ts";
import { Wire } from "./wire.ts";

const [A, B] = [kmId("km-a"), kmId("km-b")];

/** Two ends, connected; what each has heard of the end. */
async function connected() {
  const clock = new SimClock();
  const ended = new Map<string, string>();
  const listen = (channel: Channel): void => {
    const here = channel.id === A ? B : A;
    channel.start({ received: () => {}, drained: () => {}, closed: (reason) => void ended.set(here, reason) });
  };
  const accept = (_: string, channel: Channel): boolean => {
    listen(channel);
    return true;
  };
  const hop = { isUp: true, isPaused: false, accept };
  const wire = new Wire(clock, new Dice(1), [
    { ...hop, id: A },
    { ...hop, id: B },
  ]);
  const run = (ms: number): void => {
    const endMs = clock.nowMs + ms;
    for (let event = clock.next(endMs); event !== undefined; event = clock.next(endMs)) event.run();
  };
  const dialled = wire.dial(A, new AbortController().signal);
  run(1000);
  const dialler = await dialled;
  listen(dialler);
  run(1000);
  return { wire, run, ended, dialler };
}

test("an end whose kernel lives on is told of at once", async () => {
  const { wire, run, ended } = await connected();
  wire.die(B, true);
  run(1000);
  expect([...ended.keys()]).toEqual([A]);
});

test("a machine that lost its power is missed in the end, also by whoever sends no signs of life", async () => {
  const { wire, run, ended } = await connected();
  wire.die(B, false);
  run(30_000);
  expect(ended.size).toBe(0);
  run(60_000);
  expect([...ended.keys()]).toEqual([A]);
});

test("a connection on which what was held up would come in a day is broken when all is well again", async () => {
  const { wire, run, ended, dialler } = await connected();
  wire.mutedUntilMs.set(A, 24 * 3_600_000);
  dialler.write(Buffer.from("lost"));
  run(600_000);
  expect(ended.size).toBe(0);
  wire.heal();
  run(1000);
  expect([...ended.keys()].sort()).toEqual([A, B]);
});
