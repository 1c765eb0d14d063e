// The last warnings and errors of the log, kept in memory for whoever asks the running KM what went wrong.

import type { LogDestination } from "./log.ts";

/** A line of the log, at level `warn` or `error`. */
export interface RecentFault {
  /** Counts the warnings and errors since the start, from 1. */
  readonly number: number;
  readonly level: "warn" | "error";
  /** ISO 8601. */
  readonly time: string;
  readonly message: string;
  /** The line's other fields. */
  readonly fields: Readonly<Record<string, unknown>>;
}

const KEPT = 64;
/** Longer lines are kept without their fields. */
const LONGEST = 2_048;
const GRAVE = /^\{"level":"(warn|error)","time":"([^"]*)"/;

/** Passes every line on. */
export class RecentFaults implements LogDestination {
  readonly #next: LogDestination;
  readonly #kept: string[] = [];
  #count = 0;

  constructor(next: LogDestination) {
    this.#next = next;
  }

  write(line: string): void {
    this.#next.write(line);
    const [head] = GRAVE.exec(line) ?? [];
    if (head === undefined) return;
    this.#count += 1;
    this.#kept.push(line.length <= LONGEST ? line : `${head},"message":"a line of ${line.length} characters"}`);
    if (this.#kept.length > KEPT) this.#kept.shift();
  }

  /** Oldest first. */
  read(): readonly RecentFault[] {
    const first = this.#count - this.#kept.length + 1;
    return this.#kept.map((line, at) => {
      const { level, time, message, ...fields } = JSON.parse(line) as Omit<RecentFault, "fields" | "number">;
      return { number: first + at, level, time, message, fields };
    });
  }
}
