// The vault's hold on the token: opened, watched, and opened again when it was away.

import { asFault, Fault, type FaultCode } from "../core/fault.ts";
import type { Clock, Log, Meter } from "../core/ports.ts";
import type { Token } from "../device/token.ts";
import { BACK_OFF, longer, Pause } from "./pause.ts";
import type { VaultHealth } from "./vault.ts";

const PING_MS = 1000;
const ATTEND_EACH = 2;

/** How a token is opened and who is told when it comes and goes. */
export interface TokenLinkOptions {
  /** What `stop` ends need not come to its end. */
  readonly openToken: (stop: AbortSignal) => Promise<Token>;
  /** Takes over what the token holds; gives what is to be called when it is ready. When it rejects, all is tried again. */
  readonly adopt: (token: Token) => Promise<() => void>;
  /** Called every other second while it is ready; when it rejects, the token counts as gone. */
  readonly attend: (token: Token) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  readonly changed: () => void;
}

type TokenState = VaultHealth["token"];

/** Faults that the same token would have again, and what the log says to do about them. */
const FINAL: Readonly<Partial<Record<FaultCode, { readonly state: TokenState; readonly sentence: string }>>> = {
  WRONG_PIN: {
    state: "wrong-pin",
    sentence: "the token refuses the PIN: it is not tried again; correct it and restart",
  },
  TOKEN_UNSUITABLE: {
    state: "unsuitable",
    sentence: "the token cannot be used: it is not tried again; choose another token and restart",
  },
};

/**
 *     gone ──opened and adopted──> ready ──a call or ping failed──> gone
 *       ├──the login is refused──────> wrong-pin     the end, until a restart
 *       └──it lacks what is needed───> unsuitable    the end, until a restart
 */
export class TokenLink {
  readonly #options: TokenLinkOptions;
  readonly #pause: Pause;
  #state: TokenState = "gone";
  #reason: string | undefined;
  #token: Token | undefined;
  #jobs = 0;
  readonly #idle: Pause;
  /** Opened, and not taken over yet. */
  #adopting: Token | undefined;
  /** Of the opening under way, or of the last one. */
  #opening = new AbortController();
  #openingBeganMs = 0;
  #openingTookMs: number | undefined = 0;
  #ended = false;

  constructor(options: TokenLinkOptions) {
    this.#options = options;
    this.#pause = new Pause(options.clock);
    this.#idle = new Pause(options.clock);
  }

  get state(): TokenState {
    return this.#state;
  }

  /** Why it is not ready, as far as that is known. */
  get reason(): string | undefined {
    return this.#state === "ready" ? undefined : this.#reason;
  }

  /** True when nothing is tried again. */
  get isFinal(): boolean {
    return this.#state === "wrong-pin" || this.#state === "unsuitable";
  }

  /** How long the opening that is under way has taken so far, or the last one took. */
  get openingMs(): number {
    return this.#openingTookMs ?? this.#options.clock.monotonicMs() - this.#openingBeganMs;
  }

