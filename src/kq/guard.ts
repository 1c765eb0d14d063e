// What tells a good frame of this connection from any other: the CRC, and with a pairing key AES-256-GCM.

import { createCipheriv } from "node:crypto";
import { crc32 } from "node:zlib";
import { openGcm } from "../core/memory/gcm.ts";
import type { Secret } from "../core/memory/secret.ts";
import { Writer } from "./codec.ts";
import { CHECK_BYTES, HEADER_BYTES, MAX_FRAME_BYTES, TAG_BYTES } from "./limits.ts";
import { KQ, type KqName, nameOf } from "./messages.ts";
import { derive, type Nonces } from "./pairing.ts";

/** One good frame. Its body is lent until the handler returns. */
export interface Frame {
  readonly name: KqName;
  readonly number: number;
  readonly body: Buffer;
}

/** Makes and checks the frames of one end of one connection. Zeroes what it held at dispose. */
export interface Guard extends Disposable {
  /** The frame with the body that `put` writes; a view, lent until the next call. The same input gives the same bytes. */
  seal(name: KqName, number: number, put: (to: Writer) => void): Buffer;
  /** `undefined` when the frame is damaged, or of another connection. */
  open<T>(frame: Buffer, use: (frame: Frame) => T): T | undefined;
}

/** Frames of no connection yet: hellos. */
export const helloGuard = (): Guard => new PlainGuard(0);

/** Frames of a connection without a pairing key: the CRC goes on from that of both ends' random bytes. */
export const plainGuard = (nonces: Nonces): Guard => new PlainGuard(seedOf(nonces));

const seedOf = (nonces: Nonces): number => crc32(nonces.module, crc32(nonces.host));

class PlainGuard implements Guard {
  readonly #frame = new Writer(Buffer.alloc(MAX_FRAME_BYTES));
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  seal(name: KqName, number: number, put: (to: Writer) => void): Buffer {
    head(this.#frame, name, number);
    put(this.#frame);
    return checked(this.#frame, this.#seed);
  }

  open<T>(frame: Buffer, use: (frame: Frame) => T): T | undefined {
    const name = nameOf(frame[0] ?? 0);
    if (name === undefined || !isWhole(frame, this.#seed)) return undefined;
    return use({ name, number: frame.readUInt32BE(1), body: frame.subarray(HEADER_BYTES, -CHECK_BYTES) });
  }

  [Symbol.dispose](): void {
    this.#frame.bytes.fill(0);
  }
}

/** AES-256-GCM; one key per direction, the header is authenticated, the number is the nonce. */
export class SealedGuard implements Guard {
  readonly #frame = new Writer(Buffer.alloc(MAX_FRAME_BYTES));
  readonly #body = new Writer(Buffer.alloc(MAX_FRAME_BYTES));
  /** The body that is lent. */
  readonly #opened = Buffer.alloc(MAX_FRAME_BYTES);
  readonly #seed: number;
  readonly #ours: Secret;
  readonly #theirs: Secret;

  constructor(end: "host" | "module", pairing: Secret, nonces: Nonces) {
    this.#seed = seedOf(nonces);
    this.#ours = derive(pairing, nonces, end === "host" ? "host to module" : "module to host");
    this.#theirs = derive(pairing, nonces, end === "host" ? "module to host" : "host to module");
  }

  seal(name: KqName, number: number, put: (to: Writer) => void): Buffer {
    head(this.#frame, name, number);
    this.#body.length = 0;
    put(this.#body);
    const plain = this.#body.bytes.subarray(0, this.#body.length);
    const cipher = this.#ours.lend((key) => createCipheriv("aes-256-gcm", key, nonceOf(name, number)));
    cipher.setAAD(this.#frame.bytes.subarray(0, HEADER_BYTES));
    this.#frame.raw(cipher.update(plain));
    cipher.final();
    plain.fill(0);
    this.#frame.raw(cipher.getAuthTag());
    return checked(this.#frame, this.#seed);
  }

  open<T>(frame: Buffer, use: (frame: Frame) => T): T | undefined {
    const name = nameOf(frame[0] ?? 0);
    if (name === undefined || frame.length < HEADER_BYTES + TAG_BYTES + CHECK_BYTES) return undefined;
    if (!isWhole(frame, this.#seed)) return undefined;
    const number = frame.readUInt32BE(1);
    const end = frame.length - CHECK_BYTES - TAG_BYTES;
    const body = this.#opened.subarray(0, end - HEADER_BYTES);
    const sealed = {
      iv: nonceOf(name, number),
      aad: frame.subarray(0, HEADER_BYTES),
      ciphertext: frame.subarray(HEADER_BYTES, end),
      tag: frame.subarray(end, end + TAG_BYTES),
    };
    try {
      if (!this.#theirs.lend((key) => openGcm(key, sealed, body))) return undefined;
      return use({ name, number, body });
    } finally {
      body.fill(0);
    }
  }

  [Symbol.dispose](): void {
    this.#frame.bytes.fill(0);
    this.#body.bytes.fill(0);
    this.#ours[Symbol.dispose]();
    this.#theirs[Symbol.dispose]();
  }
}

/** 12 bytes: 1 for frames that are counted apart, else 0; seven zeros; the number. */
function nonceOf(name: KqName, number: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce[0] = KQ[name].order === "own" ? 1 : 0;
  nonce.writeUInt32BE(number, 8);
  return nonce;
}

function head(frame: Writer, name: KqName, number: number): void {
  frame.length = 0;
  frame.uint(1, KQ[name].code);
  frame.uint(4, number);
}

function checked(frame: Writer, seed: number): Buffer {
  frame.uint(4, crc32(frame.bytes.subarray(0, frame.length), seed));
  return frame.bytes.subarray(0, frame.length);
}

const isWhole = (frame: Buffer, seed: number): boolean =>
  crc32(frame.subarray(0, -CHECK_BYTES), seed) === frame.readUInt32BE(frame.length - CHECK_BYTES);
