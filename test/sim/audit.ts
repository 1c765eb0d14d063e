// The audit log of a simulated KM, as far as the oracle compares it with what it saw.

import type { AuditExtent, AuditFields, AuditKind } from "../../src/core/audit-events.ts";
import { Fault } from "../../src/core/fault.ts";
import type { Audit } from "../../src/core/ports.ts";
import type { Range } from "../../src/vault/vault.ts";

/** Which key, and whose. */
export interface Reported {
  readonly peer: string;
  readonly serial: number;
  readonly initiator: string;
  readonly target: string;
}

/** By the counter that says the same. */
const ENDS: Partial<Record<AuditKind, string>> = {
  blocks_ended: "blocks_ended",
  kma_key_ended: "kma_keys_ended",
  kma_parts_ended: "kma_keys_ended",
  whole_keys_ended: "kma_keys_ended",
};

const nameOf = (kind: AuditKind, { peer, serial, initiator, target }: Reported): string =>
  `${kind} ${peer} ${serial} ${initiator} ${target}`;

export class SimAudit {
  readonly #ranges = new Map<string, { readonly first: number; end: number }[]>();
  readonly #listeners = new Set<() => void>();
  #isFailing = false;
  /** Told of each serial that the node gives up as a source. */
  abandoned: (peer: string, serial: number) => void = () => {};
  /** Things that ended unused, by counter. */
  readonly ended = new Map<string, number>();

  /** Whether the log can take nothing. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  fail(isFailing: boolean): void {
    if (this.#isFailing === isFailing) return;
    this.#isFailing = isFailing;
    for (const listener of [...this.#listeners]) listener();
  }

  /** The port of one process: one that has ended notes nothing. */
  port(isOver: () => boolean): Audit {
    return {
      note: (kind, fields, extent) => {
        if (!isOver()) this.#note(kind, fields, extent ?? {});
      },
      obstacle: () => (this.#isFailing ? new Fault("AUDIT_UNAVAILABLE") : undefined),
      onChange: (listener) => {
        const heard = (): void => void (isOver() ? this.#listeners.delete(heard) : listener());
        this.#listeners.add(heard);
        return () => void this.#listeners.delete(heard);
      },
    };
  }

  #note(kind: AuditKind, fields: AuditFields<AuditKind>, { first, end, count = 1 }: AuditExtent): void {
    const counter = ENDS[kind];
    if (kind === "relay_given_up") {
      const { peer, serial } = fields as unknown as { readonly peer: string; readonly serial: number };
      this.abandoned(peer, serial);
    }
    if (counter !== undefined) this.ended.set(counter, (this.ended.get(counter) ?? 0) + count);
    if ((kind !== "keys_supplied" && kind !== "keys_fetched") || first === undefined || end === undefined) return;
    const name = nameOf(kind, fields as unknown as Reported);
    const ranges = this.#ranges.get(name) ?? [];
    const last = ranges.at(-1);
    if (last?.end === first) last.end = end;
    else ranges.push({ first, end });
    this.#ranges.set(name, ranges);
  }

  /** Whether the log says so of all the bytes. */
  tells(kind: "keys_supplied" | "keys_fetched", told: Reported, { offset, length }: Range): boolean {
    const ranges = this.#ranges.get(nameOf(kind, told)) ?? [];
    return ranges.some(({ first, end }) => first <= offset && offset + length <= end);
  }
}
