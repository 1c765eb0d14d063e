// The clock of the tests keeps time.

import { expect, it } from "vitest";
import { ManualClock } from "./manual-clock.ts";

it("timers run in the order of their time, then of their setting, at their time", () => {
  const clock = new ManualClock(100);
  const ran: string[] = [];
  const note = (name: string) => () => ran.push(`${name} at ${clock.monotonicMs()}`);
  clock.after(20, note("late"));
  clock.after(10, note("first"));
  clock.after(10, () => clock.after(5, note("set by a timer")));
  clock.after(10, note("second"));
  const cancel = clock.after(10, note("cancelled"));
  cancel();
  expect(clock.nextMs).toBe(10);
  clock.advance(19);
  expect(ran).toEqual(["first at 110", "second at 110", "set by a timer at 115"]);
  expect([clock.waiting, clock.nextMs]).toEqual([1, 1]);
  clock.advance(1);
  expect(ran.at(-1)).toBe("late at 120");
  expect([clock.waiting, clock.nextMs]).toEqual([0, undefined]);
});

it("with run, what a timer resolves goes on before the next timer", async () => {
  const clock = new ManualClock();
  const ran: number[] = [];
  const step = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      clock.after(ms, resolve);
    });
  const walk = async (): Promise<void> => {
    for (let count = 0; count < 3; count += 1) {
      await step(10);
      ran.push(clock.monotonicMs());
    }
  };
  const walked = walk();
  await clock.run(30);
  await walked;
  expect(ran).toEqual([10, 20, 30]);
});

it("the wall clock can jump; the other cannot", () => {
  const clock = new ManualClock(0, 1_000_000);
  clock.advance(500);
  clock.jump(-400_000);
  expect([clock.monotonicMs(), clock.wallMs()]).toEqual([500, 600_500]);
});
