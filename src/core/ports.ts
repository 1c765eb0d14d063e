// What the deterministic core is given from outside: time, randomness, log, counters.

import type { AuditExtent, AuditFields, AuditKind } from "./audit-events.ts";
import type { CounterName } from "./counters.ts";
import type { Fault } from "./fault.ts";

/** Time. The appliance gives the machine's; the simulator gives its own. */
export interface Clock {
  /** Milliseconds that never go back while the process runs. */
  monotonicMs(): number;
  /** Milliseconds since 1970, which may jump. */
  wallMs(): number;
  /** Calls `then` once after `ms`; the function returned cancels it. */
  after(ms: number, then: () => void): () => void;
}

/** Randomness that is no key material (request IDs, jitter). Key bytes come from modules and the token. */
export interface Random {
  /** 0 <= x < 1 */
  fraction(): number;
  /** Lower-case hexadecimal, `bytes` × 2 characters. */
  hex(bytes: number): string;
}

type Fields = Readonly<Record<string, unknown>>;

/** A log line: fields first, then a sentence (pino fits). Never a key byte, never a hash of one. */
export interface Log {
  debug(fields: Fields, sentence: string): void;
  info(fields: Fields, sentence: string): void;
  warn(fields: Fields, sentence: string): void;
  error(fields: Fields, sentence: string): void;
}

/** Counts what happens, under the names of `counters.ts`. */
export interface Meter {
  add(counter: CounterName, labels: Readonly<Record<string, string>>, amount?: number): void;
}

/** Tells that a part of the process is alive; called again and again while it is. */
export type Beat = () => void;

/** The audit log: what became of each byte of key, who asked, and what people did. Never a key byte. */
export interface Audit {
  /** Notes an event, in no time: it is on the disk soon after. Events that differ in their extents alone share a line. */
  note<Kind extends AuditKind>(kind: Kind, fields: AuditFields<Kind>, extent?: AuditExtent): void;
  /** Why nothing that affects keys may be done now, if so: the log could not take it. */
  obstacle(): Fault | undefined;
  /** Called when an obstacle comes or goes; the function returned ends it. */
  onChange(listener: () => void): () => void;
}

/** For what keeps no audit log. */
export const NO_AUDIT: Audit = { note: () => {}, obstacle: () => undefined, onChange: () => () => {} };
