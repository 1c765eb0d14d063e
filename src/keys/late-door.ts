// The door of a KM whose token has not been there yet: it refuses until the books are read.

import { Fault } from "../core/fault.ts";
import type { Answer, FetchRequest, KeyDoor, KeySizes, SupplyRequest, SupplyStatus } from "./ports.ts";
import { keySizes } from "./sizes.ts";

/** Stands before a KeyDoor that comes later. */
export class LateDoor implements KeyDoor {
  readonly sizes: KeySizes;
  #door: KeyDoor | undefined;

  /** Bytes of the largest block; bits of a key when no size is asked. */
  constructor(defaultKeyBits: number, blockBytes: number) {
    this.sizes = keySizes(defaultKeyBits, blockBytes);
  }

  /** From now on `door` answers. */
  open(door: KeyDoor): void {
    this.#door = door;
  }

  supply(request: SupplyRequest, answer: Answer): () => void {
    if (this.#door !== undefined) return this.#door.supply(request, answer);
    return refuse(answer);
  }

  fetch(request: FetchRequest, answer: Answer): () => void {
    if (this.#door !== undefined) return this.#door.fetch(request, answer);
    return refuse(answer);
  }

  status(...apps: Parameters<KeyDoor["status"]>): SupplyStatus {
    if (this.#door === undefined) throw unavailable();
    return this.#door.status(...apps);
  }
}

const unavailable = (): Fault => new Fault("HSM_UNAVAILABLE", { retryAfterMs: 1000 });

function refuse(answer: Answer): () => void {
  answer.refused(unavailable());
  return () => {};
}
