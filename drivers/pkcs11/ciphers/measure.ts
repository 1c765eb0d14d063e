// What a token can do and how fast it is, found out when it is opened.

import { performance } from "node:perf_hooks";
import type { Handle, PKCS11 } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { Fault } from "../../../src/core/fault.ts";
import { means } from "../attributes.ts";
import type { Scheme } from "../kek.ts";
import { readAttributes } from "../objects.ts";
import { type Bench, seal, TAG_BYTES } from "./gcm.ts";

const BLOCK_BYTES = 32_768;
const RUNS = 5;
/** A busy machine makes a quick token look slow: it gets this long to show one quick seal. */
const PATIENCE_MS = 250;

/** For KEKs, for the key of the audit log, and for the MACs of tokens without AES-GCM. */
const MECHANISMS = {
  CKM_AES_KEY_GEN: pkcs11js.CKM_AES_KEY_GEN,
  CKM_GENERIC_SECRET_KEY_GEN: pkcs11js.CKM_GENERIC_SECRET_KEY_GEN,
  CKM_SHA256_HMAC: pkcs11js.CKM_SHA256_HMAC,
} as const;

/** How the token seals. @throws Fault TOKEN_UNSUITABLE naming the mechanisms that qkm needs and the token lacks */
export function schemeOf(pkcs11: PKCS11, slot: Handle): Scheme {
  const has = new Set(pkcs11.C_GetMechanismList(slot));
  const missing = Object.entries(MECHANISMS)
    .filter(([, mechanism]) => !has.has(mechanism))
    .map(([name]) => name);
  const sealing = has.has(pkcs11js.CKM_AES_GCM) ? "gcm" : has.has(pkcs11js.CKM_AES_CBC) ? "cbc-mac" : undefined;
  if (sealing === undefined) missing.push("CKM_AES_GCM (or CKM_AES_CBC)");
  if (sealing !== undefined && missing.length === 0) return sealing;
  throw new Fault("TOKEN_UNSUITABLE", { text: `the token lacks ${missing.join(" and ")}; choose another token` });
}

/** What a token shows with a key that exists for this only. */
export interface Measured {
  /** Milliseconds that sealing 32 KiB takes, the best of a few; Infinity without AES-GCM. */
  readonly sealMs: number;
  /** Whether it says of a key which it has just made that it has (CKA_LOCAL). */
  readonly tellsLocal: boolean;
}

/**
 * One call after the other on this thread, so that nothing is measured but the token: on a busy machine a call comes
 * undisturbed between two others soon, while a thread's answer may always have to wait.
 */
export async function measure(
  { pkcs11, session }: Pick<Bench, "pkcs11" | "session">,
  scheme: Scheme,
  longestMs: number,
): Promise<Measured> {
  const key = pkcs11.C_GenerateKey(session, { mechanism: pkcs11js.CKM_AES_KEY_GEN }, [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
    { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_AES },
    { type: pkcs11js.CKA_VALUE_LEN, value: 32 },
    { type: pkcs11js.CKA_TOKEN, value: false },
    { type: pkcs11js.CKA_SENSITIVE, value: true },
    { type: pkcs11js.CKA_EXTRACTABLE, value: false },
    { type: pkcs11js.CKA_ENCRYPT, value: true },
  ]);
  const [local] = readAttributes(pkcs11, session, key, [pkcs11js.CKA_LOCAL]);
  const sealMs =
    scheme === "gcm" ? await measureSeal({ pkcs11, session, key, synchronous: true }, longestMs) : Infinity;
  pkcs11.C_DestroyObject(session, key);
  return { sealMs, tellsLocal: means(local, true) };
}

async function measureSeal(bench: Bench, longestMs: number): Promise<number> {
  const job = {
    iv: new Uint8Array(12),
    aad: new TextEncoder().encode("qkm measures"),
    plain: new Uint8Array(BLOCK_BYTES),
    sealed: new Uint8Array(BLOCK_BYTES + TAG_BYTES),
  };
  let best = Infinity;
  const until = performance.now() + PATIENCE_MS;
  for (let runs = 0; runs < RUNS || (best >= longestMs && performance.now() < until); runs += 1) {
    const began = performance.now();
    await seal(bench, job);
    best = Math.min(best, performance.now() - began);
  }
  return best;
}
