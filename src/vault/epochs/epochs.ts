// Epochs: one KEK each, told by label; which are open, how often the newest has sealed, what still waits to be kept.
//
// Room `vault/epochs`: key-encryption keys (KEK), one per epoch. `epoch-life` begins and ends them, `rotation` re-encrypts what
// is left, `sealer` and `reader` go between records and locked memory, `rollback-guard` notices a store that is an old copy.

import { Fault } from "../../core/fault.ts";
import { compareIds, type KmId } from "../../core/ids.ts";
import type { Clock } from "../../core/ports.ts";
import type { Kek, Token } from "../../device/token.ts";
import { Pause } from "../pause.ts";
import type { SealedRecord } from "../store/sealed.ts";

const DIGITS = 10;
/** How long a sealed block may wait for its commit before a rotation stops waiting for it. */
export const KEEP_WITHIN_MS = 10_000;

/** How often a wait for readers looks again by itself. */
const QUIET_MS = 1000;

/** What the labels of a KM's KEKs begin with in the token. */
export const kekPrefix = (km: KmId): string => `qkm-kek-${km}-`;

/** Labels sort like their epochs. */
export const kekLabel = (km: KmId, epoch: number): string => kekPrefix(km) + String(epoch).padStart(DIGITS, "0");

/** Undefined for the label of another KM's KEK: the ID of one may be the beginning of another's. */
export function epochOf(km: KmId, label: string): number | undefined {
  const rest = label.slice(kekPrefix(km).length);
  return label.startsWith(kekPrefix(km)) && rest.length === DIGITS && /^\d+$/.test(rest) ? Number(rest) : undefined;
}

/** All KEKs of one KM, oldest first. */
export async function findKeks(token: Token, km: KmId): Promise<Map<number, Kek>> {
  const found = await token.find(kekPrefix(km));
  const ours = found.flatMap((kek): [number, Kek][] => {
    const epoch = epochOf(km, kek.label);
    return epoch === undefined ? [] : [[epoch, kek]];
  });
  return new Map(ours.sort(([, one], [, other]) => compareIds(one.label, other.label)));
}

/** A seal that was begun and is not yet durable; the KEK of its epoch is kept for it. */
export interface Ticket {
  readonly epoch: number;
  readonly untilMs: number;
}

/** The open epochs of one KM, the newest of which seals. */
export class Epochs {
  readonly #clock: Clock;
  readonly #pause: Pause;
  readonly #tickets = new Set<Ticket>();
  readonly #ticketOf = new WeakMap<SealedRecord, Ticket>();
  /** How many records of an epoch are being opened. */
  readonly #readers = new Map<number, number>();
  #keks = new Map<number, Kek>();
  #current = 0;
  #closed = false;
  /** Records sealed in the current epoch. */
  seals = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#pause = new Pause(clock);
  }

  /** 0 until the token was there. */
  get current(): number {
    return this.#current;
  }

  /** What the token has, once it is there. */
  adopt(keks: ReadonlyMap<number, Kek>, current: number): void {
    this.#keks = new Map(keks);
    this.#current = current;
  }

  begin(epoch: number, kek: Kek): void {
    this.#keks.set(epoch, kek);
    this.#current = epoch;
    this.seals = 0;
  }

  kek(epoch: number): Kek | undefined {
    return this.#keks.get(epoch);
  }

  has(epoch: number): boolean {
    return this.#keks.has(epoch);
  }

  /** Those before the current one. */
  get old(): readonly number[] {
    return [...this.#keks.keys()].filter((epoch) => epoch < this.#current);
  }

  /** Forgets a KEK: nothing sealed under it is kept or opened any more. */
  forget(epoch: number): Kek | undefined {
    const kek = this.#keks.get(epoch);
    this.#keks.delete(epoch);
    return kek;
  }

  /** A record of an epoch is being opened, until the function returned is called. */
  reading(epoch: number): () => void {
    const count = (by: number) => this.#readers.set(epoch, (this.#readers.get(epoch) ?? 0) + by);
    count(1);
    return () => {
      count(-1);
      if (this.#readers.get(epoch) !== 0) return;
      this.#readers.delete(epoch);
      this.#pause.wake();
    };
  }

  /** Waits until nothing of a forgotten epoch is being opened any more. */
  async quiet(): Promise<void> {
    while (!this.#closed && [...this.#readers.keys()].some((epoch) => !this.#keks.has(epoch)))
      await this.#pause.for(QUIET_MS);
  }

  /** A seal begins. @throws Fault HSM_UNAVAILABLE before the first epoch */
  ticket(): Ticket {
    if (!this.#keks.has(this.#current)) throw new Fault("HSM_UNAVAILABLE");
    this.seals += 1;
    const ticket = { epoch: this.#current, untilMs: this.#clock.monotonicMs() + KEEP_WITHIN_MS };
    this.#tickets.add(ticket);
    return ticket;
  }

  /** The seal failed. */
  drop(ticket: Ticket): void {
    if (this.#tickets.delete(ticket)) this.#pause.wake();
  }

  /** The seal is done: the ticket waits for `kept`. */
  sealed(record: SealedRecord, ticket: Ticket): void {
    this.#ticketOf.set(record, ticket);
  }

  /** The record is durable. */
  kept(record: SealedRecord): void {
    const ticket = this.#ticketOf.get(record);
    if (ticket !== undefined) this.drop(ticket);
  }

  /** Nothing is sealed or opened any more. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** Ends every wait. */
  close(): void {
    this.#closed = true;
    this.#tickets.clear();
    this.#keks.clear();
    this.#pause.end();
  }

  /** True while a seal of an older epoch may still be kept. */
  get waiting(): boolean {
    return this.#latest() !== undefined;
  }

  /** Waits until every seal of an older epoch is durable, given up, or too late. */
  async settled(): Promise<void> {
    for (let wait = this.#latest(); wait !== undefined && !this.#closed; wait = this.#latest()) {
      await this.#pause.for(wait - this.#clock.monotonicMs());
    }
  }

  #latest(): number | undefined {
    const nowMs = this.#clock.monotonicMs();
    for (const ticket of this.#tickets) if (ticket.untilMs <= nowMs) this.#tickets.delete(ticket);
    const waiting = [...this.#tickets].filter(({ epoch }) => epoch < this.#current);
    return waiting.length === 0 ? undefined : Math.max(...waiting.map(({ untilMs }) => untilMs));
  }
}
