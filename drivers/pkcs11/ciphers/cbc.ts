// Sealing in tokens without AES-GCM: AES-CBC, then HMAC-SHA-256 over all of it, with a key of its own.
//
//     IV (12 bytes, random) ‖ 0000 = CBC's IV       ciphertext = CBC(KEK, plain)
//     tag = first 16 bytes of HMAC(MAC key, "qkm-cbc-1" ‖ length of the AAD ‖ AAD ‖ IV ‖ ciphertext)
//
// The record has the form of a GCM record. No padding, so plaintext is whole blocks of 16 bytes: data keys are.

import { timingSafeEqual } from "node:crypto";
import type { Handle, Mechanism } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { forgetRegisters } from "../../../src/core/memory/registers.ts";
import { SealBroken } from "../../../src/device/token.ts";
import { type Bench, type OpenJob, type SealJob, TAG_BYTES, view } from "./gcm.ts";
import { sign } from "./mac.ts";

const BLOCK_BYTES = 16;
const CONTEXT = Buffer.from("qkm-cbc-1");

/** A KEK for CBC, and the key of its MAC. */
export interface CbcBench extends Bench {
  readonly mac: Handle;
}

/** @throws RangeError when `plain` is not whole blocks; what the module refuses with */
export async function sealCbc(bench: CbcBench, job: SealJob): Promise<void> {
  const { plain, sealed, iv, aad } = job;
  checkWhole(plain.length);
  const { pkcs11, session, key, synchronous } = bench;
  const [from, to] = [view(plain), view(sealed).subarray(0, plain.length)];
  pkcs11.C_EncryptInit(session, mechanism(iv), key);
  const written = synchronous ? pkcs11.C_Encrypt(session, from, to) : await pkcs11.C_EncryptAsync(session, from, to);
  forgetRegisters();
  if (written.length !== from.length) throw new Error(`the token encrypted to ${written.length} bytes`);
  sealed.set(await tagOf(bench, { iv, aad, ciphertext: to }), plain.length);
}

/** The tag first: what does not carry the right one is never decrypted. @throws SealBroken; what the module refuses with */
export async function openCbc(bench: CbcBench, job: OpenJob): Promise<void> {
  const { plain, sealed, iv, aad } = job;
  const length = sealed.length - TAG_BYTES;
  const ciphertext = sealed.subarray(0, length);
  const tag = await tagOf(bench, { iv, aad, ciphertext });
  if (length % BLOCK_BYTES !== 0 || !timingSafeEqual(tag, sealed.subarray(length))) {
    throw new SealBroken("the record is not what was sealed");
  }
  const { pkcs11, session, key, synchronous } = bench;
  const [from, to] = [view(ciphertext), view(plain).subarray(0, sealed.length)];
  try {
    pkcs11.C_DecryptInit(session, mechanism(iv), key);
    const written = synchronous ? pkcs11.C_Decrypt(session, from, to) : await pkcs11.C_DecryptAsync(session, from, to);
    if (written.length !== length) throw new Error(`the token decrypted to ${written.length} bytes`);
    to.fill(0, length);
  } catch (thrown) {
    to.fill(0);
    throw thrown;
  } finally {
    forgetRegisters();
  }
}

/** @throws RangeError */
function checkWhole(bytes: number): void {
  if (bytes % BLOCK_BYTES === 0) return;
  throw new RangeError(`a token without AES-GCM seals whole blocks of ${BLOCK_BYTES} bytes, not ${bytes} bytes`);
}

function mechanism(iv: Uint8Array): Mechanism {
  const parameter = Buffer.alloc(BLOCK_BYTES);
  parameter.set(iv);
  return { mechanism: pkcs11js.CKM_AES_CBC, parameter };
}

interface Tagged {
  readonly iv: Uint8Array;
  readonly aad: Uint8Array;
  readonly ciphertext: Uint8Array;
}

async function tagOf({ mac, ...bench }: CbcBench, { iv, aad, ciphertext }: Tagged): Promise<Uint8Array> {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(aad.length);
  const message = Buffer.concat([CONTEXT, length, aad, iv, ciphertext]);
  return (await sign({ ...bench, key: mac }, message)).subarray(0, TAG_BYTES);
}
