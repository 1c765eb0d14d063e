// Calls to a vendor's box as its driver makes them: noted in the state that is shown, repeated while key may only be late.

import { Fault } from "../../src/core/fault.ts";
import { pause } from "../../src/core/pause.ts";
import type { BoxOptions, BoxPorts } from "../../src/device/key-box.ts";
import { BoxState } from "./box-state.ts";
import { BoxFault } from "./box-tls.ts";

const AGAIN_MS = 200;

/** What drivers of vendors' boxes share: calls whose outcome is noted in the state that is shown, and that end at dispose. */
export class BoxWork implements Disposable {
  readonly state: BoxState;
  readonly #clock: BoxPorts["clock"];
  readonly #stop = new AbortController();

  constructor({ link, host, port }: BoxOptions, { clock, log }: BoxPorts) {
    this.state = new BoxState(log, link, `${host}:${port}`);
    this.#clock = clock;
  }

  /** Milliseconds, for deadlines. */
  get now(): number {
    return this.#clock.monotonicMs();
  }

  /** Does it, and keeps what it shows of the box. @throws Fault; STOPPING after dispose */
  async noted<T>(work: () => Promise<T>): Promise<T> {
    try {
      const done = await work();
      this.state.answered();
      return done;
    } catch (thrown) {
      if (this.#stop.signal.aborted) throw new Fault("STOPPING", { cause: thrown });
      this.state.failed(thrown);
      throw thrown;
    }
  }

  /** Asks again while the box has no key, or does not know it yet, until the time is over. @throws Fault of the last answer */
  async again<T>(withinMs: number, ask: () => Promise<T>): Promise<T> {
    const until = this.now + withinMs;
    for (;;) {
      try {
        return await ask();
      } catch (thrown) {
        if (!(thrown instanceof Fault) || thrown instanceof BoxFault) throw thrown;
        const waitMs = Math.max(AGAIN_MS, thrown.retryAfterMs ?? 0);
        if (this.now + waitMs > until) throw thrown;
        await pause(this.#clock, waitMs, this.#stop.signal);
        if (this.#stop.signal.aborted) throw thrown;
      }
    }
  }

  /** Ends the waiting. */
  [Symbol.dispose](): void {
    this.#stop.abort();
  }
}
