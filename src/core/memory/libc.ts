// Functions of the C library that Node itself has loaded, for what Node has no call of its own (flock, memfd_create, mlock).

import type * as FFI from "node:ffi";

type Signatures = Parameters<typeof FFI.dlopen>[1];

/** Typed functions, and the module for pointers to memory. */
export interface Libc<F extends NonNullable<Signatures>> {
  readonly functions: FFI.DynamicLibraryResult<F>["functions"];
  readonly ffi: typeof FFI;
}

/** Loads them by their signatures. `errno` is not to be had: -1 says only that it failed. @throws Error when one is missing */
export function loadLibc<const F extends NonNullable<Signatures>>(signatures: F): Libc<F> {
  const ffi = quietly(() => process.getBuiltinModule("node:ffi"));
  return { ffi, functions: ffi.dlopen(null, signatures).functions };
}

/** Node is pinned, so that the module cannot change under us: its warning that it may would be in every log. */
function quietly<T>(load: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}
