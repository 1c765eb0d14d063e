// Patience with whoever sends something: it ends when nothing has come for so long.

import type { Clock } from "../core/ports.ts";
import { EtcdError } from "./etcd.ts";

/** Aborts its signal, with an EtcdError as the reason, when nothing was heard for `ms`. Ends by being disposed of. */
export class Silence implements Disposable {
  readonly #timers: Pick<Clock, "after">;
  readonly #ms: number;
  readonly #abort = new AbortController();
  #cancel: () => void = () => {};

  constructor(timers: Pick<Clock, "after">, ms: number) {
    this.#timers = timers;
    this.#ms = ms;
    this.heard();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Something came: the time begins anew. */
  heard(): void {
    this.#cancel();
    this.#cancel = this.#timers.after(this.#ms, () => {
      this.#abort.abort(new EtcdError("unknown", `nothing came for ${this.#ms} ms`));
    });
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }
}
