// The log, and a copy of each line for a syslog server, which is opened later.

import type { LogDestination } from "./log.ts";

/** Takes a copy of each line. */
interface LineCopy {
  line(line: string): void;
}

/** Passes every line on, and a copy to the syslog once it is open. */
export class CopiedLog implements LogDestination {
  readonly #next: LogDestination;
  #copy: LineCopy | undefined;
  /** Lines of the start, before it was open. */
  #early: string[] | undefined = [];

  constructor(next: LogDestination) {
    this.#next = next;
  }

  write(line: string): void {
    this.#next.write(line);
    if (this.#copy !== undefined) this.#copy.line(line);
    else if (this.#early !== undefined && this.#early.length < MOST_EARLY) this.#early.push(line);
  }

  /** Undefined: there is none, and nothing is kept for it. */
  open(copy: LineCopy | undefined): void {
    this.#copy = copy;
    for (const line of this.#early ?? []) copy?.line(line);
    this.#early = undefined;
  }
}

const MOST_EARLY = 100;
