// MessageIDs of one end of a connection: 32 bits, counted on, never one that still waits for its answer (Q.4161 appendix I).

import { MAX_MESSAGE_ID } from "./frame.ts";

/** Counts MessageIDs; after the largest it begins again at 0. */
export class MessageIds {
  readonly #open: { has(id: number): boolean };
  #last: number;

  /** `open` has the IDs that wait for an answer; `last` is the one given last. */
  constructor(open: { has(id: number): boolean }, last = 0) {
    this.#open = open;
    this.#last = last;
  }

  /** The ID given last. */
  get last(): number {
    return this.#last;
  }

  /** The next ID that is free. */
  next(): number {
    do this.#last = this.#last === MAX_MESSAGE_ID ? 0 : this.#last + 1;
    while (this.#open.has(this.#last));
    return this.#last;
  }
}
