// Keys that were pushed in a session and wait for their application, which takes or refuses each.

import { deferred } from "../../core/deferred.ts";
import { AkUnanswered } from "./failures.ts";
import type { SuppliedKey } from "./supplied-key.ts";

/** A key that the other application gets too if, and only if, this one takes it. One that is passed over is refused. */
export interface PushedKey {
  readonly keyId: string;
  /**
   * Acknowledges the key and gives it; dispose it. Take it soon: a KM waits a few seconds.
   * @throws AkUnanswered when the connection has ended meanwhile, and with it the key; Error when it is taken or refused
   */
  take(): SuppliedKey;
  /** The other application shall not have it either. */
  refuse(reason?: string): void;
}

/** Where the key manager hears `success` or why not. */
export interface Verdict {
  /** Whether it still hears. */
  readonly open: boolean;
  /** `false` when it does not. */
  tell(keyId: string, response: string): boolean;
}

class Pushed implements PushedKey {
  readonly #key: SuppliedKey;
  readonly #verdict: Verdict;
  #decided = false;

  constructor(key: SuppliedKey, verdict: Verdict) {
    this.#key = key;
    this.#verdict = verdict;
  }

  get keyId(): string {
    return this.#key.keyId;
  }

  /** Whether it may still be taken. */
  get open(): boolean {
    return !this.#decided && this.#verdict.open;
  }

  take(): SuppliedKey {
    if (this.#decided) throw new Error(`the key ${this.keyId} is taken or refused already`);
    this.#decided = true;
    if (this.#verdict.tell(this.keyId, "success")) return this.#key;
    this.#key[Symbol.dispose]();
    throw new AkUnanswered(`the connection ended before the key ${this.keyId} was taken`, "not sent");
  }

  /** Nobody is told: the session may go on elsewhere. */
  abandon(): void {
    if (!this.#decided) this.#key[Symbol.dispose]();
    this.#decided = true;
  }

  refuse(reason = "the application refuses the key"): void {
    if (this.#decided) return;
    this.#decided = true;
    this.#verdict.tell(this.keyId, `SESSION_REFUSED: ${reason}`);
    this.#key[Symbol.dispose]();
  }
}

/** The keys of one session in the order in which they came. Each goes to one of those who iterate. */
export class PushedKeys implements AsyncIterable<PushedKey> {
  readonly #most: number;
  #waiting: Pushed[] = [];
  #changed = deferred<void>();
  #closed = false;

  /** At most so many wait; what comes beyond is refused. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Keeps the key, or refuses it. */
  put(key: SuppliedKey, verdict: Verdict): void {
    const pushed = new Pushed(key, verdict);
    if (this.#waiting.length >= this.#most) this.#dropVoid();
    if (this.#closed) pushed.refuse("the session is closed");
    else if (this.#waiting.length >= this.#most) pushed.refuse("too many keys wait to be taken");
    else this.#waiting.push(pushed);
    this.#wake();
  }

  /** Refuses what waits, and all that comes; iterations end. */
  close(): void {
    for (const key of this.#waiting.splice(0)) key.refuse("the session is closed");
    this.#end();
  }

  /** Lets go of what waits without a word; iterations end. */
  abandon(): void {
    for (const key of this.#waiting.splice(0)) key.abandon();
    this.#end();
  }

  #end(): void {
    this.#closed = true;
    this.#wake();
  }

  /** Ends with `close`. Leaving the loop closes nothing: another may go on. */
  async *[Symbol.asyncIterator](): AsyncGenerator<PushedKey, void, undefined> {
    while (!this.#closed) {
      const key = this.#waiting.shift();
      if (key === undefined) {
        await this.#changed.promise;
        continue;
      }
      try {
        if (key.open) yield key;
      } finally {
        key.refuse("the application passed the key over");
      }
    }
  }

  /** Keys whose connection has ended can be taken no more. */
  #dropVoid(): void {
    for (const key of this.#waiting) if (!key.open) key.refuse();
    this.#waiting = this.#waiting.filter((key) => key.open);
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = deferred<void>();
  }
}
