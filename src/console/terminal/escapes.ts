// Escape sequences of keys, let through whole or not at all: half of one would swallow the end of a line.

const ESCAPE = "\x1b";
/** Arrows, home, end and delete, as terminals send them. */
const KEYS = [
  ...["[A", "[B", "[C", "[D", "[H", "[F", "OA", "OB", "OC", "OD", "OH", "OF"],
  ...["[1~", "[3~", "[4~", "[7~", "[8~"],
].map((rest) => ESCAPE + rest);

/** What of the characters so far, one after the other, may go on to a line editor. */
export class Escapes {
  #begun = "";

  /** Empty while a sequence is not whole, and for an escape that begins none. */
  next(character: string): string {
    const typed = this.#begun + character;
    const isEscape = typed.startsWith(ESCAPE);
    if (isEscape && !KEYS.includes(typed) && KEYS.some((key) => key.startsWith(typed))) {
      this.#begun = typed;
      return "";
    }
    const wasBegun = this.#begun !== "";
    this.#begun = "";
    if (KEYS.includes(typed)) return typed;
    // What had been begun is dropped, and the character counts for itself.
    return wasBegun ? this.next(character) : character;
  }
}
