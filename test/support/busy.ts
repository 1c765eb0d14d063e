// Bounds on elapsed time, which say nothing of ours on a machine that is busy with other things.

import { availableParallelism, loadavg } from "node:os";

/** With more than this many that want to run for each processor, a time says how long one waits for a processor. */
const BUSY = 1.5;

/** Whether so much else has run here in the last minute that nothing can be told of elapsed times. */
export const isTooBusy = (perProcessor = BUSY): boolean => (loadavg()[0] ?? 0) > perProcessor * availableParallelism();

/** Says on the console that a time was too long to tell anything by. */
export function tellTooBusy(what: string): void {
  console.warn(`${what}: this machine is too busy to tell (load ${loadavg()[0]}); run it again on a quiet one`);
}

/**
 * Holds that `what` took less than `mostMs` milliseconds. On a machine that is too busy to tell, it says so and holds nothing.
 * @throws Error with both
 */
export function expectQuick(what: string, ms: number, mostMs: number): void {
  if (ms < mostMs) return;
  const took = `${what} took ${ms.toFixed(0)} ms`;
  if (!isTooBusy()) throw new Error(`${took}, not less than ${mostMs} ms`);
  tellTooBusy(took);
}
