// The audit log of a running KM: events gathered, sealed by the token in batches, and on the disk a tenth of a second later.

import type { AuditExtent, AuditFields, AuditKind } from "../../core/audit-events.ts";
import { asFault, Fault } from "../../core/fault.ts";
import type { Audit, Clock, Log, Meter } from "../../core/ports.ts";
import { checkSeals } from "./check.ts";
import { type AuditLine, batchHash, linesOf, linkOf, macMessage, NO_HASH, type Seal, sealLine } from "./format.ts";
import { AuditGather } from "./gather.ts";
import { type Found, type SegmentOptions, Segments } from "./segments.ts";

/** Where the audit log lies, and how long events are gathered. */
export interface AuditOptions extends SegmentOptions {
  readonly km: string;
  /** How long events are gathered; longer when sealing them takes long. */
  readonly gatherMs: number;
}

/** What the audit log works with. */
export interface AuditPorts {
  /** HMAC-SHA256 under the token's audit key. @throws Fault HSM_UNAVAILABLE */
  readonly mac: (message: Uint8Array) => Promise<Uint8Array>;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  /** Told of lines once they are sealed and on the disk, with their seal; must not throw. */
  readonly durable?: (lines: Uint8Array) => void;
}

/** A place in the chain. */
export interface Witness {
  readonly sequence: number;
  /** In hexadecimal; absent where only the sequence is known. */
  readonly hash?: string;
}

interface Pending {
  readonly sequence: number;
  readonly lines: Buffer;
  readonly hash: Buffer;
}

/** So much is written at once, whatever the time. */
const BATCH_BYTES = 65_536;
/** So much may wait for token and disk before nothing more is begun, and before events are lost. */
const WAITING = { obstacleBytes: 512 * 1024, mostBytes: 4 * 1024 * 1024 };
const TAIL_BYTES = 256 * 1024;
const RETRY_MS = 1000;
const LONGEST_GATHER_MS = 1000;
/** The part of the time that sealing and writing may take. */
const BUSY_PART = 4;
/** How long a stop waits for the last batch. */
const STOP_MS = 3000;

/** Gathers events, seals each batch with the token, appends it to the segments (design 10). */
export class AuditLog implements Audit, AsyncDisposable {
  readonly #options: AuditOptions;
  readonly #ports: AuditPorts;
  readonly #segments: Segments;
  readonly #gather: AuditGather;
  readonly #listeners = new Set<() => void>();
  readonly #found: Omit<Found, "tail">;
  #last: { readonly sequence: number; readonly hash: string; readonly link: Uint8Array };
  #pending: Pending | undefined;
  #obstacle: Fault | undefined;
  #writing: Promise<void> | undefined;
  #stopTimer: (() => void) | undefined;
  #gatherMs: number;
  #isClosed = false;
  /** Nothing more is noted: the last event was. */
  #isComplete = false;
  /** Whether the token sealed a batch since the log was opened. */
  #hasSealed = false;
  /** Lines of the last batches, for whoever looks. */
  readonly #tail: Uint8Array[] = [];
  #tailBytes = 0;

