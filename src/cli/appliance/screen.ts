// What provisioning says to the person at the console: steps, refusals, and PINs that are shown once.

import { randomInt } from "node:crypto";
import { CommandError } from "../exit.ts";
import type { Progress } from "../provision/provision.ts";

/** One run: lines for the person, and how many things were refused. */
export class Screen {
  readonly #write: Progress;
  refused = 0;

  constructor(write: Progress) {
    this.#write = write;
  }

  say(sentence: string): void {
    this.#write(`  ${sentence}`);
  }

  refuse(sentence: string): void {
    this.refused += 1;
    for (const line of sentence.split("\n")) this.#write(`! ${line}`);
  }

  /** Before the PIN is used: killed in between, another is made and shown at the next start. */
  showPin(whose: string, pin: string): void {
    const lines = [`The PIN of ${whose} is  ${pin}`, "Write it down now: it is not shown again."];
    const width = Math.max(...lines.map((line) => line.length));
    const edge = `  +${"-".repeat(width + 4)}+`;
    for (const line of ["", edge, ...lines.map((line) => `  |  ${line.padEnd(width)}  |`), edge, ""]) this.#write(line);
  }

  /** Does a step; what it refuses is said, and the next one goes on. A defect is thrown. */
  async attempt<T>(step: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await step();
    } catch (thrown) {
      if (!(thrown instanceof Error) || !isForeseen(thrown)) throw thrown;
      this.refuse(thrown.message);
      return undefined;
    }
  }
}

/** A refusal with its remedy, or an error of the system. */
const isForeseen = (thrown: Error): boolean =>
  thrown instanceof CommandError || ["ConfigError", "Fault"].includes(thrown.name) || "syscall" in thrown;

const PIN_DIGITS = 10;

/** Ten digits of the system's randomness. */
export const newPin = (): string => Array.from({ length: PIN_DIGITS }, () => randomInt(10)).join("");
