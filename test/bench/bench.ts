// What every figure is given: where to work, how often to measure, whom to tell.

import type { Result } from "./result.ts";

export interface Bench {
  /** A folder for networks and logs. */
  readonly dir: string;
  /** How often each side is measured. */
  readonly rounds: number;
  /** For the KMs, for example `--cpu-prof`. */
  readonly nodeFlags: readonly string[];
  /** Whether a figure is asked for. */
  wants(name: string): boolean;
  /** Progress. */
  say(line: string): void;
  add(result: Result): void;
}
