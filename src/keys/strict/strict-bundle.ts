// Whole keys of the strict dialect that lie in one sealed block, one behind the other: which there are, which are taken.

import type { BlockId, Range } from "../../vault/vault.ts";
import type { UnprotectedRow } from "../common/rows.ts";

/** One key of a bundle, under its own ID. */
export interface UnprotectedKeyEntry {
  /** ASCII that JSON does not escape, at most 256 characters. */
  readonly id: string;
  /** Bytes. */
  readonly length: number;
}

/** Keys that lie in one sealed block, and which of them are taken. */
export class Bundle {
  /** Of its row. */
  readonly id: string;
  readonly block: BlockId;
  /** By the age clock. */
  readonly bornAt: number;
  readonly keys: readonly UnprotectedKeyEntry[];
  /** One byte per key: set before the key leaves. */
  readonly #taken: Uint8Array;
  readonly #offsets: readonly number[];
  /** Keys taken whose grant has not ended. */
  readonly #inHand = new Set<number>();
  /** Those of them whose mark is not durable yet. */
  readonly #unmarked = new Set<number>();
  #left: number;

  constructor(id: string, { block, bornAt, keys, taken }: Pick<UnprotectedRow, "block" | "bornAt" | "keys" | "taken">) {
    this.id = id;
    this.block = block;
    this.bornAt = bornAt;
    this.keys = entriesOf(keys);
    this.#taken = Uint8Array.from(this.keys, (_, index) => taken[index] ?? 0);
    let end = 0;
    this.#offsets = this.keys.map(({ length }) => {
      end += length;
      return end - length;
    });
    this.#left = this.#taken.filter((flag) => flag === 0).length;
  }

  /** Keys that are not taken. */
  get left(): number {
    return this.#left;
  }

  /** Their bytes. */
  get bytesLeft(): number {
    return this.free(this.left).reduce((sum, index) => sum + this.lengthOf(index), 0);
  }

  get pins(): number {
    return this.#inHand.size;
  }

  /** Keys that have a place here: not taken, or taken and back when their change is rejected. */
  get occupied(): number {
    return this.#left + this.#unmarked.size;
  }

  /** The first keys that are not taken, at most so many. */
  free(most: number): number[] {
    const found: number[] = [];
    for (let index = 0; index < this.keys.length && found.length < most; index++) {
      if (!this.isTaken(index)) found.push(index);
    }
    return found;
  }

  isTaken(index: number): boolean {
    return this.#taken[index] !== 0;
  }

  lengthOf(index: number): number {
    return this.keys[index]?.length ?? 0;
  }

  rangeOf(index: number): Range {
    return { offset: this.#offsets[index] ?? 0, length: this.lengthOf(index) };
  }

  take(index: number): void {
    this.#taken[index] = 1;
    this.#left--;
    this.#inHand.add(index);
    this.#unmarked.add(index);
  }

  /** Frees a key that was taken and has not left. */
  putBack(index: number): void {
    this.#taken[index] = 0;
    this.#left++;
    this.#inHand.delete(index);
    this.#unmarked.delete(index);
  }

  /** The mark of a key that was taken is durable: it comes back no more. */
  mark(index: number): void {
    this.#unmarked.delete(index);
  }

  /** The grant of a key has ended: it stays taken. */
  settle(index: number): void {
    this.#inHand.delete(index);
    this.#unmarked.delete(index);
  }

  /** What is taken and needed no more. */
  used(): Range[] {
    return this.keys.flatMap((_, index) =>
      this.isTaken(index) && !this.#inHand.has(index) ? [this.rangeOf(index)] : [],
    );
  }

  /** For a row. */
  get written(): Pick<UnprotectedRow, "block" | "bornAt" | "keys" | "taken"> {
    return { block: this.block, bornAt: this.bornAt, keys: keysText(this.keys), taken: Uint8Array.from(this.#taken) };
  }
}

/** The `keys` of a new bundle's row. */
export const keysText = (keys: readonly UnprotectedKeyEntry[]): string =>
  JSON.stringify(keys.map(({ id, length }) => [id, length]));

function entriesOf(text: string): readonly UnprotectedKeyEntry[] {
  const list = JSON.parse(text) as readonly (readonly [string, number])[];
  return list.map(([id, length]) => ({ id, length }));
}
