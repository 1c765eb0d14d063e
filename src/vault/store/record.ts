// The bytes of a sealed record, format 1.

import type { KmId } from "../../core/ids.ts";
import { encodeT, u32, u64 } from "../../core/text/encoding.ts";
import { SealBroken } from "../../device/token.ts";
import type { Head } from "./sealed.ts";

const FORMAT = 1;
/** Bytes of an AES-GCM initialisation vector. */
export const IV_BYTES = 12;
/** Bytes of an AES-GCM tag. */
export const TAG_BYTES = 16;
/** Bytes of a data key (AES-256). */
export const DATA_KEY_BYTES = 32;
/** Bytes of a data key's random ID. */
export const DATA_KEY_ID_BYTES = 8;

/** How a record is sealed: by the KEK itself, or by a data key under it. */
export type Scheme = "direct" | "envelope";
const SCHEMES = { direct: 1, envelope: 2 } as const satisfies Record<Scheme, number>;

/** A data key as it lies in each record that it seals: its own IV, then the key sealed by the KEK. */
export interface WrappedKey {
  /** 8 random bytes. */
  readonly id: Uint8Array;
  /** 12 bytes. */
  readonly iv: Uint8Array;
  /** 48 bytes. */
  readonly sealed: Uint8Array;
}

/**
 * Views into one record.
 *
 *     direct:    01 01 | iv 12 | ciphertext, as long as the plaintext | tag 16
 *     envelope:  01 02 | iv 12 | data key: id 8, iv 12, sealed 48 | ciphertext | tag 16
 */
export interface RecordParts {
  readonly scheme: Scheme;
  readonly iv: Uint8Array;
  readonly dataKey: WrappedKey | undefined;
  /** Ciphertext and tag. */
  readonly sealed: Uint8Array;
}

const WRAPPED_BYTES = DATA_KEY_ID_BYTES + IV_BYTES + DATA_KEY_BYTES + TAG_BYTES;
const bodyAt = (scheme: Scheme) => 2 + IV_BYTES + (scheme === "envelope" ? WRAPPED_BYTES : 0);

/** An empty record for `bytes` of plaintext, and the parts to be filled in. */
export function writeRecord(scheme: Scheme, bytes: number): { record: Uint8Array; parts: RecordParts } {
  const record = new Uint8Array(bodyAt(scheme) + bytes + TAG_BYTES);
  record[0] = FORMAT;
  record[1] = SCHEMES[scheme];
  return { record, parts: partsOf(record, scheme) };
}

/** @throws SealBroken when it is no record of format 1 with `bytes` of plaintext */
export function parseRecord(record: Uint8Array, bytes: number): RecordParts {
  const scheme = record[1] === SCHEMES.direct ? "direct" : "envelope";
  const fits = record[0] === FORMAT && record[1] === SCHEMES[scheme];
  if (!fits || record.length !== bodyAt(scheme) + bytes + TAG_BYTES) {
    throw new SealBroken("the stored record is damaged: its layout is not format 1");
  }
  return partsOf(record, scheme);
}

function partsOf(record: Uint8Array, scheme: Scheme): RecordParts {
  const body = bodyAt(scheme);
  const keyAt = 2 + IV_BYTES;
  const ivAt = keyAt + DATA_KEY_ID_BYTES;
  return {
    scheme,
    iv: record.subarray(2, keyAt),
    dataKey:
      scheme === "direct"
        ? undefined
        : {
            id: record.subarray(keyAt, ivAt),
            iv: record.subarray(ivAt, ivAt + IV_BYTES),
            sealed: record.subarray(ivAt + IV_BYTES, body),
          },
    sealed: record.subarray(body),
  };
}

/** What a record is bound to: format, KM, kind, name, epoch. */
export const recordAad = (km: KmId, head: Pick<Head, "kind" | "block" | "epoch">): Uint8Array =>
  encodeT("qkm seal", u32(FORMAT), km, head.kind, head.block, u64(head.epoch));

/** What a data key is bound to; its name is the hexadecimal of its ID. */
export const dataKeyAad = (km: KmId, id: Uint8Array, epoch: number): Uint8Array =>
  encodeT("qkm seal", u32(FORMAT), km, "data-key", Buffer.from(id).toString("hex"), u64(epoch));
