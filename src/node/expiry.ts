// Warns of certificates and revocation lists that will expire: 30, 7 and 1 days ahead, and when they have.

import type { Collect } from "../control/metrics/gauges.ts";
import type { ControlCommands } from "../control/socket/dialogue.ts";
import type { Log, Meter } from "../core/ports.ts";
import type { DoorExpiry } from "./credentials.ts";

const DAY_MS = 86_400_000;
/** Days before; each is told once. */
const WARNED_DAYS = [0, 1, 7, 30] as const;
const LOOK_MS = 3_600_000;

interface Ports {
  readonly log: Log;
  readonly meter: Meter;
}

/** Looks at the start and every hour until it is disposed. */
export class ExpiryWatch implements Disposable {
  readonly #expiries: () => readonly DoorExpiry[];
  readonly #ports: Ports;
  /** How many days ahead the last warning of each was. */
  readonly #told = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(expiries: () => readonly DoorExpiry[], ports: Ports) {
    this.#expiries = expiries;
    this.#ports = ports;
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref();
    this.look();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Warns of each that has come nearer to its end than it was warned of; once for all doors that have it. */
  look(nowMs: number = Date.now()): void {
    const known = Map.groupBy(this.#expiries(), ({ use, name, untilMs }) => `${use} ${name} ${untilMs}`);
    for (const key of this.#told.keys()) if (!known.has(key)) this.#told.delete(key);
    for (const [key, alike] of known) {
      const [one] = alike;
      if (one === undefined) continue;
      const days = WARNED_DAYS.find((ahead) => one.untilMs - nowMs <= ahead * DAY_MS);
      if (days === undefined || days === this.#told.get(key)) continue;
      this.#told.set(key, days);
      this.#warn(
        one,
        alike.map(({ door }) => door),
        days,
      );
    }
  }

  #warn({ use, name, untilMs }: DoorExpiry, doors: readonly string[], days: number): void {
    const { log, meter } = this.#ports;
    const fields = { event: "certificate_expires", use, name, doors, until: new Date(untilMs).toISOString() };
    const what = use === "crl" ? "a revocation list" : use === "trust" ? "a trust anchor" : "a certificate of this KM";
    if (days > 0) {
      log.warn(fields, `${what} expires within ${days === 1 ? "a day" : `${days} days`}: renew it (qkm ca)`);
      return;
    }
    const alarm = use === "crl" ? "revocation_list_expired" : "certificate_expired";
    meter.add("alarms", { alarm });
    log.error({ alarm, ...fields }, `${what} has expired: renew it (qkm ca)`);
  }
}

/** `certificates` tells what the doors show and trust now. */
export const expiryCommands = (expiries: () => readonly DoorExpiry[]): ControlCommands => ({
  certificates: async () =>
    expiries().map(({ untilMs, ...one }) => ({ ...one, until: new Date(untilMs).toISOString() })),
});

/** How long the first of each door has left. */
export const expiryGauges =
  (expiries: () => readonly DoorExpiry[]): Collect =>
  (set) => {
    const alike = Map.groupBy(expiries(), ({ door, use }) => `${door} ${use}`);
    for (const some of alike.values()) {
      const [first] = some.toSorted((a, b) => a.untilMs - b.untilMs);
      if (first === undefined) continue;
      set("certificate_expires_seconds", (first.untilMs - Date.now()) / 1000, { door: first.door, use: first.use });
    }
  };
