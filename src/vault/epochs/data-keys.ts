// Data keys of the envelope mode: made in locked memory, sealed by the KEK, shared by a few records.

import { createCipheriv, randomFillSync } from "node:crypto";
import type { KmId } from "../../core/ids.ts";
import { openGcm } from "../../core/memory/gcm.ts";
import { forgetRegisters } from "../../core/memory/registers.ts";
import { secretOf } from "../../core/memory/secret.ts";
import { type Kek, SealBroken, type Token } from "../../device/token.ts";
import {
  DATA_KEY_BYTES,
  DATA_KEY_ID_BYTES,
  dataKeyAad,
  IV_BYTES,
  TAG_BYTES,
  type WrappedKey,
} from "../store/record.ts";
import type { Kind } from "../store/sealed.ts";

/** Records per data key: few blocks, so that little depends on one; many key-ID keys, so that a slow token loads them fast. */
const RECORDS_PER_KEY = { block: 8, "key-id": 256 } as const satisfies Record<Kind, number>;

const STRIDE = DATA_KEY_BYTES + TAG_BYTES;
const PLACES = 64;
/** Bytes of locked memory that `DataKeys` works in. */
export const DATA_KEY_REGION_BYTES = PLACES * STRIDE;

/** An epoch's KEK, and the token that makes random bytes for new data keys. */
export interface KeySource {
  readonly km: KmId;
  readonly token: Token;
  readonly kek: Kek;
  readonly epoch: number;
}

interface Group {
  readonly epoch: number;
  readonly wrapped: Promise<WrappedKey>;
  left: number;
}

/** Data keys in locked memory, bounded; the least recently used is dropped and opened again when needed. */
export class DataKeys {
  readonly #free: Uint8Array[] = [];
  /** By the hexadecimal of the ID; the least recently used first. */
  readonly #known = new Map<string, Uint8Array>();
  readonly #groups = new Map<Kind, Group>();

  constructor(region: Uint8Array) {
    for (let at = 0; at + STRIDE <= region.length; at += STRIDE) this.#free.push(region.subarray(at, at + STRIDE));
  }

  /** Lends a data key of this epoch for one record of this kind. @throws Fault HSM_UNAVAILABLE */
  async forNew<T>(kind: Kind, source: KeySource, use: (wrapped: WrappedKey, key: Uint8Array) => T): Promise<T> {
    const group = this.#group(kind, source);
    group.left -= 1;
    const wrapped = await group.wrapped;
    return this.forOld(wrapped, source, (key) => use(wrapped, key));
  }

  /** Lends the data key of a stored record. @throws Fault HSM_UNAVAILABLE, SealBroken */
  async forOld<T>(wrapped: WrappedKey, source: KeySource, use: (key: Uint8Array) => T): Promise<T> {
    const name = nameOf(wrapped.id);
    const known = this.#known.get(name);
    if (known !== undefined) {
      this.#known.delete(name);
      this.#known.set(name, known);
      return use(known.subarray(0, DATA_KEY_BYTES));
    }
    const place = this.#place();
    const aad = dataKeyAad(source.km, wrapped.id, source.epoch);
    try {
      await source.kek.open({ iv: wrapped.iv, aad, sealed: wrapped.sealed, plain: place });
    } catch (thrown) {
      this.#release(place);
      throw thrown;
    }
    this.#remember(name, place);
    return use(place.subarray(0, DATA_KEY_BYTES));
  }

  /** Zeroes all; those that follow are unwrapped or made anew. */
  clear(): void {
    this.#groups.clear();
    for (const place of this.#known.values()) this.#release(place);
    this.#known.clear();
  }

  #group(kind: Kind, source: KeySource): Group {
    const known = this.#groups.get(kind);
    if (known !== undefined && known.epoch === source.epoch && known.left > 0) return known;
    const group = { epoch: source.epoch, wrapped: this.#make(source), left: RECORDS_PER_KEY[kind] };
    this.#groups.set(kind, group);
    group.wrapped.catch(() => {
      if (this.#groups.get(kind) === group) this.#groups.delete(kind);
    });
    return group;
  }

  async #make({ km, token, kek, epoch }: KeySource): Promise<WrappedKey> {
    const id = randomFillSync(new Uint8Array(DATA_KEY_ID_BYTES));
    const iv = randomFillSync(new Uint8Array(IV_BYTES));
    const sealed = new Uint8Array(STRIDE);
    const place = this.#place();
    const plain = place.subarray(0, DATA_KEY_BYTES);
    try {
      await token.random(secretOf(plain));
      await kek.seal({ iv, aad: dataKeyAad(km, id, epoch), plain, sealed });
    } catch (thrown) {
      this.#release(place);
      throw thrown;
    }
    this.#remember(nameOf(id), place);
    return { id, iv, sealed };
  }

  #place(): Uint8Array {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const [oldest] = this.#known;
    if (oldest === undefined) throw new Error("all places for data keys are in use");
    this.#known.delete(oldest[0]);
    return oldest[1].fill(0);
  }

  #remember(name: string, place: Uint8Array): void {
    const twin = this.#known.get(name);
    if (twin !== undefined) this.#release(twin);
    this.#known.set(name, place);
  }

  #release(place: Uint8Array): void {
    this.#free.push(place.fill(0));
  }
}

const nameOf = (id: Uint8Array) => Buffer.from(id).toString("hex");

/** What a data key seals or opens; `sealed` is ciphertext and tag. */
export interface GcmJob {
  readonly iv: Uint8Array;
  readonly aad: Uint8Array;
  readonly plain: Uint8Array;
  readonly sealed: Uint8Array;
}

/** AES-256-GCM in this process; `sealed` is ciphertext and a tag of 16 bytes. */
export function gcmSeal(key: Uint8Array, { iv, aad, plain, sealed }: GcmJob): void {
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  cipher.setAAD(aad);
  sealed.set(cipher.update(plain));
  cipher.final();
  forgetRegisters();
  sealed.set(cipher.getAuthTag(), plain.length);
}

/** After an error `plain` is zero. @throws SealBroken */
export function gcmOpen(key: Uint8Array, { iv, aad, plain, sealed }: GcmJob): void {
  const length = sealed.length - TAG_BYTES;
  const parts = { iv, aad, ciphertext: sealed.subarray(0, length), tag: sealed.subarray(length) };
  if (!openGcm(key, parts, plain)) throw new SealBroken("the record is not what was sealed");
}
