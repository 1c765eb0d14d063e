// What a token can do and how fast it is, found out when it is opened.

import { performance } from "node:perf_hooks";
import type { Handle, PKCS11 } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { Fault } from "../../src/core/fault.ts";
import { seal, TAG_BYTES } from "./gcm.ts";

const BLOCK_BYTES = 32_768;
const RUNS = 5;
/** A busy machine makes a quick token look slow: it gets this long to show one quick seal. */
const PATIENCE_MS = 250;

/** For KEKs, and for the key of the audit log. */
const MECHANISMS = {
  CKM_AES_KEY_GEN: pkcs11js.CKM_AES_KEY_GEN,
  CKM_AES_GCM: pkcs11js.CKM_AES_GCM,
  CKM_GENERIC_SECRET_KEY_GEN: pkcs11js.CKM_GENERIC_SECRET_KEY_GEN,
  CKM_SHA256_HMAC: pkcs11js.CKM_SHA256_HMAC,
} as const;

/** @throws Fault HSM_UNAVAILABLE naming the mechanisms that qkm needs and the token lacks */
export function checkMechanisms(pkcs11: PKCS11, slot: Handle): void {
  const has = new Set(pkcs11.C_GetMechanismList(slot));
  const missing = Object.entries(MECHANISMS)
    .filter(([, mechanism]) => !has.has(mechanism))
    .map(([name]) => name);
  if (missing.length === 0) return;
  throw new Fault("HSM_UNAVAILABLE", { text: `the token lacks ${missing.join(" and ")}; choose another token` });
}

/**
 * Milliseconds that sealing 32 KiB takes, the best of a few, with a key that exists for this only.
 * The event loop is held only after a call beside it has shown the token to be quick.
 */
export async function measureSeal(pkcs11: PKCS11, session: Handle, longestMs: number): Promise<number> {
  const key = pkcs11.C_GenerateKey(session, { mechanism: pkcs11js.CKM_AES_KEY_GEN }, [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
    { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_AES },
    { type: pkcs11js.CKA_VALUE_LEN, value: 32 },
    { type: pkcs11js.CKA_TOKEN, value: false },
    { type: pkcs11js.CKA_SENSITIVE, value: true },
    { type: pkcs11js.CKA_EXTRACTABLE, value: false },
    { type: pkcs11js.CKA_ENCRYPT, value: true },
  ]);
  const job = {
    iv: new Uint8Array(12),
    aad: new TextEncoder().encode("qkm measures"),
    plain: new Uint8Array(BLOCK_BYTES),
    sealed: new Uint8Array(BLOCK_BYTES + TAG_BYTES),
  };
  const bench = { pkcs11, session, key };
  let best = Infinity;
  const until = performance.now() + PATIENCE_MS;
  for (let runs = 0; runs < RUNS || (best >= longestMs && performance.now() < until); runs += 1) {
    const began = performance.now();
    await seal({ ...bench, synchronous: best < longestMs }, job);
    best = Math.min(best, performance.now() - began);
  }
  pkcs11.C_DestroyObject(session, key);
  return best;
}
