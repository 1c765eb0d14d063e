// Whether this process turns as it should: every part has said so in time. What a watchdog may be kicked on.

import type { Beat, Clock } from "../../core/ports.ts";
import type { Collect } from "../metrics/gauges.ts";

/** Whether one part has been heard of in time. */
export interface PartHealth {
  readonly name: string;
  readonly healthy: boolean;
  /** Since it last said that it is alive, and how long that may be. */
  readonly silentMs: number;
  readonly withinMs: number;
}

/** The health of the process and of each of its parts. */
export interface HealthReport {
  readonly healthy: boolean;
  readonly parts: readonly PartHealth[];
}

interface Part {
  readonly withinMs: number;
  heardAt: number;
  /** Asked at each turn whether it lives, where it does not say so itself. */
  readonly lives: () => boolean;
}

/** What a part has done so far, in pieces of any kind; undefined while it has nothing to do. */
export type Progress = () => number | undefined;

const LOOP_TURNS_MS = 250;
/** A loop that has not turned for so long serves nobody. */
const LOOP_WITHIN_MS = 5_000;

/** Hears of every part of the process, and says whether one has fallen silent. */
export class Health implements Disposable {
  readonly #clock: Clock;
  readonly #parts = new Map<string, Part>();
  #endTimer: () => void = () => {};

  /** Watches the event loop from now on. */
  constructor(clock: Clock) {
    this.#clock = clock;
    const turned = this.part("loop", LOOP_WITHIN_MS);
    const turn = (): void => {
      turned();
      this.#look();
      this.#endTimer = clock.after(LOOP_TURNS_MS, turn);
    };
    turn();
  }

  #look(): void {
    const now = this.#clock.monotonicMs();
    for (const part of this.#parts.values()) if (part.lives()) part.heardAt = now;
  }

  /** From now on the part is to call what is returned, at least once within that time, unless `rests` says that it need not. */
  part(name: string, withinMs: number, rests: () => boolean = () => false): Beat {
    const part: Part = { withinMs, heardAt: this.#clock.monotonicMs(), lives: rests };
    this.#parts.set(name, part);
    return () => {
      part.heardAt = this.#clock.monotonicMs();
    };
  }

  /** From now on the part is to get on within that time, as long as it has something to do. */
  work(name: string, withinMs: number, progress: Progress): void {
    let before: number | undefined;
    this.part(name, withinMs, () => {
      const done = progress();
      const stands = done !== undefined && done === before;
      before = done;
      return !stands;
    });
  }

  /** Something that must have ended within that time; the function returned ends it. */
  task(name: string, withinMs: number): () => void {
    this.part(name, withinMs);
    return () => void this.#parts.delete(name);
  }

  read(): HealthReport {
    const now = this.#clock.monotonicMs();
    const parts = [...this.#parts].map(([name, { withinMs, heardAt }]) => {
      const silentMs = Math.round(now - heardAt);
      return { name, healthy: silentMs <= withinMs, silentMs, withinMs };
    });
    return { healthy: parts.every(({ healthy }) => healthy), parts };
  }

  [Symbol.dispose](): void {
    this.#endTimer();
  }
}

/** Sets the gauges of health at each scrape. */
export const healthGauges =
  (health: Health): Collect =>
  (set) => {
    const { healthy, parts } = health.read();
    set("healthy", healthy ? 1 : 0);
    for (const { name, silentMs } of parts) set("part_silent_seconds", silentMs / 1000, { part: name });
  };