  /** Tries now: an opening that is under way may hang, and is given up for another. Nothing while there is a token. */
  tryNow(): void {
    if (this.#token !== undefined || this.#adopting !== undefined) return;
    this.#opening.abort();
    this.#pause.wake();
  }

  /** Begins to open the token, and goes on until `close`. */
  start(): void {
    void this.#live();
  }

  /**
   * Runs a job on the token; if it finds the token gone, so does everyone.
   * @throws Fault HSM_UNAVAILABLE, and whatever the job throws
   */
  async use<T>(job: (token: Token) => Promise<T>): Promise<T> {
    const token = this.#token;
    if (token === undefined || this.#state !== "ready") throw new Fault("HSM_UNAVAILABLE");
    this.#jobs += 1;
    try {
      return await job(token);
    } catch (thrown) {
      // One key may be refused while the token is well.
      if (asFault(thrown).code === "HSM_UNAVAILABLE") await this.#look(token);
      throw thrown;
    } finally {
      this.#jobs -= 1;
      if (this.#jobs === 0) this.#idle.wake();
    }
  }

  /** Waits until no job is under way; false when one still is after `ms`. */
  async idle(ms: number): Promise<boolean> {
    if (this.#jobs > 0) await this.#idle.for(ms);
    return this.#jobs === 0;
  }

  async close(): Promise<void> {
    this.#ended = true;
    // An opening that hangs would keep the process from its end.
    this.#opening.abort();
    this.#pause.end();
    const token = this.#token ?? this.#adopting;
    this.#token = undefined;
    this.#state = "gone";
    await dispose(token);
  }

  async #live(): Promise<void> {
    let backOffMs: number = BACK_OFF.firstMs;
    while (!this.#ended) {
      const token = await this.#open();
      if (this.isFinal) return;
      if (token !== undefined) {
        backOffMs = BACK_OFF.firstMs;
        await this.#watch(token);
      }
      if (this.#opening.signal.aborted) continue;
      await this.#pause.for(backOffMs);
      backOffMs = longer(backOffMs);
    }
  }

  /** One try. A PIN that is refused is never tried again: real tokens lock. */
  async #open(): Promise<Token | undefined> {
    const { clock } = this.#options;
    let token: Token | undefined;
    this.#opening = new AbortController();
    this.#openingBeganMs = clock.monotonicMs();
    this.#openingTookMs = undefined;
    try {
      token = await this.#options.openToken(this.#opening.signal);
      this.#check();
      this.#adopting = token;
      const ready = await this.#options.adopt(token);
      this.#check();
      this.#token = token;
      this.#become("ready");
      ready();
      this.#options.log.info(token.info.software ? SOFTWARE : {}, `the token ${token.info.label} is ready`);
      return token;
    } catch (thrown) {
      this.#failed(thrown);
      await dispose(token);
      return undefined;
    } finally {
      this.#adopting = undefined;
      this.#openingTookMs = clock.monotonicMs() - this.#openingBeganMs;
    }
  }

  /** @throws Fault STOPPING */
  #check(): void {
    if (this.#ended) throw new Fault("STOPPING");
  }

  #failed(thrown: unknown): void {
    const fault = asFault(thrown);
    // Given up here; whatever else an opening says as it ends is true.
    if (this.#ended || fault.code === "STOPPING") return;
    const reason = fault.cause instanceof Error ? `${fault.message}: ${fault.cause.message}` : fault.message;
    this.#options.meter.add("token_faults", { kind: fault.code });
    this.#reason = reason;
    const end = FINAL[fault.code];
    if (end === undefined) {
      this.#options.log.warn({ reason }, "the token cannot be used yet; it is tried again");
      return;
    }
    this.#become(end.state);
    this.#options.log.error({ fault: fault.code, reason }, end.sentence);
  }

  /** Returns when the token is gone. */
  async #watch(token: Token): Promise<void> {
    for (let round = 1; this.#token === token; round += 1) {
      await this.#pause.for(PING_MS);
      if (this.#token !== token) return;
      await this.#look(token, round % ATTEND_EACH === 0);
    }
  }

  async #look(token: Token, attends = false): Promise<void> {
    try {
      await token.check();
      if (attends && this.#token === token) await this.#options.attend(token);
    } catch (thrown) {
      this.#lost(token, asFault(thrown).message);
    }
  }

  #lost(token: Token, reason: string): void {
    if (this.#token !== token) return;
    this.#token = undefined;
    this.#reason = reason;
    this.#options.meter.add("token_faults", { kind: "gone" });
    this.#options.log.error({ event: "token_gone" }, "the token is gone: nothing is sealed or opened until it is back");
    this.#become("gone");
    this.#pause.wake();
    void dispose(token);
  }

  #become(state: TokenState): void {
    this.#state = state;
    this.#options.changed();
  }
}

/** A token that is gone may fail to say goodbye. */
async function dispose(token: Token | undefined): Promise<void> {
  try {
    await token?.[Symbol.asyncDispose]();
  } catch {}
}

const SOFTWARE = {
  warning: "this token is software: it gives no tamper protection, and what it destroys is merely deleted",
};
