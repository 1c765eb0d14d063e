// One end of a pair of modules: blocks wait here until they are acknowledged, as a module holds them.

import { secretOf } from "../../../src/core/memory/secret.ts";
import type { FedBlock } from "../../../src/keys/links/intake.ts";

/** A block as a module made it. */
export interface MadeBlock {
  readonly run: number;
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

export class ModuleEnd {
  readonly held: MadeBlock[] = [];
  readonly #capacity: number;
  #wake: () => void = () => {};
  #reader = 0;

  /** The oldest block is lost beyond so many. */
  constructor(capacity = Number.POSITIVE_INFINITY) {
    this.#capacity = capacity;
  }

  push(block: MadeBlock): void {
    this.held.push(block);
    if (this.held.length > this.#capacity) this.held.shift();
    this.#wake();
  }

  /** From the oldest block that was not acknowledged; a new reader ends the one before. */
  async *read(): AsyncGenerator<FedBlock> {
    const reader = ++this.#reader;
    const given = new Set<MadeBlock>();
    this.#wake();
    while (reader === this.#reader) {
      const block = this.held.find((candidate) => !given.has(candidate));
      if (block === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      given.add(block);
      yield this.#fed(block);
    }
  }

  #fed(block: MadeBlock): FedBlock {
    const { run, sequence, bytes } = block;
    const acknowledge = (): void => {
      const index = this.held.indexOf(block);
      if (index >= 0) this.held.splice(index, 1);
    };
    return { run, sequence, key: secretOf(new Uint8Array(bytes)), acknowledge };
  }

  /** Ends the reader. */
  end(): void {
    this.#reader++;
    this.#wake();
  }
}
