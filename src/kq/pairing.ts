// The pairing key: what it proves in a hello, and the keys of a connection that follow from it.

import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import { Fault } from "../core/fault.ts";
import { type Secret, secretOf } from "../core/memory/secret.ts";
import { readDigits } from "../core/text/hex.ts";
import { Writer } from "./codec.ts";
import { MAX_FRAME_BYTES, NONCE_BYTES, TAG_BYTES } from "./limits.ts";
import { encode, type Hello } from "./messages.ts";

const KEY_BYTES = 32;
/** The proof of a hello without a pairing key. */
export const NO_PROOF = new Uint8Array(TAG_BYTES);
/** The nonce of an end that is not known yet. */
export const NO_NONCE = new Uint8Array(NONCE_BYTES);

/** The random bytes of both ends: they name a connection. */
export interface Nonces {
  readonly host: Uint8Array;
  readonly module: Uint8Array;
}

/** What a derived key is for; each has its own. */
export type Purpose = "host hello" | "module hello" | "host to module" | "module to host";

/**
 * A pairing key file's content: 32 bytes as they are, or 64 hexadecimal digits and perhaps a line end. Zeroes `file`.
 * @throws Fault MALFORMED_REQUEST
 */
export function parsePairingKey(file: Uint8Array): Secret {
  const key = Buffer.alloc(KEY_BYTES);
  const good = file.length === KEY_BYTES ? key.set(file) === undefined : readHex(file, key);
  file.fill(0);
  if (good) return secretOf(key);
  throw new Fault("MALFORMED_REQUEST", { text: "a pairing key file has 32 bytes, or 64 hexadecimal digits" });
}

/** Digits, and perhaps a line end. */
function readHex(file: Uint8Array, key: Uint8Array): boolean {
  const tail = file.subarray(2 * KEY_BYTES);
  if (tail.length > 2 || !tail.every((byte) => byte === 10 || byte === 13)) return false;
  return readDigits(file, key);
}

/** HKDF-SHA-256 over both ends' random bytes: 32 bytes for one purpose of one connection. */
export function derive(pairing: Secret, nonces: Nonces, purpose: Purpose): Secret {
  const salt = Buffer.concat([nonces.host, nonces.module]);
  return secretOf(
    new Uint8Array(pairing.lend((key) => hkdfSync("sha256", key, salt, `qkm kq 1 ${purpose}`, KEY_BYTES))),
  );
}

/** HMAC-SHA-256, cut to 16 bytes, over the hello's other fields. */
export function proofOf(pairing: Secret, hello: Hello): Uint8Array {
  const body = new Writer(Buffer.alloc(MAX_FRAME_BYTES));
  encode("hello", { ...hello, proof: NO_PROOF }, body);
  const host = hello.side === 0;
  const nonces = host ? { host: hello.own, module: hello.echo } : { host: hello.echo, module: hello.own };
  using key = derive(pairing, nonces, host ? "host hello" : "module hello");
  const mac = key.lend((secret) => createHmac("sha256", secret).update(body.bytes.subarray(0, body.length)).digest());
  return mac.subarray(0, TAG_BYTES);
}

/** Whether a hello proves that its sender has the pairing key, compared in constant time. */
export const proves = (pairing: Secret, hello: Hello): boolean => timingSafeEqual(hello.proof, proofOf(pairing, hello));
