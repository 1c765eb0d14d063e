// Work that comes in bursts, done in slices: between two of them the event loop turns, and requests are served.

export class Slices {
  readonly #bytes: number;
  #done = 0;
  #turn: Promise<void> | undefined;

  /** `bytes`: how much is done in one turn of the loop, and as much more as the last piece is long. */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Resolves when so many bytes may be worked on: at once, unless this turn's slice is used up. In the order of the calls. */
  async take(bytes: number): Promise<void> {
    while (this.#done >= this.#bytes) await this.#turn;
    this.#done += bytes;
    this.#turn ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#turn = undefined;
        this.#done = 0;
        resolve();
      });
    });
  }
}
