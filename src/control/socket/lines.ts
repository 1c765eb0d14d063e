// Lines of JSON on a byte stream, of bounded length.

/** Cuts what arrives into lines. */
export class LineReader {
  readonly #longest: number;
  readonly #decoder = new TextDecoder();
  #rest = "";

  /** `longest` in characters. */
  constructor(longest: number) {
    this.#longest = longest;
  }

  /** The whole lines that end in `chunk`, without their ends. @throws RangeError when a line is too long */
  push(chunk: Uint8Array): readonly string[] {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of [...lines, this.#rest]) {
      if (line.length > this.#longest) throw new RangeError(`a line is longer than ${this.#longest} characters`);
    }
    return lines;
  }
}
