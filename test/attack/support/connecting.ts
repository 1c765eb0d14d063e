// How long an application takes to connect.

import type { App } from "../../system/support/app.ts";

/** Milliseconds that each of so many connections over Ak takes, one after the other. One that fails counts with its time. */
export async function connectionTimes(app: App, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const begun = performance.now();
    const client = await app.connectAk().catch(() => undefined);
    times.push(performance.now() - begun);
    await client?.[Symbol.asyncDispose]();
  }
  return times;
}
