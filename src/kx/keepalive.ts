// Silence ends a connection: after a while without a byte a probe is sent, and if nothing comes, that is the end.

import type { Clock } from "../core/ports.ts";

/** When a probe is sent and how long its answer may take, in ms. */
export interface KeepaliveTimes {
  /** Silence before a probe. */
  readonly silenceMs: number;
  /** Silence after the probe. */
  readonly timeoutMs: number;
}

/** The times of every Kx connection unless a test says otherwise. */
export const KEEPALIVE: KeepaliveTimes = { silenceMs: 5_000, timeoutMs: 5_000 };

/** What silence leads to. */
export interface KeepaliveActions {
  /** Sends something that makes the peer answer. */
  probe(): void;
  /** Called once: nothing came after a probe. */
  silent(): void;
}

/** Watches one connection for silence. */
export class Keepalive {
  readonly #clock: Clock;
  readonly #times: KeepaliveTimes;
  readonly #actions: KeepaliveActions;
  #heardMs: number;
  #heardSinceProbe = false;
  #cancelTimer: () => void;

  constructor(clock: Clock, times: KeepaliveTimes, actions: KeepaliveActions) {
    this.#clock = clock;
    this.#times = times;
    this.#actions = actions;
    this.#heardMs = clock.monotonicMs();
    this.#cancelTimer = clock.after(times.silenceMs, () => this.#listen());
  }

  /** Bytes arrived. */
  heard(): void {
    this.#heardMs = this.#clock.monotonicMs();
    this.#heardSinceProbe = true;
  }

  stop(): void {
    this.#cancelTimer();
  }

  #listen(): void {
    const leftMs = this.#heardMs + this.#times.silenceMs - this.#clock.monotonicMs();
    if (leftMs > 0) {
      this.#cancelTimer = this.#clock.after(leftMs, () => this.#listen());
      return;
    }
    this.#heardSinceProbe = false;
    this.#cancelTimer = this.#clock.after(this.#times.timeoutMs, () => this.#judge());
    this.#actions.probe();
  }

  #judge(): void {
    if (this.#heardSinceProbe) this.#listen();
    else this.#actions.silent();
  }
}
