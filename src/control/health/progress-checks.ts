// The parts of a key manager that have to get on while they have something to do, for the health that a watchdog trusts.

import type { KeyManager } from "../../keys/manager/key-manager.ts";
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
export function progressChecksOf(keys: KeyManager): readonly ProgressCheck[] {
  const { timeoutMs, relayTimeoutMs } = keys.context.policy;
  const pairs = [keys.local, ...keys.peers.values()];
  const sum = (amount: (pair: (typeof pairs)[number]) => number): number =>
    pairs.reduce((total, pair) => total + amount(pair), 0);
  const whileAble =
    (progress: Progress): Progress =>
    () =>
      keys.isAble ? progress() : undefined;
  return [
    {
      name: "supply",
      withinMs: timeoutMs + BEYOND_MS,
      progress: whileAble(() => (sum(({ desk }) => desk.waiting) === 0 ? undefined : sum(({ desk }) => desk.waited))),
    },
    {
      name: "kx",
      // The last KM of a route waits for parts, each KM on it for the next.
      withinMs: 3 * relayTimeoutMs + BEYOND_MS,
      progress: whileAble(() =>
        sum(({ stock }) => stock.inFlight) === 0 ? undefined : sum(({ stock }) => stock.relaysEnded),
      ),
    },
    ...[...keys.links.keys()].map((link) => ({
      name: `intake ${link}`,
      withinMs: BLOCK_WITHIN_MS,
      progress: whileAble(() => keys.intakeProgress(link)),
    })),
  ];
}
