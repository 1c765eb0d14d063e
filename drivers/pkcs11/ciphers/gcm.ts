// AES-256-GCM in the token: one call, in place, with everything checked before the token sees it.

import type { Handle, Mechanism, PKCS11 } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { forgetRegisters } from "../../../src/core/memory/registers.ts";
import type { Kek } from "../../../src/device/token.ts";
import { SealBroken } from "../../../src/device/token.ts";

/** Bytes of an AES-GCM tag. */
export const TAG_BYTES = 16;
const IV_BYTES = 12;
/** Longer jobs are never done on the event loop. */
const LONGEST_DIRECT = 65_536;

/** What `Kek.seal` is given. */
export type SealJob = Parameters<Kek["seal"]>[0];
/** What `Kek.open` is given. */
export type OpenJob = Parameters<Kek["open"]>[0];

/** Where a job runs: with which key, on whose session, on the event loop or beside it. */
export interface Bench {
  readonly pkcs11: PKCS11;
  readonly session: Handle;
  readonly key: Handle;
  readonly synchronous: boolean;
}

/** @throws RangeError: a token answers some of these with an abort, or with a session that stays busy */
export function checkSeal({ iv, aad, plain, sealed }: SealJob): void {
  checkParameters(iv, aad);
  if (plain.length === 0) throw new RangeError("plain must have at least one byte");
  if (sealed.length !== plain.length + TAG_BYTES) throw new RangeError("sealed must have plain.length + 16 bytes");
}

/** @throws RangeError, or SealBroken when `sealed` is too short to be anything */
export function checkOpen({ iv, aad, sealed, plain }: OpenJob): void {
  checkParameters(iv, aad);
  if (plain.length < sealed.length) throw new RangeError("plain must have room for sealed.length bytes");
  if (sealed.length <= TAG_BYTES) throw new SealBroken("the record is too short");
}

function checkParameters(iv: Uint8Array, aad: Uint8Array): void {
  if (iv.length !== IV_BYTES) throw new RangeError("iv must have 12 bytes");
  if (aad.length === 0) throw new RangeError("aad must have at least one byte");
}

/** @throws what the module refuses with */
export async function seal(bench: Bench, job: SealJob): Promise<void> {
  const { pkcs11, session } = bench;
  const from = view(job.plain);
  const to = view(job.sealed);
  pkcs11.C_EncryptInit(session, mechanism(job), bench.key);
  const written = onLoop(bench, from)
    ? pkcs11.C_Encrypt(session, from, to)
    : await pkcs11.C_EncryptAsync(session, from, to);
  forgetRegisters();
  // `from` is named again because pkcs11js keeps no hold on it while the other thread reads it.
  if (written.length !== from.length + TAG_BYTES) throw new Error(`the token sealed to ${written.length} bytes`);
}

/** @throws SealBroken (with its cause) whenever C_Decrypt refuses; what the module refuses with before that */
export async function open(bench: Bench, job: OpenJob): Promise<void> {
  const { pkcs11, session } = bench;
  const from = view(job.sealed);
  const to = view(job.plain).subarray(0, from.length);
  pkcs11.C_DecryptInit(session, mechanism(job), bench.key);
  try {
    const written = onLoop(bench, from)
      ? pkcs11.C_Decrypt(session, from, to)
      : await pkcs11.C_DecryptAsync(session, from, to);
    if (written.length !== from.length - TAG_BYTES) throw new Error(`the token opened to ${written.length} bytes`);
    to.fill(0, written.length);
  } catch (cause) {
    to.fill(0);
    throw new SealBroken("the record is not what was sealed", { cause });
  } finally {
    forgetRegisters();
  }
}

const onLoop = ({ synchronous }: Bench, { length }: Buffer) => synchronous && length <= LONGEST_DIRECT;

// The parameters of type 3 leave ulIvBits unset; those of version 2.40 have it.
function mechanism({ iv, aad }: { iv: Uint8Array; aad: Uint8Array }): Mechanism {
  const parameter = {
    type: pkcs11js.CK_PARAMS_AES_GCM_v240,
    iv: view(iv),
    ivBits: iv.length * 8,
    aad: view(aad),
    tagBits: TAG_BYTES * 8,
  };
  return { mechanism: pkcs11js.CKM_AES_GCM, parameter };
}

/** The same memory as a Buffer: pkcs11js hands its address to the module. */
export const view = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
