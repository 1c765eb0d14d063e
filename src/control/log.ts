// The log: one JSON line per event, bounded, and never a key byte.

import { write, writeSync } from "node:fs";
import { pino } from "pino";
import type { Log } from "../core/ports.ts";

/** Log levels, from the most to the least talkative. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
/** The least that is logged. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A log whose level, one of `LOG_LEVELS`, can be set while it is written. */
export interface SettableLog extends Log {
  level: string;
}

/** Where lines go: each call has one line, with its line end. */
export interface LogDestination {
  write(line: string): void;
}

/** Fields deeper than this are not written. */
const DEEPEST = 6;

/**
 * A log with ISO time. `alarm` is the field of a line that an operator must see; its value names the alarm, as in the
 * counter `alarms`. A `Secret` is written as `[secret]`, bytes of any kind as `[bytes]`, an error with its causes.
 */
export function makeLog(level: LogLevel, destination: LogDestination): SettableLog {
  return pino(
    {
      level,
      base: null,
      messageKey: "message",
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: (fields) => plainFields(fields) },
      serializers: { err: (value: unknown) => value },
    },
    destination,
  );
}

const plainFields = (fields: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plain(value, 1)]));

/** A copy of what may be written, which holds no bytes. */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return "[bytes]";
  if (value instanceof Error) return errorFields(value, depth);
  if ("toJSON" in value && typeof value.toJSON === "function") return plain(value.toJSON(), depth);
  if (depth === DEEPEST) return "[deep]";
  if (Array.isArray(value)) return value.map((item) => plain(item, depth + 1));
  const entries = Object.entries(value).map(([name, member]) => [name, plain(member, depth + 1)]);
  return Object.fromEntries(entries);
}

function errorFields(error: Error, depth: number): Record<string, unknown> {
  const fields: Record<string, unknown> = { type: error.name, message: error.message, stack: error.stack };
  if ("code" in error) fields.code = error.code;
  if (error.cause !== undefined && depth < DEEPEST) fields.cause = plain(error.cause, depth + 1);
  return fields;
}

/** Bytes that may wait; what is more is dropped and counted. */
const WAITING_BYTES = 1_048_576;
/** How long a pipe that is full is left alone. */
const RETRY_MS = 50;
/** Tries, that far apart, to write the rest at dispose. */
const LAST_TRIES = 20;

/** A log file that never blocks; lines that cannot be written are counted. */
export interface LogFile extends LogDestination, Disposable {
  /** Lines lost so far: there was no room, or the file could not be written. */
  readonly dropped: number;
}

/** Writes to a file descriptor (1 is the standard output). Dispose writes what waits, within a second. */
export function openLogFile(descriptor: number): LogFile {
  return new QueuedFile(descriptor);
}

interface Batch {
  readonly bytes: Buffer;
  readonly lines: number;
}

class QueuedFile implements LogFile {
  readonly #descriptor: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** True from the first line that waits until nothing does. */
  #busy = false;
  #closed = false;
  /** What a full pipe did not take, until it is tried again. */
  #stuck: Batch | undefined;
  dropped = 0;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#closed || this.#waitingBytes + bytes.length > WAITING_BYTES) {
      this.dropped += 1;
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#busy) return;
    this.#busy = true;
    setImmediate(() => this.#writeOn(this.#take()));
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    const batches = [this.#stuck, this.#take()];
    this.#stuck = undefined;
    for (const batch of batches) {
      if (batch !== undefined && !writeToEnd(this.#descriptor, batch.bytes)) this.dropped += batch.lines;
    }
  }

  #take(): Batch | undefined {
    const lines = this.#waiting.length;
    if (lines === 0) return undefined;
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    return { bytes, lines };
  }

  /** Writes the batch, then whatever came meanwhile. */
  #writeOn(batch: Batch | undefined): void {
    this.#busy = batch !== undefined;
    if (batch === undefined) return;
    write(this.#descriptor, batch.bytes, (error, written) => {
      if (error?.code === "EAGAIN") this.#tryLater(batch);
      else if (error !== null) this.#lost(batch);
      else if (written < batch.bytes.length) this.#writeOn({ ...batch, bytes: batch.bytes.subarray(written) });
      else this.#writeOn(this.#take());
    });
  }

  #tryLater(batch: Batch): void {
    if (this.#closed) {
      this.dropped += batch.lines;
      return;
    }
    this.#stuck = batch;
    setTimeout(() => {
      const stuck = this.#stuck;
      this.#stuck = undefined;
      if (stuck !== undefined) this.#writeOn(stuck);
    }, RETRY_MS).unref();
  }

  #lost(batch: Batch): void {
    this.dropped += batch.lines;
    this.#writeOn(this.#take());
  }
}

/** False when the file did not take all of it. */
function writeToEnd(descriptor: number, bytes: Buffer): boolean {
  let at = 0;
  for (let tries = 0; at < bytes.length && tries < LAST_TRIES; ) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "EAGAIN") return false;
      tries += 1;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
  return at === bytes.length;
}
