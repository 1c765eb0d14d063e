// Memory that is never swapped or dumped, and that is zeroed as a whole.

import { sodium_free, sodium_malloc, sodium_mlock } from "sodium-native";
import { Fault } from "../../core/fault.ts";
import type { Log } from "../../core/ports.ts";

/** Whether memory that cannot be locked may be used. */
export interface LockedMemoryOptions {
  /** On a development board: a region that cannot be locked is used all the same, with a warning. */
  readonly allowUnlocked: boolean;
  readonly log: Log;
}

/** All regions that one vault and its supply ring use. After dispose every view of them has length 0. */
export class LockedMemory implements Disposable {
  readonly #regions: Buffer[] = [];
  readonly #options: LockedMemoryOptions;

  constructor(options: LockedMemoryOptions) {
    this.#options = options;
  }

  /** Zeroed bytes between guard pages. @throws Fault MEMORY_NOT_LOCKED */
  region(bytes: number): Uint8Array {
    const region = sodium_malloc(bytes);
    if (region.length !== bytes) throw new Fault("MEMORY_NOT_LOCKED", { text: `no memory for ${bytes} bytes` });
    try {
      sodium_mlock(region);
    } catch (cause) {
      this.#notLocked(region, cause);
    }
    region.fill(0);
    this.#regions.push(region);
    return region;
  }

  zero(): void {
    for (const region of this.#regions) region.fill(0);
  }

  [Symbol.dispose](): void {
    for (const region of this.#regions.splice(0)) sodium_free(region.fill(0));
  }

  #notLocked(region: Buffer, cause: unknown): void {
    const { allowUnlocked, log } = this.#options;
    const bytes = region.length;
    if (allowUnlocked) {
      log.warn(
        { event: "memory_not_locked", bytes },
        "memory for keys is not locked: it may be written to swap (allowed by the configuration)",
      );
      return;
    }
    sodium_free(region);
    const text = `${bytes} bytes cannot be locked: raise the limit (ulimit -l, LimitMEMLOCK=) to at least slab and ring`;
    throw new Fault("MEMORY_NOT_LOCKED", { text, cause });
  }
}
