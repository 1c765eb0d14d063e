// Jobs that run one after the other.

/** Runs jobs one after the other, in the order in which they came; a job that fails ends only itself. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** Begins `job` when all earlier ones have ended, well or not. */
  run<T>(job: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(job);
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Resolves when all jobs so far have ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
