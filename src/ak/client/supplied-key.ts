// Keys as an application gets them: their bytes as secrets, out of the letters of a frame.

import { type Secret, secretOf } from "../../core/memory/secret.ts";
import { decodeBase64 } from "../../wire/base64.ts";
import type { KeyEntry } from "../../wire/types.ts";

/** A key and its ID. Disposing it zeroes the key; its memory is the application's own, not locked. */
export interface SuppliedKey extends Disposable {
  readonly keyId: string;
  readonly key: Secret;
}

/**
 * The keys of a message: its entries, and for each the letters of its key.
 * @throws Fault MALFORMED_REQUEST when one is not base64; none is left then
 */
export function suppliedKeys(entries: readonly KeyEntry[], letters: readonly Uint8Array[]): readonly SuppliedKey[] {
  // By hand: Node 20 and 22 have no DisposableStack.
  const keys: SuppliedKey[] = [];
  try {
    for (const [index, { key_ID }] of entries.entries()) {
      keys.push(suppliedKey(key_ID, letters[index] ?? new Uint8Array(0)));
    }
    return keys;
  } catch (thrown) {
    for (const key of keys) key[Symbol.dispose]();
    throw thrown;
  }
}

function suppliedKey(keyId: string, letters: Uint8Array): SuppliedKey {
  const bytes = new Uint8Array(Math.ceil(letters.length / 4) * 3);
  const key = secretOf(bytes.subarray(0, decodeBase64(letters, bytes)));
  return { keyId, key, [Symbol.dispose]: () => key[Symbol.dispose]() };
}
