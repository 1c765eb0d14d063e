// One end of a simulated link: a line that stays, and the module behind it, which may freeze or start again.

import type { Write } from "../../src/kq/line.ts";
import type { Module } from "../../src/kq/module/module.ts";
import type { Noise } from "./noise.ts";

/** Where the bytes of one end go; see `Write` for the answer of `write`. */
export class End {
  readonly #write: Write;
  readonly #towardsKm: Noise;
  readonly #towardsModule: Noise;
  #module: Module | undefined;
  /** What waits while the module is frozen. */
  #frozen: { readonly out: Buffer[]; readonly in: Buffer[] } | undefined;
  #drained = true;

  constructor(write: Write, towardsKm: Noise, towardsModule: Noise) {
    this.#write = write;
    this.#towardsKm = towardsKm;
    this.#towardsModule = towardsModule;
  }

  /** Puts a module, just started, on the line; one that was there loses its power. */
  power(module: Module): void {
    this.off();
    this.#module = module;
    module.attach((bytes) => this.#send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)));
  }

  off(): void {
    this.#module?.close();
    this.#module = undefined;
    this.#frozen = undefined;
  }

  get module(): Module | undefined {
    return this.#module;
  }

  /** Bytes from the KM. */
  received(bytes: Buffer): void {
    const hurt = this.#towardsModule(bytes);
    if (this.#frozen) this.#frozen.in.push(Buffer.from(hurt));
    else this.#module?.received(hurt);
  }

  /** The line takes bytes again. */
  drained(): void {
    this.#drained = true;
    if (!this.#frozen) this.#module?.drained();
  }

  freeze(): void {
    this.#frozen ??= { out: [], in: [] };
  }

  thaw(): void {
    const frozen = this.#frozen;
    if (frozen === undefined) return;
    this.#frozen = undefined;
    for (const bytes of frozen.out) this.#send(bytes);
    for (const bytes of frozen.in) this.#module?.received(bytes);
    if (this.#drained) this.#module?.drained();
  }

  #send(bytes: Buffer): boolean {
    if (this.#frozen) {
      this.#frozen.out.push(bytes);
      return false;
    }
    this.#drained = this.#write(this.#towardsKm(bytes));
    return this.#drained;
  }
}
