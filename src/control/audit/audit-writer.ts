// The audit log of this node: sealed by its token, and witnessed by store and token.

import { createHash } from "node:crypto";
import type { AuditExtent, AuditFields, AuditKind } from "../../core/audit-events.ts";
import { Fault } from "../../core/fault.ts";
import type { Audit, Clock, Log, Meter } from "../../core/ports.ts";
import { AuditLog, type AuditOptions, type Witness } from "./audit-log.ts";

/** What the audit log needs of a token. */
export interface AuditToken {
  macKey(label: string, make: true): Promise<{ mac(message: Uint8Array): Promise<Uint8Array> }>;
  counter(label: string, set?: number): Promise<number>;
}

/** What the audit writer works with. */
export interface AuditWriterPorts {
  /** @throws Fault HSM_UNAVAILABLE */
  readonly useToken: <T>(job: (token: AuditToken) => Promise<T>) => Promise<T>;
  /** The witness in the store: as it was at the start, and to be kept. */
  readonly stored: Witness | undefined;
  readonly store: (witness: Required<Witness>) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  readonly durable?: (lines: Uint8Array) => void;
}

/** The token's key for the seals, and the counter that tells the sequence of one. */
export const auditLabel = (km: string): string => `qkm-audit-${km}`;

const STORE_MS = 10_000;
/** A token's memory wears out: its witness moves at start and stop, and so often. */
const TOKEN_MS = 3_600_000;

/** The audit log of a running KM: opened with the token's key, asked by control commands. */
export class AuditWriter implements AsyncDisposable {
  readonly audit: AuditLog;
  readonly #label: string;
  readonly #ports: AuditWriterPorts;
  #stopTimer: () => void = () => {};
  #storedSequence = 0;
  #tokenMs = Number.NEGATIVE_INFINITY;
  #isCompared = false;
  #isEnded = false;

  private constructor(audit: AuditLog, label: string, ports: AuditWriterPorts) {
    this.audit = audit;
    this.#label = label;
    this.#ports = ports;
  }

  /** @throws Error when the folder cannot be used */
  static async open(options: AuditOptions, ports: AuditWriterPorts): Promise<AuditWriter> {
    const label = auditLabel(options.km);
    const audit = await AuditLog.open(options, { ...ports, mac: macOf(label, ports.useToken) });
    const auditWriter = new AuditWriter(audit, label, ports);
    if (ports.stored !== undefined) audit.compare(ports.stored, "store");
    auditWriter.#witnessLater();
    return auditWriter;
  }

  /** The token is there. */
  async tokenReady(): Promise<void> {
    await this.audit.flush();
    await this.#witness();
  }

  /** Is the log the one that the token sealed, and as long as it was? @throws Fault HSM_UNAVAILABLE */
  async #compare(): Promise<void> {
    await this.audit.checkLastSeal();
    const sequence = await this.#ports.useToken((token) => token.counter(this.#label));
    this.audit.compare({ sequence }, "token");
    this.#isCompared = true;
  }

  #witnessLater(): void {
    this.#stopTimer = this.#ports.clock.after(STORE_MS, () => {
      void this.#witness().finally(() => {
        if (!this.#isEnded) this.#witnessLater();
      });
    });
  }

  /** Store and token are told where the log is; each may fail, and is told later. */
  async #witness(isEnd = false): Promise<void> {
    const { last } = this.audit;
    const { clock, log, store, useToken } = this.#ports;
    try {
      // What the token knows is not written over before it was looked at.
      if (!this.#isCompared) await this.#compare();
      if (last.sequence > this.#storedSequence) await store(last);
      this.#storedSequence = last.sequence;
      const now = clock.monotonicMs();
      if (!isEnd && now - this.#tokenMs < TOKEN_MS) return;
      await useToken((token) => token.counter(this.#label, last.sequence));
      this.#tokenMs = now;
    } catch (err) {
      log.debug({ err }, "the place of the audit log could not be kept; it is tried again");
    }
  }

  /** Whether each of the seals is the token's. @throws Fault HSM_UNAVAILABLE */
  async check(seals: readonly { readonly hash: string; readonly mac: string }[]): Promise<boolean[]> {
    return await this.audit.check(seals);
  }

  /** While token and store are still there: the last events and the witness. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#stopTimer();
    await this.audit[Symbol.asyncDispose]();
    await this.#witness(true);
  }
}

/** The key is looked for once in each token that is opened, and made in one that has none. */
function macOf(label: string, useToken: AuditWriterPorts["useToken"]) {
  let known: { readonly token: AuditToken; readonly key: Awaited<ReturnType<AuditToken["macKey"]>> } | undefined;
  return (message: Uint8Array): Promise<Uint8Array> =>
    useToken(async (token) => {
      if (known?.token !== token) known = { token, key: await token.macKey(label, true) };
      return await known.key.mac(message);
    });
}

/** Takes events before the log is open, and gives them to it then. */
export class LateAudit implements Audit {
  #to: Audit | undefined;
  readonly #waiting: (() => void)[] = [];

  open(to: Audit): void {
    this.#to = to;
    for (const give of this.#waiting.splice(0)) give();
  }

  note<Kind extends AuditKind>(kind: Kind, fields: AuditFields<Kind>, extent?: AuditExtent): void {
    if (this.#to !== undefined) this.#to.note(kind, fields, extent);
    else if (this.#waiting.length < MOST_EARLY) this.#waiting.push(() => this.#to?.note(kind, fields, extent));
  }

  obstacle(): Fault | undefined {
    return this.#to === undefined ? new Fault("AUDIT_UNAVAILABLE", { retryAfterMs: 1000 }) : this.#to.obstacle();
  }

  onChange(listener: () => void): () => void {
    return this.#to?.onChange(listener) ?? (() => {});
  }
}

const MOST_EARLY = 1000;

/** A meter whose alarms and epochs are in the audit log too. */
export const auditedMeter = (meter: Meter, audit: Audit): Meter => ({
  add(counter, labels, amount) {
    meter.add(counter, labels, amount);
    if (counter === "alarms") audit.note("alarm", { alarm: labels.alarm });
    else if (counter === "epochs") audit.note("epoch_begun", {});
  },
});

/** SHA-256 of a configuration, as the event `started` tells it. */
export const digestOf = (text: Uint8Array): string => createHash("sha256").update(text).digest("hex");
