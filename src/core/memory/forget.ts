// What a TLS library leaves behind of key that it has just handed over: in registers, and on the stack below us.

import { forgetRegisters } from "./registers.ts";

/** Node reads plaintext into 16 KiB on the stack: so many calls, one in the other, lie over them. */
const DEPTH = 600;
let isDue = false;

/** Overwrites both in a later turn of the event loop, once for all that ask, when the stack is as short as it was. */
export function forgetReadSoon(): void {
  if (isDue) return;
  isDue = true;
  setImmediate(() => {
    isDue = false;
    forgetRegisters();
    descend(DEPTH);
  });
}

/** The arguments make its frames longer. */
function descend(depth: number, a = 0, b = 0, c = 0): number {
  return depth === 0 ? a + b + c : descend(depth - 1, a + 1, b + 2, c + 3) + 1;
}
