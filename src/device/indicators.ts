// The lights of a board: what they can say, and the contract of what shows it.

/** What a KM is like, in one word. */
export const CONDITIONS = ["booting", "healthy", "degraded", "fault", "zeroised"] as const;
/**
 * `booting`: not ready yet. `healthy`: all is well. `degraded`: it supplies, but a link or a peer is away. `fault`: its
 * token or store is away, or a part of it hangs. `zeroised`: its keys are destroyed.
 */
export type Condition = (typeof CONDITIONS)[number];

/** What one light does. */
export type Light = "on" | "off" | "blinking";

/** One light of a board, by its name in /sys/class/leds, and what it does when. */
export interface Indicator {
  readonly led: string;
  readonly shows: Readonly<Record<Condition, Light>>;
}

/** Whatever shows an operator what a KM is like. Never waits and never throws: a light that is broken stops nothing. */
export interface ConditionDisplay {
  /** Called about once a second, changed or not; `isAlive` is false while a part of the process hangs. */
  show(condition: Condition, isAlive: boolean): void;
  /** The process ends in order; `condition` is the last word. */
  end(condition: Condition): void;
}
