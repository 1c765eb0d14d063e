// What provisioning says to the person at the console: steps, refusals, and PINs that are shown once.

import { randomInt } from "node:crypto";
import { CommandError, EXIT } from "../common/exit.ts";

/** Writes one line. @throws Error of the system when the line goes nowhere */
export type WriteLine = (line: string) => void;

/** One run: lines for the person, and how many things were refused. A screen that is gone stops no node. */
export class Screen {
  readonly #write: WriteLine;
  refused = 0;

  constructor(write: WriteLine) {
    this.#write = write;
  }

  line(text: string): void {
    try {
      this.#write(text);
    } catch (thrown) {
      if (!(thrown instanceof Error && "syscall" in thrown)) throw thrown;
    }
  }

  say(sentence: string): void {
    this.line(`  ${sentence}`);
  }

  refuse(sentence: string): void {
    this.refused += 1;
    for (const line of sentence.split("\n")) this.line(`! ${line}`);
  }

  /**
   * Before the PIN is used: killed in between, another is made and shown at the next start.
   * @throws CommandError when the screen does not take it, so that no PIN is used that nobody saw
   */
  showPin(whose: string, pin: string): void {
    const lines = [`The PIN of ${whose} is  ${pin}`, "Write it down now: it is not shown again."];
    const width = Math.max(...lines.map((line) => line.length));
    const edge = `  +${"-".repeat(width + 4)}+`;
    try {
      for (const line of ["", edge, ...lines.map((one) => `  |  ${one.padEnd(width)}  |`), edge, ""]) this.#write(line);
    } catch (cause) {
      throw new CommandError(EXIT.failed, `the PIN of ${whose} cannot be shown here: bring one on the medium.`, cause);
    }
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
