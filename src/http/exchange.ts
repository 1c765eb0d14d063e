// One request and its answer.

import type { Fault } from "../core/fault.ts";
import type { AppId } from "../core/ids.ts";
import type { Grant } from "../keys/ports/keys.ts";
import type { BodyStore } from "./body-store.ts";
import type { Headers } from "./head.ts";
import type { RequestHead } from "./request-head.ts";

/** How the body of an answer with keys is written, key by key; what is around them belongs to the first and the last. */
export interface KeyFormat {
  /** Bytes of the whole body: its `Content-Length`. */
  totalBytes(grant: Grant): number;
  /** Bytes of key `index`, with what is before it and behind it. */
  keyBytes(grant: Grant, index: number): number;
  /** Lays key `index` at `at`: exactly `keyBytes`. Returns the position behind it. */
  writeEntry(grant: Grant, index: number, target: Uint8Array, at: number): number;
}

/** How an answer leaves. */
interface Outlet {
  text(exchange: Exchange, status: number, text: string | undefined, more: Headers): void;
  keys(exchange: Exchange, grant: Grant, layout: KeyFormat): void;
}

/** One request of an authenticated application, and how it is answered: once. */
export class Exchange {
  /** Who the certificate says. */
  readonly app: AppId;
  readonly head: RequestHead;
  /** Why nothing that it asks is done, at a key manager that is not its home. */
  readonly turnedAway: Fault | undefined;
  readonly #outlet: Outlet;
  #body: BodyStore | undefined;
  #state: "open" | "answered" | "gone" = "open";
  #giveUp: (() => void) | undefined;

  constructor(
    { app, turnedAway }: Pick<Exchange, "app" | "turnedAway">,
    head: RequestHead,
    body: BodyStore | undefined,
    outlet: Outlet,
  ) {
    this.app = app;
    this.turnedAway = turnedAway;
    this.head = head;
    this.#body = body;
    this.#outlet = outlet;
  }

  /** The body, lent until the handler returns; undefined when it was too long. Empty without one, or when it was taken. */
  get body(): Uint8Array | undefined {
    return this.#body === undefined ? NOTHING : this.#body.bytes;
  }

  /** The body, the caller's until it releases it; undefined when there is none. */
  takeBody(): BodyStore | undefined {
    const body = this.#body;
    this.#body = undefined;
    return body;
  }

  /** Answers with JSON text; undefined for the answer to a HEAD whose length is not known. Does nothing when the client is gone. */
  sendText(status: number, text: string | undefined, more: Headers = {}): void {
    if (this.#state !== "open") return;
    this.#state = "answered";
    this.#outlet.text(this, status, text, more);
  }

  /**
   * Answers with keys. Disposes the grant in every case.
   * @throws what the grant throws whose first keys cannot be written; nothing was sent then, and another answer may be
   */
  sendKeys(grant: Grant, layout: KeyFormat): void {
    if (this.#state !== "open") {
      grant[Symbol.dispose]();
      return;
    }
    this.#outlet.keys(this, grant, layout);
    this.#state = "answered";
  }

  /** Calls `giveUp` when the client goes away before it is answered. */
  whenGone(giveUp: () => void): void {
    if (this.#state === "open") this.#giveUp = giveUp;
    else if (this.#state === "gone") giveUp();
  }

  /** The client is gone. */
  gone(): void {
    const giveUp = this.#state === "open" ? this.#giveUp : undefined;
    this.#state = "gone";
    this.takeBody()?.release();
    giveUp?.();
  }
}

const NOTHING = new Uint8Array(0);
