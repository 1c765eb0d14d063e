// Hops that just failed: left alone for a while, twice as long each time, so that a dry hop does not drain a healthy link.

import type { FaultCode } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Clock } from "../../core/ports.ts";

/** The first rest, by whether the next relay may well do; then twice as long each time. */
const BACK_OFF_MS = { soon: 100, later: 1000, most: 60_000 } as const;
/** Hops remembered; those that were tried again longest ago go first. */
const MAX_HOPS = 1024;

interface Rest {
  readonly hop: string;
  readonly untilMs: number;
  readonly stepMs: number;
  readonly stopTimer: () => void;
}

/** Hops that are left alone for a while because they failed; the time doubles from 1 s to 60 s (design 5). */
export class HopFaults {
  readonly #clock: Clock;
  readonly #freed: () => void;
  /** By hop and reason. */
  readonly #rests = new Map<string, Rest>();
  #stopped = false;

  /** `freed` is called when a hop may be tried again. */
  constructor(clock: Clock, freed: () => void) {
    this.#clock = clock;
    this.#freed = freed;
  }

  /** A hop failed; `from` and `to` are the same when the destination itself refused, whatever the route. */
  note(from: KmId, to: KmId, code: FaultCode, first: "soon" | "later" = "later"): void {
    const now = this.#clock.monotonicMs();
    const hop = hopName(from, to);
    const key = `${hop} ${code}`;
    const before = this.#rests.get(key);
    if (this.#stopped || (before !== undefined && before.untilMs > now)) return;
    const stepMs = Math.min(before === undefined ? BACK_OFF_MS[first] : before.stepMs * 2, BACK_OFF_MS.most);
    this.#rests.delete(key);
    this.#rests.set(key, { hop, untilMs: now + stepMs, stepMs, stopTimer: this.#clock.after(stepMs, this.#freed) });
    const [oldest] = this.#rests.keys();
    if (this.#rests.size > MAX_HOPS && oldest !== undefined) this.#forget(oldest);
  }

  #forget(key: string): void {
    this.#rests.get(key)?.stopTimer();
    this.#rests.delete(key);
  }

  /** Whether a hop is to be left alone now. */
  isResting(from: KmId, to: KmId): boolean {
    const now = this.#clock.monotonicMs();
    const hop = hopName(from, to);
    return this.#rests.values().some((rest) => rest.hop === hop && rest.untilMs > now);
  }

  /** Whether a hop has failed and no relay has got over it since. */
  isDoubtful(from: KmId, to: KmId): boolean {
    const hop = hopName(from, to);
    return this.#rests.values().some((rest) => rest.hop === hop);
  }

  /** All that are to be left alone now, as one text that changes when they do. */
  get resting(): string {
    const now = this.#clock.monotonicMs();
    return [...this.#rests].flatMap(([key, { untilMs }]) => (untilMs > now ? [key] : [])).join();
  }

  /** A relay got over this hop. */
  passed(from: KmId, to: KmId): void {
    const hop = hopName(from, to);
    for (const [key, rest] of this.#rests) if (rest.hop === hop) this.#forget(key);
  }

  /** What failed before may go now: at all hops, or at those that begin or end at one KM. */
  clear(km?: KmId): void {
    for (const [key, { hop }] of this.#rests) {
      if (km === undefined || hop.split(" ").includes(km)) this.#forget(key);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.clear();
  }
}

/** IDs have no space. */
const hopName = (from: KmId, to: KmId): string => `${from} ${to}`;
