// Whether a name and a PIN let somebody in, and how long the line waits after they did not.

import { checkPin, hashPin } from "../core/pin-hash.ts";
import type { Operator } from "./operators.ts";

const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 30_000;

/** The failures of a line in a row, kept where a new start of the console finds them. */
export interface FailureCount {
  read(): number;
  write(failures: number): void;
}

/** Asks for name and PIN until both fit; a wrong one costs time. */
export class Login {
  readonly #operators: () => readonly Operator[];
  readonly #failures: FailureCount;
  /** Of no PIN that anybody has. */
  readonly #nobody = hashPin(crypto.randomUUID());

  /** `operators` are asked at each try, so that a new one need not wait. */
  constructor(operators: () => readonly Operator[], failures: FailureCount) {
    this.#operators = operators;
    this.#failures = failures;
  }

  /** Undefined for an unknown name as for a wrong PIN, after the same time. @throws what `operators` throws */
  async try(name: string, pin: string): Promise<Operator | undefined> {
    const known = this.#operators().find((one) => one.name === name);
    const isRight = await checkPin(pin, known?.pin ?? (await this.#nobody));
    if (known === undefined || !isRight) {
      this.#failures.write(this.#failures.read() + 1);
      return undefined;
    }
    this.#failures.write(0);
    return known;
  }

  /** How long the line waits now, in ms: 1 s after the first failure, twice as long after each, 30 s at most. */
  get delayMs(): number {
    const failures = this.#failures.read();
    return failures === 0 ? 0 : Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1));
  }
}
