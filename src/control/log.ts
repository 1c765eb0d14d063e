// The log: one JSON line per event, bounded, and never a key byte.

import { destination as openDestination, pino } from "pino";
import type { Log } from "../core/ports.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

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
export function makeLog(level: LogLevel, destination: LogDestination): Log {
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

/** Lines that wait for a slow disk or pipe, in bytes; what is more is dropped and counted. */
const WAITING_BYTES = 1_048_576;

export interface LogFile extends LogDestination, Disposable {
  /** Lines lost so far: there was no room, or the file could not be written. */
  readonly dropped: number;
}

/** Writes to a file descriptor (1 is the standard output) without ever waiting for it. Dispose writes what waits. */
export function openLogFile(descriptor: number): LogFile {
  const file = openDestination({ dest: descriptor, sync: false, minLength: 0, maxLength: WAITING_BYTES });
  let dropped = 0;
  const lost = (): void => {
    dropped += 1;
  };
  file.on("drop", lost);
  file.on("error", lost);
  return {
    get dropped() {
      return dropped;
    },
    write: (line) => void file.write(line),
    [Symbol.dispose]() {
      try {
        file.flushSync();
      } catch {
        lost();
      }
    },
  };
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
