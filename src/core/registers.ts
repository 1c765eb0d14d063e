// What a cipher leaves behind in the processor.

import { createCipheriv } from "node:crypto";

/** Sixteen blocks: so many are worked on at once at most, in all vector registers that there are. */
const SIXTEEN_BLOCKS = new Uint8Array(1024);
const noise = createCipheriv("chacha20", new Uint8Array(32), new Uint8Array(16));

/**
 * Overwrites the processor's vector registers; some 1 µs. Call it as soon as a library has decrypted key on this
 * thread: OpenSSL's AES-GCM for AVX-512 leaves the last 16 bytes in a register, and when V8 gives up optimised code it
 * writes all registers to its heap, where they stay.
 */
export function forgetRegisters(): void {
  noise.update(SIXTEEN_BLOCKS);
}
