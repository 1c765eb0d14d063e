// Waits for a condition that no event tells of.

import { setTimeout as delay } from "node:timers/promises";

/** @throws Error when `holds` does not within `deadlineMs` */
export async function until(holds: () => boolean, deadlineMs = 5000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`still not so after ${deadlineMs} ms: ${holds}`);
    await delay(1);
  }
}
