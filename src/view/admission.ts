// Who may look: a one-time token in a link, exchanged for a cookie of this browser.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** 128 bits. */
const TOKEN_BYTES = 16;
/** Browsers that may look at a time; the oldest goes first. */
const MOST_BROWSERS = 16;
/** A cookie that was not used for so long is no longer good. */
const IDLE_MS = 12 * 3_600_000;

const newToken = (): string => randomBytes(TOKEN_BYTES).toString("base64url");
const hashOf = (secret: string): string => createHash("sha256").update(secret).digest("base64url");

/** Keeps hashes only: what is in memory opens nothing. */
export class Admission {
  readonly #now: () => number;
  #token = newToken();
  /** Hash of the cookie's value, and when it was used last; in the order of use. */
  readonly #browsers = new Map<string, number>();

  /** `now` in milliseconds, of any origin. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Good for one browser; another one follows when it was used. */
  get token(): string {
    return this.#token;
  }

  /** The value of a new browser's cookie; undefined when the token is not the one, or was used. */
  redeem(token: string): string | undefined {
    const [given, own] = [token, this.#token].map((text) => createHash("sha256").update(text).digest());
    if (given === undefined || own === undefined || !timingSafeEqual(given, own)) return undefined;
    this.#token = newToken();
    const cookie = newToken();
    this.#browsers.set(hashOf(cookie), this.#now());
    for (const [oldest] of this.#browsers) if (this.#browsers.size > MOST_BROWSERS) this.#browsers.delete(oldest);
    return cookie;
  }

  /** Whether the cookie is one that was given out, and used within the last twelve hours. */
  admits(cookie: string): boolean {
    const hash = hashOf(cookie);
    const used = this.#browsers.get(hash);
    if (used === undefined) return false;
    this.#browsers.delete(hash);
    if (this.#now() - used > IDLE_MS) return false;
    this.#browsers.set(hash, this.#now());
    return true;
  }
}
