// What an attack costs an innocent application: its supply's p99 during the attack against that without, within one run.

import { expect } from "vitest";
import { isTooBusy, tellTooBusy } from "../../support/busy.ts";
import type { Innocent, Latencies } from "./innocent.ts";

/** Rounds of calm and attack by turns: whatever else the machine does befalls both alike, and the median forgets the rest. */
const LEAST_ROUNDS = 3;
/** More, while the median says harm. */
const MOST_ROUNDS = 11;
const WINDOW_MS = 1_500;
/** After an attack has begun or ended. */
const SETTLE_MS = 300;
const MOST_RATIO = 2;

/** The value that a hundredth of all are above. */
export function p99(values: Latencies): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1] ?? Number.POSITIVE_INFINITY;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

/** An attack has a processor's work of its own. */
const BUSY = 2;

/**
 * Holds that supply's p99 of `innocent` while `attack` goes on is below twice its value without, in the median of the rounds.
 * `attack` begins when it is called and ends when what it gives is disposed. `name` is for whoever reads the output. On a machine that is too busy with other things to tell, it says so and holds nothing.
 */
export async function expectHarmless(
  name: string,
  innocent: Innocent,
  attack: () => Promise<AsyncDisposable>,
): Promise<void> {
  const [calm, attacked, ratios]: [number[], number[], number[]] = [[], [], []];
  const isHarm = (): boolean => median(ratios) >= MOST_RATIO;
  for (let round = 0; round < LEAST_ROUNDS || (round < MOST_ROUNDS && isHarm()); round++) {
    await innocent.ask(SETTLE_MS);
    const without = p99(await innocent.ask(WINDOW_MS));
    const attacker = await attack();
    await innocent.ask(SETTLE_MS);
    const during = p99(await innocent.ask(WINDOW_MS));
    await attacker[Symbol.asyncDispose]();
    calm.push(without);
    attacked.push(during);
    ratios.push(during / without);
  }
  const text = (values: readonly number[]): string => values.map((value) => value.toFixed(1)).join(" ");
  console.log(`${name}: p99 of supply in ms: without ${text(calm)}, during ${text(attacked)}`);
  if (!isHarm()) return;
  if (isTooBusy(BUSY)) return tellTooBusy(name);
  expect(median(ratios), `p99 of supply during ${name} against that without`).toBeLessThan(MOST_RATIO);
}
