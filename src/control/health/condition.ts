// What a KM is like in one word, and who is told of it: the board's lights, systemd.

import type { Clock } from "../../core/ports.ts";
import type { Condition, ConditionDisplay } from "../../device/indicators.ts";
import type { KmReport } from "../status.ts";
import type { Health } from "./health.ts";

/** What a KM is like by what it reports. A KM whose token is away from the start has begun: it goes on by itself. */
export function conditionOf({ vault, health, ready, links, peers }: KmReport): Condition {
  if (health?.healthy === false) return "fault";
  if (!ready) return vault.tokenReason === undefined ? "booting" : "fault";
  if (vault.token !== "ready" || vault.store !== "ready") return "fault";
  const isWhole =
    links.every(({ line, alarms, agreement }) => line === "up" && alarms.length === 0 && agreement !== "refused") &&
    peers.every(({ reachable, connected, synchronised }) => reachable && connected && synchronised);
  return isWhole ? "healthy" : "degraded";
}

const TELL_MS = 1_000;

/** Says once a second what the KM is like, to all displays. */
export class ConditionTeller implements Disposable {
  readonly #displays: readonly ConditionDisplay[];
  readonly #health: Pick<Health, "read">;
  readonly #clock: Clock;
  #read: () => Condition = () => "booting";
  #endTimer: () => void = () => {};

  constructor(
    displays: readonly ConditionDisplay[],
    { health, clock }: { health: Pick<Health, "read">; clock: Clock },
  ) {
    this.#displays = displays;
    this.#health = health;
    this.#clock = clock;
    if (displays.length > 0) this.#tell();
  }

  /** From now on the condition is read from there. */
  from(read: () => Condition): void {
    this.#read = read;
    if (this.#displays.length === 0) return;
    this.#endTimer();
    this.#tell();
  }

  #tell(): void {
    const condition = this.#read();
    const { healthy } = this.#health.read();
    for (const display of this.#displays) display.show(condition, healthy);
    this.#endTimer = this.#clock.after(TELL_MS, () => this.#tell());
  }

  /** The last word. */
  [Symbol.dispose](): void {
    this.#endTimer();
    if (this.#displays.length === 0) return;
    const condition = this.#read();
    for (const display of this.#displays) display.end(condition);
  }
}
