// The queue before the channel: its bounds, and its turns.

import { describe, expect, it } from "vitest";
import { OUTBOX_LIMITS, Outbox } from "../../src/kx/outbox.ts";
import { plain } from "../../src/kx/payload/key-frame.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { A, B } from "./fixture.ts";
import { memoryPair } from "./memory-channel.ts";

function outbox() {
  const clock = new ManualClock();
  const [channel] = memoryPair(A, B);
  let broken = 0;
  const box = new Outbox(channel, clock, () => {
    broken += 1;
  });
  channel.start({ received: () => {}, drained: () => box.flush(), closed: () => {} });
  return { clock, channel, box, brokenTimes: () => broken };
}

const frame = (bytes: number) => plain(new Uint8Array(bytes));

describe("Outbox", () => {
  it("refuses requests beyond their bound, and answers beyond theirs, which is wider", () => {
    const { channel, box } = outbox();
    channel.stuck = true;
    expect(box.put(frame(10), "request")).toBe(true);
    let queued = 0;
    while (box.put(frame(65_536), "request")) queued += 65_536;
    expect(queued).toBe(OUTBOX_LIMITS.request);
    while (box.put(frame(65_536), "answer")) queued += 65_536;
    expect(queued).toBe(OUTBOX_LIMITS.answer);
  });

  it("after 65,545 bytes in writes without a pause it lets reading have a turn", async () => {
    const { clock, channel, box } = outbox();
    for (let count = 0; count < 5; count += 1) box.put(frame(30_000), "request");
    while (clock.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(channel.writes.map(({ length }) => length)).toEqual([30_000, 30_000]);
    await clock.run(0);
    expect(channel.writes.map(({ length }) => length)).toEqual([30_000, 30_000, 60_000, 30_000]);
    expect(clock.waiting).toBe(0);
  });

  it("after its close nothing more leaves, and no timer stays", async () => {
    const { clock, channel, box } = outbox();
    for (let count = 0; count < 5; count += 1) box.put(frame(30_000), "request");
    while (clock.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
    box.close();
    expect(clock.waiting).toBe(0);
    await clock.run(100);
    expect(channel.writes).toHaveLength(2);
  });

  it("says when the channel takes no write any more", () => {
    const { channel, box, brokenTimes } = outbox();
    channel.ending = true;
    box.put(frame(10), "answer");
    expect(brokenTimes()).toBe(1);
  });
});
