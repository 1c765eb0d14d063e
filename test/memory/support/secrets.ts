// What is looked for: secrets in every spelling in which a program may have kept them.

import { Needles } from "./needles.ts";

export class Secrets {
  readonly needles = new Needles();
  readonly #names: string[] = [];

  get count(): number {
    return this.#names.length;
  }

  name(secret: number): string {
    return this.#names[secret] ?? "";
  }

  /** Bytes that lie in a secret added before count as that one's. Any 39 bytes in a row are found. */
  addBlock(name: string, block: Uint8Array): void {
    this.needles.add({ secret: this.#names.push(name) - 1, spelling: "raw", bytes: block, least: 8, step: 32 });
  }

  /**
   * Raw, in base64 as answers have it, and in hex; the texts also with two bytes a letter, as strings may have them.
   * Any 15 bytes in a row are found, and any 31 letters.
   */
  addKey(name: string, key: Buffer): void {
    const secret = this.#names.push(name) - 1;
    const hex = key.toString("hex");
    this.needles.add({ secret, spelling: "raw", bytes: key, least: 8, step: 8 });
    for (const [spelling, text] of [
      ["base64", key.toString("base64")],
      ["base64", key.toString("base64url")],
      ["hex", hex],
      ["hex", hex.toUpperCase()],
    ] as const) {
      const wide = Buffer.from(text, "utf16le");
      this.needles.add({ secret, spelling, bytes: Buffer.from(text, "latin1"), least: 16, step: 16 });
      this.needles.add({ secret, spelling: `wide ${spelling}`, bytes: wide, least: 32, step: 32 });
    }
  }

  /** The base64 of each 8 bytes of a block from `first` on: keys of 64 bits that nobody has read. */
  addShortKeys(name: string, block: Buffer, first: number): void {
    const secret = this.#names.push(name) - 1;
    for (let at = first; at + 8 <= block.length; at += 8) {
      const text = block.toString("base64", at, at + 8).slice(0, SHORT_LETTERS);
      this.needles.add({
        secret,
        spelling: "base64",
        bytes: Buffer.from(text, "latin1"),
        least: SHORT_LETTERS,
        step: WHOLE,
      });
    }
  }
}

/** Of 8 bytes, before the `=`. */
const SHORT_LETTERS = 11;
const WHOLE = 64;
