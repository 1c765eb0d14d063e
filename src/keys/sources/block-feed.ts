// Blocks that two KMs have agreed on, handed to the intake one after the other.

import { Fault } from "../../core/fault.ts";
import type { Secret } from "../../core/memory/secret.ts";
import type { BlockPosition } from "../common/block-position.ts";
import type { FedBlock } from "../links/intake.ts";

interface Waiting extends FedBlock {
  refuse(fault: Fault): void;
}

/** What the intake iterates; `put` waits until a block is durable. */
export class BlockQueue implements Disposable {
  readonly #waiting: Waiting[] = [];
  /** Those that the intake has and has not acknowledged. */
  readonly #taken = new Set<Waiting>();
  #wake: () => void = () => {};
  #isClosed = false;

  /** Resolves when the block is sealed and durable; the key is disposed in any case. @throws Fault STOPPING */
  put({ run, sequence }: BlockPosition, key: Secret): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const block: Waiting = {
      ...{ run, sequence, key },
      acknowledge: () => {
        this.#taken.delete(block);
        resolve();
      },
      refuse: (fault) => {
        key[Symbol.dispose]();
        reject(fault);
      },
    };
    if (this.#isClosed) block.refuse(new Fault("STOPPING"));
    else this.#waiting.push(block);
    this.#wake();
    return promise;
  }

  /** Ends at dispose. */
  async *blocks(): AsyncGenerator<FedBlock> {
    while (!this.#isClosed) {
      const block = this.#waiting.shift();
      if (block === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      this.#taken.add(block);
      yield block;
    }
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#wake();
    for (const block of this.#waiting.splice(0)) block.refuse(new Fault("STOPPING"));
    // The intake has these and disposes their keys.
    for (const { refuse } of this.#taken) refuse(new Fault("STOPPING"));
    this.#taken.clear();
  }
}