  private constructor(options: AuditOptions, ports: AuditPorts, segments: Segments, found: Omit<Found, "tail">) {
    const { last } = found;
    this.#options = options;
    this.#ports = ports;
    this.#segments = segments;
    this.#found = found;
    this.#gatherMs = options.gatherMs;
    this.#gather = new AuditGather(() => ports.clock.wallMs(), WAITING.mostBytes);
    this.#last = {
      sequence: last?.seal ?? 0,
      hash: last?.hash ?? "",
      link: last === undefined ? NO_HASH : linkOf(last),
    };
  }

  /** Goes on where the log ended. @throws Error when the folder cannot be used */
  static async open(options: AuditOptions, ports: AuditPorts): Promise<AuditLog> {
    const { segments, found } = await Segments.open(options);
    // Apart from the rest, which stays: it is a whole segment.
    const { tail, ...rest } = found;
    const audit = new AuditLog(options, ports, segments, rest);
    for (const lines of tail) audit.#remember(lines);
    audit.#announceFound();
    await audit.#look();
    return audit;
  }

  #announceFound(): void {
    const { last, cut, file, broken } = this.#found;
    if (last === undefined) this.note("log_begun", { km: this.#options.km });
    if (cut > 0) this.note("tail_cut", { file, bytes: cut });
    if (broken !== undefined) this.#changed(file, broken);
  }

  /** The last seal that is on the disk; sequence 0 before the first. */
  get last(): Required<Witness> {
    const { sequence, hash } = this.#last;
    return { sequence, hash };
  }

  /** Whether the token made the last seal that was found; alarms when it did not. @throws Fault HSM_UNAVAILABLE */
  async checkLastSeal(): Promise<void> {
    const { last, file } = this.#found;
    if (last === undefined) return;
    const [isOurs] = await this.check([last]);
    if (isOurs !== true) this.#changed(file, `seal ${last.seal} was not made by this token's key`);
  }

  /** Whether each of the seals was made by the token's key. @throws Fault HSM_UNAVAILABLE */
  check(seals: readonly Pick<Seal, "hash" | "mac">[]): Promise<boolean[]> {
    return checkSeals(this.#options.km, this.#ports.mac, seals);
  }

  #changed(file: string, why: string): void {
    this.#ports.meter.add("alarms", { alarm: "audit_changed" });
    this.#ports.log.error({ alarm: "audit_changed", file, why }, "the audit log was changed; see qkm audit verify");
    this.note("chain_broken", { file, why });
  }

  /** Compares with what is known of the log from elsewhere; alarms when it is shorter or other than it was. */
  compare(known: Witness, witness: "store" | "token"): void {
    const { last, seals } = this.#found;
    const sequence = last?.seal ?? 0;
    const hash = seals.get(known.sequence);
    const isOther = hash !== undefined && known.hash !== undefined && hash !== known.hash;
    if (known.sequence <= sequence && !isOther) return;
    this.#ports.meter.add("alarms", { alarm: "audit_behind" });
    this.#ports.log.error(
      { alarm: "audit_behind", sequence, known: known.sequence, witness },
      "the audit log ends before it should: sealed batches were removed",
    );
    this.note("log_behind", { sequence, witness, known: known.sequence });
  }

  note<Kind extends AuditKind>(kind: Kind, fields: AuditFields<Kind>, extent?: AuditExtent): void {
    if (this.#isClosed || this.#isComplete) return;
    this.#gather.add(kind, fields, extent);
    if (this.#writing !== undefined) return;
    if (this.#gather.bytes >= BATCH_BYTES && this.#obstacle === undefined) this.#begin();
    else this.#arm(this.#gatherMs);
  }

  /** The log ends with this event: what comes later could not be sealed any more. Resolves as `flush` does. */
  async noteLast<Kind extends AuditKind>(kind: Kind, fields: AuditFields<Kind>, mostMs = STOP_MS): Promise<void> {
    this.note(kind, fields);
    this.#isComplete = true;
    await this.flush(mostMs);
  }

  obstacle(): Fault | undefined {
    return this.#obstacle;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when what was noted before is on the disk, or could not be written now, or after `mostMs`. */
  async flush(mostMs = STOP_MS): Promise<void> {
    await this.#within(mostMs, this.#flushed());
  }

  async #flushed(): Promise<void> {
    await this.#writing;
    this.#begin();
    await this.#writing;
  }

  /** The last events that are on the disk, oldest first: those of the last 256 KiB at most. */
  recent(most: number): readonly AuditLine[] {
    const events: AuditLine[] = [];
    for (const lines of this.#tail.toReversed()) {
      if (events.length >= most) break;
      events.unshift(...linesOf({ lines }));
    }
    return events.slice(-most);
  }

  #remember(lines: Uint8Array): void {
    // Copied: as Node made it, each lies in a pool of 64 KiB, which a line of 200 bytes would keep.
    this.#tail.push(Uint8Array.from(lines));
    this.#tailBytes += lines.length;
    while (this.#tailBytes > TAIL_BYTES && this.#tail.length > 1) this.#tailBytes -= this.#tail.shift()?.length ?? 0;
  }

  #arm(ms: number): void {
    if (this.#stopTimer !== undefined || this.#isClosed) return;
    this.#stopTimer = this.#ports.clock.after(ms, () => this.#begin());
  }

  #begin(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      if (this.#obstacle !== undefined || this.#pending !== undefined) this.#arm(RETRY_MS);
      else if (!this.#gather.isEmpty) this.#arm(this.#gatherMs);
    });
  }

  async #write(): Promise<void> {
    const begun = this.#ports.clock.monotonicMs();
    try {
      await this.#writePending();
      const tookMs = this.#ports.clock.monotonicMs() - begun;
      this.#gatherMs = Math.min(Math.max(this.#options.gatherMs, BUSY_PART * tookMs), LONGEST_GATHER_MS);
      await this.#look();
    } catch (thrown) {
      this.#failed(asFault(thrown));
    }
  }

  async #writePending(): Promise<void> {
    if (this.#pending === undefined && this.#gather.isEmpty) return;
    this.#pending ??= this.#batch();
    const { sequence, lines, hash } = this.#pending;
    const mac = await this.#ports.mac(macMessage(this.#options.km, hash));
    const seal: Seal = { seal: sequence, previous: hex(this.#last.link), hash: hex(hash), mac: hex(mac) };
    const removed = await this.#segments.append(Buffer.concat([lines, Buffer.from(sealLine(seal))]), sequence);
    this.#pending = undefined;
    this.#hasSealed = true;
    this.#remember(lines);
    this.#ports.durable?.(Buffer.concat([lines, Buffer.from(sealLine(seal))]));
    this.#last = { sequence, hash: seal.hash, link: linkOf(seal) };
    this.#ports.meter.add("audit_batches", {});
    if (removed !== undefined) this.#gather.add("segments_removed", { ...removed });
  }

  #batch(): Pending {
    const sequence = this.#last.sequence + 1;
    const lines = this.#gather.take();
    return { sequence, lines, hash: batchHash(this.#last.link, sequence, lines) };
  }

  /** Whether there is room for more. */
  async #look(): Promise<void> {
    const obstacle = await this.#segments.reserve();
    const moved = obstacle && this.#segments.moved();
    if (moved === undefined) return this.#become(obstacle);
    this.#gather.add("segments_removed", { ...moved });
    this.#become(await this.#segments.reserve());
  }

  /** What could not be sealed or written waits; a token that is away stops nothing by itself before much waits. */
  #failed(fault: Fault): void {
    this.#ports.meter.add("audit_faults", { kind: fault.code });
    const waiting = this.#gather.bytes + (this.#pending?.lines.length ?? 0);
    const isOfToken = fault.code === "HSM_UNAVAILABLE" || fault.code === "STOPPING";
    if (!isOfToken) this.#become(fault);
    else if (waiting > WAITING.obstacleBytes) this.#become(new Fault("HSM_UNAVAILABLE", { retryAfterMs: RETRY_MS }));
  }

  #become(obstacle: Fault | undefined): void {
    if (obstacle?.message === this.#obstacle?.message) return;
    this.#obstacle = obstacle;
    const { log } = this.#ports;
    if (obstacle === undefined) log.info({}, "the audit log can be written again");
    else
      log.error(
        { alarm: "audit_unavailable", err: obstacle },
        "the audit log takes no more: nothing is done with keys",
      );
    for (const listener of this.#listeners) listener();
  }

  /** Writes what waits, if it can be written within a few seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.flush();
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    if (!this.#gather.isEmpty || this.#pending !== undefined) {
      this.#ports.log[this.#hasSealed ? "error" : "info"]({}, this.#hasSealed ? LOST : NEVER_SEALED);
    }
    await this.#segments[Symbol.asyncDispose]();
  }

  async #within(ms: number, done: Promise<void>): Promise<void> {
    const late = Promise.withResolvers<void>();
    const stopTimer = this.#ports.clock.after(ms, late.resolve);
    await Promise.race([done, late.promise]).finally(stopTimer);
  }
}

const LOST = "the last events of the audit log could not be sealed and are lost";
/** Nothing was done with keys then: what hindered the start is the fault, and this its consequence. */
const NEVER_SEALED = "the start ended before the token was there: the audit log does not have it";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
