// What a pair of simulated vendor's boxes can be made to do wrong.

/** All of it; probabilities from 0 to 1. */
export interface BoxFaults {
  /** Before each answer. */
  readonly slowMs: number;
  /** A key has another bit at the end that fetches it by its ID. */
  readonly wrong: number;
  /** A key is at one end only. */
  readonly oneEnd: number;
  /** So much later than it was given at one end a key is known at the other. */
  readonly lateMs: number;
  /** Requests a second that each box takes; 0 for any number. */
  readonly requestsPerS: number;
}

/** A pair that works. */
export const NO_BOX_FAULTS: BoxFaults = { slowMs: 0, wrong: 0, oneEnd: 0, lateMs: 0, requestsPerS: 0 };
