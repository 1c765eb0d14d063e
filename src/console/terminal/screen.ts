// Where the console writes: lines that fit and that drive no terminal, and the few sequences that redraw one.

import type { Writable } from "node:stream";
import { type Charset, cut, encoded, printable, WIDTH, wrapped } from "./text.ts";

/** What may wait for a line that takes nothing; what is more is dropped. */
const MOST_WAITING = 131_072;
const ESC = "\x1b[";

/** Writes to a terminal: its width, its character set, its end. */
export class Screen {
  readonly #to: Writable;
  charset: Charset;

  constructor(to: Writable, charset: Charset) {
    this.#to = to;
    this.charset = charset;
    to.on("error", () => {});
  }

  /** Writes as it is: for the line editor's echo and prompts. */
  raw(text: string): void {
    if (!this.#to.destroyed && this.#to.writableLength <= MOST_WAITING) this.#to.write(text);
  }

  /** Lines of text, broken where they are wider than the screen. */
  say(...lines: readonly string[]): void {
    for (const line of this.laidOut(lines)) this.raw(`${encoded(line, this.charset)}\r\n`);
  }

  /** As `say` shows them, each at most `WIDTH` wide. */
  laidOut(lines: readonly string[]): readonly string[] {
    return lines.flatMap((line) => wrapped(printable(line), Math.min(line.search(/\S|$/) + 2, WIDTH / 2)));
  }

  /** Whether the line still has to take what was written last. */
  get isBehind(): boolean {
    return this.#to.writableNeedDrain;
  }

  /** Resolves when the line has taken what was written, or the signal aborts. */
  async drained(signal: AbortSignal): Promise<void> {
    if (!this.isBehind || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = (): void => resolve();
    for (const event of ["drain", "close", "error"]) this.#to.once(event, done);
    signal.addEventListener("abort", done, { once: true });
    await promise;
    for (const event of ["drain", "close", "error"]) this.#to.off(event, done);
    signal.removeEventListener("abort", done);
  }

  clear(): void {
    this.raw(`${ESC}2J${ESC}H`);
  }

  /** Draws what differs from the lines before; the cursor ends below. */
  redraw(lines: readonly string[], before: readonly string[]): void {
    const rows = Math.max(lines.length, before.length);
    const changed = Array.from({ length: rows }, (_, at) => at).filter((at) => lines[at] !== before[at]);
    const drawn = changed.map((at) => `${ESC}${at + 1};1H${this.#fitted(lines[at] ?? "")}${ESC}K`);
    this.raw(`${drawn.join("")}${ESC}${rows + 1};1H`);
  }

  #fitted(line: string): string {
    return encoded(cut(printable(line)), this.charset);
  }

  /** Goes back to the beginning of the line and empties it. */
  erase(): void {
    this.raw(`\r${ESC}K`);
  }
}
