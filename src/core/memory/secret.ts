// Key bytes as a type: lent to a function, never handed out, zero after dispose.

import { inspect } from "node:util";

/** Key bytes in locked memory. Printing one in any way gives `[secret]`. */
export interface Secret extends Disposable {
  readonly length: number;
  /** Lends the bytes until `use` returns; `use` must not keep them. Throws after dispose. */
  lend<T>(use: (bytes: Uint8Array) => T): T;
}

/** A bounded supply of locked memory, one block each. */
export interface SecretPool {
  /** `undefined` when all are in use: ask again when one of yours is disposed. */
  take(): Secret | undefined;
}

/** Makes a secret of `bytes`, which become all zero at dispose; `released` runs once, after that. */
export function secretOf(bytes: Uint8Array, released: () => void = () => {}): Secret {
  let live: Uint8Array | undefined = bytes;
  return {
    length: bytes.length,
    lend(use) {
      if (live === undefined) throw new Error("a secret was used after it was disposed");
      return use(live);
    },
    [Symbol.dispose]() {
      if (live === undefined) return;
      live.fill(0);
      live = undefined;
      released();
    },
    ...HIDDEN,
  };
}

const HIDDEN = {
  toString: () => "[secret]",
  toJSON: () => "[secret]",
  [inspect.custom]: () => "[secret]",
};
