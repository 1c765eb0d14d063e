// Numbered frames: the outbox sends again what is asked for or late, the inbox takes each once and asks for what is missing.

import { expect, test } from "vitest";
import { Inbox } from "../../src/kq/inbox.ts";
import { LIMITS } from "../../src/kq/limits.ts";
import { Outbox } from "../../src/kq/outbox.ts";

const limits = { ...LIMITS, window: 4, ackEvery: 3, resendMs: 100, resendMaxMs: 300, lastNumber: 9 };

function outboxOf(count: number): { outbox: Outbox; arrived: number[] } {
  const outbox = new Outbox(limits);
  const arrived: number[] = [];
  for (let number = 0; number < count; number++)
    outbox.add(
      "credit",
      () => {},
      () => arrived.push(number),
    );
  return { outbox, arrived };
}

const drain = (outbox: Outbox, nowMs: number): number[] => {
  const numbers: number[] = [];
  for (let next = outbox.next(nowMs); next; next = outbox.next(nowMs)) numbers.push(next.number);
  return numbers;
};

test("each frame goes out once, until it is late; the wait doubles, and progress resets it", () => {
  const { outbox } = outboxOf(3);
  const sent: number[][] = [];
  for (const now of [0, 99, 100, 299, 300, 599, 600, 899, 900]) {
    outbox.tick(now);
    sent.push(drain(outbox, now));
  }
  expect(sent).toEqual([[0, 1, 2], [], [0, 1, 2], [], [0, 1, 2], [], [0, 1, 2], [], [0, 1, 2]]);
  outbox.acknowledged(1, false, 1_000);
  outbox.tick(1_099);
  expect(drain(outbox, 1_099)).toEqual([]);
  outbox.tick(1_100);
  expect(drain(outbox, 1_100)).toEqual([1, 2]);
});

test("what is acknowledged has arrived; what is asked for goes out again at once", () => {
  const { outbox, arrived } = outboxOf(4);
  expect(outbox.hasRoom).toBe(false);
  drain(outbox, 0);
  expect(outbox.acknowledged(2, true, 1)).toBe(true);
  expect(arrived).toEqual([0, 1]);
  expect(outbox.hasRoom).toBe(true);
  expect(drain(outbox, 1)).toEqual([2, 3]);
});

test("an acknowledgement that is old changes nothing; one of what was never sent is refused", () => {
  const { outbox, arrived } = outboxOf(4);
  drain(outbox, 0);
  outbox.acknowledged(3, false, 1);
  expect(outbox.acknowledged(1, true, 2)).toBe(true);
  expect(drain(outbox, 2)).toEqual([]);
  expect(outbox.acknowledged(5, false, 3)).toBe(false);
  expect(arrived).toEqual([0, 1, 2]);
});

test("the numbers are spent behind the last", () => {
  const { outbox } = outboxOf(9);
  expect(outbox.spent).toBe(false);
  outbox.add("credit", () => {});
  expect(outbox.spent).toBe(true);
});

test("an acknowledgement is due now after some frames, and soon after one", () => {
  const inbox = new Inbox(limits);
  expect(inbox.owes).toBeUndefined();
  expect(inbox.take(0, 0)).toBe("next");
  expect(inbox.owes).toBe("soon");
  inbox.take(1, 0);
  inbox.take(2, 0);
  expect(inbox.owes).toBe("now");
  expect(inbox.acknowledge()).toEqual({ next: 3, resend: 0 });
  expect(inbox.owes).toBeUndefined();
  expect(inbox.take(2, 0)).toBe("repeated");
  expect(inbox.owes).toBe("soon");
});

test("a gap is asked for at once, again when the sender goes back in vain, and again after a while", () => {
  const inbox = new Inbox(limits);
  const ask = (number: number, nowMs: number) => {
    expect(inbox.take(number, nowMs)).toBe("ahead");
    return inbox.owes === "now" ? inbox.acknowledge() : undefined;
  };
  expect([ask(1, 0), ask(2, 1)]).toEqual([{ next: 0, resend: 1 }, undefined]);
  expect([ask(1, 2), ask(2, 3)]).toEqual([{ next: 0, resend: 1 }, undefined]);
  expect(ask(3, 102)).toEqual({ next: 0, resend: 1 });
});

test("a damaged frame is asked for before the next one shows the gap", () => {
  const inbox = new Inbox(limits);
  inbox.damaged(0);
  expect(inbox.acknowledge()).toEqual({ next: 0, resend: 1 });
  inbox.damaged(50);
  expect(inbox.owes).toBeUndefined();
  inbox.damaged(100);
  expect(inbox.owes).toBe("now");
});
