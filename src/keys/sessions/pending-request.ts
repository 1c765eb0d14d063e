// A request that is answered once, and not at all after it was given up.

import type { Fault } from "../../core/fault.ts";

/** A request that is answered once, and not at all after it was given up. */
export class PendingRequest {
  readonly #answer: { refused(fault: Fault): void };
  readonly #all: Set<PendingRequest>;
  #isOpen = true;

  /** `all`: where it is found while it is open. */
  constructor(answer: { refused(fault: Fault): void }, all: Set<PendingRequest>) {
    this.#answer = answer;
    this.#all = all;
    all.add(this);
  }

  /** True once: whoever is told so may answer. */
  close(): boolean {
    const wasOpen = this.#isOpen;
    this.#isOpen = false;
    this.#all.delete(this);
    return wasOpen;
  }

  refuse(fault: Fault): void {
    if (this.close()) this.#answer.refused(fault);
  }
}
