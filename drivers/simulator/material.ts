// The key that simulated modules make, and a generator that repeats itself for a seed.

import { createCipheriv, createHash, randomBytes } from "node:crypto";
import type { Random } from "../../src/core/ports.ts";

/** Makes the key of one block. */
export type MakeKey = (run: number, sequence: number, bytes: number) => Buffer;

/** Key from the system's generator. */
export const randomKey: MakeKey = (_run, _sequence, bytes) => randomBytes(bytes);

/** The same key for the same seed, run and sequence, so that a test knows it. */
export function seededKey(seed: string): MakeKey {
  const key = createHash("sha256").update(seed).digest();
  return (run, sequence, bytes) => {
    const start = Buffer.alloc(16);
    start.writeUIntBE(run, 0, 6);
    start.writeUIntBE(sequence, 6, 6);
    return createCipheriv("aes-256-ctr", key, start).update(Buffer.alloc(bytes));
  };
}

/** Random numbers that are the same for the same seed. */
export function seededRandom(seed: string): Random {
  let count = 0;
  const draw = (bytes: number): Buffer => {
    const parts: Buffer[] = [];
    for (let length = 0; length < bytes; length += 32) {
      parts.push(createHash("sha256").update(`${seed} ${count++}`).digest());
    }
    return Buffer.concat(parts).subarray(0, bytes);
  };
  return { fraction: () => draw(6).readUIntBE(0, 6) / 2 ** 48, hex: (bytes) => draw(bytes).toString("hex") };
}
