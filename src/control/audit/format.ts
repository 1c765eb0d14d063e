// The bytes of the audit log: lines of JSON in batches, each closed by a seal that chains it to the one before.
//
//   {"at":"2026-01-01T00:00:00.000Z","kind":"keys_supplied", … }
//   {"seal":17,"previous":"…","hash":"…","mac":"…"}        hash over previous, 17 and the lines; mac made in the token

import { createHash } from "node:crypto";
import type { AuditKind } from "../../core/audit-events.ts";

const HASH_BYTES = 32;
/** Before the first batch. */
export const NO_HASH: Uint8Array = new Uint8Array(HASH_BYTES);
const SEAL = Buffer.from('{"seal":');
const LINE_END = 0x0a;

/** One line of the log. */
export interface AuditLine {
  /** ISO time of the first of what it tells. */
  readonly at: string;
  readonly kind: AuditKind;
  /** Such as `96-127,160-191`, both ends included. */
  readonly runs?: string;
  readonly count?: number;
  readonly [field: string]: unknown;
}

/** The end of a batch; hashes and MAC in hexadecimal. */
export interface Seal {
  /** From 1. */
  readonly seal: number;
  readonly previous: string;
  readonly hash: string;
  readonly mac: string;
}

/** SHA-256 over a mark of this format, the link to the seal before, the sequence (8 bytes) and the lines. */
export function batchHash(previous: Uint8Array, sequence: number, lines: Uint8Array): Buffer {
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(sequence));
  return createHash("sha256").update("qkm audit 1\n").update(previous).update(number).update(lines).digest();
}

/** What the token makes the MAC of. */
export const macMessage = (km: string, hash: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`qkm audit seal 1\n${km}\n`), hash]);

/** The line that ends a batch. */
export const sealLine = ({ seal, previous, hash, mac }: Seal): string =>
  `${JSON.stringify({ seal, previous, hash, mac })}\n`;

/** What the next seal has as `previous`: SHA-256 of the whole line, so that not even a MAC can be changed. */
export const linkOf = (seal: Seal): Buffer => createHash("sha256").update(sealLine(seal)).digest();

/** One batch as it was read. */
export interface Batch {
  readonly seal: Seal;
  /** Its lines; lent with the bytes that were read. */
  readonly lines: Uint8Array;
  /** Where it begins in the segment. */
  readonly at: number;
}

/** What a segment's text consists of. */
export interface Reading {
  readonly batches: readonly Batch[];
  /** Behind the last seal. */
  readonly end: number;
  /** Bytes behind it that no seal covers, without the zeros that keep room. */
  readonly rest: number;
}

/** The batches of a segment; says nothing about their hashes. */
export function readBatches(segment: Uint8Array): Reading {
  const bytes = Buffer.from(segment.buffer, segment.byteOffset, segment.length);
  const zero = bytes.indexOf(0);
  const written = zero < 0 ? bytes.length : zero;
  const batches: Batch[] = [];
  let begin = 0;
  for (let at = 0; at < written; ) {
    const end = bytes.indexOf(LINE_END, at);
    if (end < 0 || end >= written) break;
    const seal = SEAL.equals(bytes.subarray(at, at + SEAL.length)) ? sealOf(bytes, at, end) : undefined;
    if (seal !== undefined) {
      batches.push({ seal, lines: bytes.subarray(begin, at), at: begin });
      begin = end + 1;
    }
    at = end + 1;
  }
  return { batches, end: begin, rest: written - begin };
}

const HEX = /^[0-9a-f]{64}$/;

/** Undefined when it is none. */
function sealOf(bytes: Buffer, from: number, to: number): Seal | undefined {
  const text = bytes.toString("utf8", from, to);
  const value = parsed(text);
  if (value === undefined) return undefined;
  const { seal, previous, hash, mac } = value;
  const isNumber = typeof seal === "number" && Number.isSafeInteger(seal) && seal > 0;
  if (!isNumber || !isHash(previous) || !isHash(hash) || !isHash(mac)) return undefined;
  const found = { seal, previous, hash, mac };
  return sealLine(found) === `${text}\n` ? found : undefined;
}

const isHash = (value: unknown): value is string => typeof value === "string" && HEX.test(value);

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

/** The events of a batch; a line that is none is left out: its batch was changed. */
export function linesOf({ lines }: Pick<Batch, "lines">): AuditLine[] {
  const texts = Buffer.from(lines.buffer, lines.byteOffset, lines.length).toString("utf8").split("\n").slice(0, -1);
  return texts.flatMap((text) => {
    const value = parsed(text);
    return typeof value?.at === "string" && typeof value.kind === "string" ? [value as unknown as AuditLine] : [];
  });
}

/** Why a batch is not the one that was sealed after `previous`, if so. */
export function whyBroken(batch: Batch, previous: Seal | undefined): string | undefined {
  const { seal, lines } = batch;
  if (previous !== undefined && seal.seal !== previous.seal + 1) {
    return `seal ${seal.seal} comes after seal ${previous.seal}: batches are missing or moved`;
  }
  if (previous !== undefined && seal.previous !== linkOf(previous).toString("hex"))
    return `batch ${seal.seal} does not follow the one before`;
  const hash = batchHash(Buffer.from(seal.previous, "hex"), seal.seal, lines).toString("hex");
  return hash === seal.hash ? undefined : `batch ${seal.seal} was changed: its hash does not fit its lines`;
}
