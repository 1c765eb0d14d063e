// The parts of a key manager that have to get on while they have something to do, for the health that a watchdog trusts.

import type { KeysAdmin, KeysProgress } from "../../keys/report.ts";
import type { Progress } from "./health.ts";

interface ProgressCheck {
  readonly name: string;
  readonly withinMs: number;
  readonly progress: Progress;
}

/** Beyond the time after which each request and relay ends by itself. */
const BEYOND_MS = 30_000;
const BLOCK_WITHIN_MS = 30_000;

/** Supply, relays, and the intake of each link. What cannot get on for want of token, store or audit log rests. */
export function progressChecksOf(keys: Pick<KeysAdmin, "progress" | "report" | "times">): readonly ProgressCheck[] {
  const { supplyMs, relayMs } = keys.times;
  const whileAble =
    (read: (progress: KeysProgress) => number | undefined): Progress =>
    () => {
      const progress = keys.progress();
      return progress.isAble ? read(progress) : undefined;
    };
  return [
    {
      name: "supply",
      withinMs: supplyMs + BEYOND_MS,
      progress: whileAble(({ supply }) => (supply.waiting === 0 ? undefined : supply.ended)),
    },
    {
      name: "kx",
      // The last KM of a route waits for parts, each KM on it for the next.
      withinMs: 3 * relayMs + BEYOND_MS,
      progress: whileAble(({ relays }) => (relays.inFlight === 0 ? undefined : relays.ended)),
    },
    ...keys.report().links.map(({ id }) => ({
      name: `intake ${id}`,
      withinMs: BLOCK_WITHIN_MS,
      progress: whileAble(({ intake }) => intake.get(id)),
    })),
  ];
}
