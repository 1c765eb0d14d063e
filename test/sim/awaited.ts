// Requests that must be answered in time, by a machine that may stand still or end meanwhile.

import type { SimClock } from "./clock.ts";
import type { SimNode } from "./node.ts";
import type { Oracle } from "./oracle.ts";

interface Ports {
  readonly clock: SimClock;
  readonly oracle: Oracle;
}

/** Fails the run when `at` does not answer the application in time, unless the process ends before. */
export function awaited(at: SimNode, app: string, ms: number, { oracle, clock }: Ports): { answered(): void } {
  const askedMs = clock.nowMs;
  let isAnswered = false;
  const judge = (): void => {
    // What was due while the machine stood still comes when it goes on.
    if (!isAnswered && at.pausedUntilMs > askedMs && clock.nowMs < at.pausedUntilMs + ms) {
      stop = at.after(ms, "checks its answers", judge);
      return;
    }
    oracle.checks.check("answered", isAnswered, () => {
      const { slots, token, store } = at.machine.vault?.health() ?? {};
      const state = `${slots?.pinned} of ${slots?.all} blocks in memory are pinned, token ${token}, store ${store}`;
      return `${at.id} did not answer ${app} for ${ms} ms: ${state}`;
    });
  };
  let stop = at.after(ms, "checks its answers", judge);
  return {
    answered() {
      isAnswered = true;
      stop();
    },
  };
}

/** A machine that stands still reads what came when it goes on. */
export function whenRuns(at: SimNode, app: string, clock: SimClock, run: () => void): void {
  if (at.isPaused) clock.after(at.pausedUntilMs - clock.nowMs, app, "is heard", run);
  else run();
}
