// What ciphers and copies leave behind in the processor.

import { createCipheriv } from "node:crypto";
import { atEndOfTurn } from "../turn.ts";

/** Sixteen blocks: so many are worked on at once at most, in all vector registers that there are. */
const SIXTEEN_BLOCKS = new Uint8Array(1024);
const noise = createCipheriv("chacha20", new Uint8Array(32), new Uint8Array(16));
let isDue = false;

/**
 * Overwrites the processor's vector registers; some 1 µs. Call it as soon as a library has worked with key on this
 * thread: which registers OpenSSL leaves plaintext in depends on the processor, and when V8 gives up optimised code it
 * writes them all to its heap, where they stay.
 */
export function forgetRegisters(): void {
  noise.update(SIXTEEN_BLOCKS);
}

/** The same at the end of this turn of the event loop, once for all that ask: for what happens thousands of times a second. */
export function forgetRegistersSoon(): void {
  if (isDue) return;
  isDue = true;
  atEndOfTurn(forgetDue);
}

function forgetDue(): void {
  isDue = false;
  forgetRegisters();
}
