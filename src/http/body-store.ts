// Where the body of a request is gathered while it arrives.

import { forgetReadSoon } from "../core/memory/forget.ts";
import { BODY_BYTES } from "./body.ts";
import type { Part } from "./parts.ts";

/** The bytes of one body. */
export interface BodyStore {
  /** Adds a copy; what is longer than the store has room for is dropped, and `bytes` with it. */
  add(bytes: Uint8Array): void;
  /** All of them; undefined when there were too many. */
  readonly bytes: Uint8Array | undefined;
  /** Zeroes them where they may be key, and gives their memory back. Further calls do nothing. */
  release(): void;
}

const NOTHING: Uint8Array = new Uint8Array(0);

/** A body without keys, in ordinary memory: `BODY_BYTES` at most. */
export class PlainBody implements BodyStore {
  #memory = NOTHING;
  #length = 0;

  get bytes(): Uint8Array | undefined {
    return this.#length > BODY_BYTES ? undefined : this.#memory.subarray(0, this.#length);
  }

  add(bytes: Uint8Array): void {
    const at = this.#length;
    this.#length += bytes.length;
    if (this.#length > BODY_BYTES) {
      this.#memory = NOTHING;
      return;
    }
    if (this.#length > this.#memory.length) this.#grow();
    this.#memory.set(bytes, at);
  }

  release(): void {
    this.#memory = NOTHING;
    this.#length = 0;
  }

  /** At least twice as long, so that a body in very many pieces is not copied for each of them. */
  #grow(): void {
    const larger = Buffer.alloc(Math.min(BODY_BYTES, Math.max(this.#length, 2 * this.#memory.length)));
    larger.set(this.#memory);
    this.#memory = larger;
  }
}

/** A body with keys, in a part of locked memory. */
export class LockedBody implements BodyStore {
  readonly #part: Part;
  #length = 0;
  #isReleased = false;

  constructor(part: Part) {
    this.#part = part;
  }

  get bytes(): Uint8Array | undefined {
    const { bytes } = this.#part;
    return this.#length > bytes.length ? undefined : bytes.subarray(0, this.#length);
  }

  add(bytes: Uint8Array): void {
    const target = this.#part.bytes;
    if (this.#length + bytes.length <= target.length) target.set(bytes, this.#length);
    else target.fill(0);
    this.#length += bytes.length;
    forgetReadSoon();
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#part.release(Math.min(this.#length, this.#part.bytes.length));
  }
}
