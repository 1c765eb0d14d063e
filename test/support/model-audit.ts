// An audit log in memory, which a test may fill up.

import type { AuditExtent, AuditFields, AuditKind } from "../../src/core/audit-events.ts";
import { Fault } from "../../src/core/fault.ts";
import type { Audit } from "../../src/core/ports.ts";

export interface AuditEvent {
  readonly kind: AuditKind;
  readonly fields: Readonly<Record<string, string | number | undefined>>;
  readonly extent: AuditExtent;
}

export class ModelAudit implements Audit {
  readonly events: AuditEvent[] = [];
  readonly #listeners = new Set<() => void>();
  #obstacle: Fault | undefined;

  note<Kind extends AuditKind>(kind: Kind, fields: AuditFields<Kind>, extent: AuditExtent = {}): void {
    this.events.push({ kind, fields, extent });
  }

  obstacle(): Fault | undefined {
    return this.#obstacle;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether it takes no more. */
  fill(isFull: boolean): void {
    this.#obstacle = isFull ? new Fault("AUDIT_UNAVAILABLE") : undefined;
    for (const listener of this.#listeners) listener();
  }

  /** Events of a kind with at least these fields. */
  of(kind: AuditKind, fields: Readonly<Record<string, string | number>> = {}): readonly AuditEvent[] {
    return this.events.filter(
      (event) => event.kind === kind && Object.entries(fields).every(([name, value]) => event.fields[name] === value),
    );
  }

  /** The numbers that events of a kind with these fields are about. */
  places(kind: AuditKind, fields: Readonly<Record<string, string | number>> = {}): number[] {
    return this.of(kind, fields).flatMap(({ extent: { first = 0, end = 0 } }) =>
      Array.from({ length: end - first }, (_, at) => first + at),
    );
  }

  count(kind: AuditKind, fields: Readonly<Record<string, string | number>> = {}): number {
    return this.of(kind, fields).reduce((sum, { extent: { count = 1 } }) => sum + count, 0);
  }
}
