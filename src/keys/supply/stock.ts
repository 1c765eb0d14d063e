// The KMA-keys that this KM is the source of, for one destination: relayed, proved, carved front to back.
//
//   reserved ──proved──> ready ──mark──> open ──carved to the end──> spent
//       └──────────────> given up                 └──aged──> expired

import type { EndReason } from "../../core/counters.ts";
import type { KmId } from "../../core/ids.ts";
import type { Change } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { FIRST_OFFSET, STEP } from "../common/key-id.ts";
import { type KeyRoute, kmaRow, type PeerRow, type SourceRow, TABLE } from "../common/rows.ts";
import { AbandonedSerials } from "./abandoned-serials.ts";
import { Marks } from "./high-water-marks.ts";
import { excessOf } from "./remainders.ts";
import {
  carveFrom,
  type Demand,
  isPiece,
  type KeyDemand,
  type Piece,
  type SourceKey,
  type Total,
} from "./source-key.ts";

/** What of the destination's keys here lies in one row with our serials. */
interface Acceptance {
  acceptance(): Pick<PeerRow, "accepted" | "window">;
}

/** The KMA-keys of this KM for one destination. */
export class SourceStock {
  readonly peer: KmId;
  readonly #context: Context;
  readonly #ready: SourceKey[] = [];
  readonly #open: SourceKey[] = [];
  /** Counted as they come and go: asked for with each request. */
  #bytes = 0;
  readonly #marks: Marks;
  nextSerial = 1;
  /** The highest serial given that was announced over the connection there is; a destination takes none far above it. */
  announced = 0;
  /** The highest serial proved equal at both ends. */
  proved = 0;
  readonly givenUp = new AbandonedSerials();
  /** Relays under way, and those that have ended, well or not. */
  inFlight = 0;
  relaysEnded = 0;
  readonly #received: Acceptance;
  #settled = false;
  /** Serials whose mark has moved since it was last told. */
  readonly #moved = new Map<number, number>();

  constructor(context: Context, peer: KmId, received: Acceptance) {
    this.#context = context;
    this.peer = peer;
    this.#received = received;
    this.#marks = new Marks(context, {
      keys: () => this.keys(),
      open: this.#open,
      enter: (key, mark, change) => this.#enter(key, mark, change),
      marked: (key) => this.#marked(key),
    });
  }

  /** KMA-keys that can be carved. */
  get size(): number {
    return this.#ready.length + this.#open.length;
  }

  /** Bytes that can be carved. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Keys of `step` bytes that can be carved. */
  count(step: number): number {
    return this.keys().reduce((sum, key) => sum + Math.floor(key.left / step), 0);
  }

  /** True when demands can surely be carved, in whatever order: what could be lost to rests that are too short is there besides. */
  covers({ bytes, rest }: Total): boolean {
    return this.bytes - bytes >= this.size * rest;
  }

  /** Bytes that the demands, one after the other, ask beyond what can be carved for them. */
  lacking(demands: Iterable<Demand>): number {
    const left = this.keys().map((key) => key.left);
    let bytes = 0;
    for (const { count, step } of demands) bytes += (count - carveFrom(left, { count, step })) * step;
    return bytes;
  }

  /** Whether a demand can be carved, now or when marks have moved. */
  has({ count, step, fits }: Demand): boolean {
    const left = this.keys().filter((key) => fits?.(key) !== false);
    const bytes = left.map((key) => key.left);
    return carveFrom(bytes, { count, step }) === count;
  }

  /** Open ones first, each kind oldest first. */
  keys(): SourceKey[] {
    return [...this.#open, ...this.#ready];
  }

  peerRow(): PeerRow {
    const { nextSerial, proved, givenUp } = this;
    return { nextSerial, proved, givenUp: `${givenUp}`, ...this.#received.acceptance() };
  }

  sourceRow(key: SourceKey, state: SourceRow["state"], mark: number): SourceRow {
    const { serial, block, length, bornAt, route } = key;
    return { peer: this.peer, serial, block, length, state, mark, bornAt, exact: false, route };
  }

  /** A KMA-key proved equal at both ends, and durable as such. */
  add(key: SourceKey): void {
    this.#ready.push(key);
    this.#bytes += key.left;
  }

  /** A KMA-key as it was when the process ended: carving goes on at the durable mark. */
  restore(key: SourceKey, row: SourceRow): void {
    // rule: resume-at-mark
    key.carved = key.durable = Math.max(row.mark, FIRST_OFFSET);
    if (row.state === "ready") {
      this.add(key);
    } else {
      key.state = "open";
      this.#open.push(key);
      this.#bytes += key.left;
    }
  }

  /**
   * Takes keys off the stock without waiting: from KMA-keys in memory, below their durable marks. All or `undefined`.
   * The pieces' blocks and keys are pinned; whoever takes them disposes them.
   */
  take(demand: KeyDemand): Piece[] | undefined {
    const { count, length, step } = demand;
    const pieces: Piece[] = [];
    let old: SourceKey[] | undefined;
    const oldestBorn = this.#context.ages.now() - this.#context.policy.maxAgeMs;
    let missing = count;
    for (const key of this.#open) {
      if (missing === 0) break;
      if (key.bornAt <= oldestBorn) {
        old = [...(old ?? []), key];
        continue;
      }
      // rule: carve-below-mark
      const fits = Math.min(missing, Math.floor((key.durable - key.carved) / step));
      if (fits <= 0 || !isPiece(key.left, demand) || demand.fits?.(key) === false) continue;
      const open = this.#context.vault.cached(key.block);
      if (open === undefined) continue;
      pieces.push({ key, open, offset: key.carved, length, count: fits });
      missing -= fits;
    }
    if (old !== undefined) this.#expire(old);
    if (missing > 0) {
      for (const piece of pieces) piece.open[Symbol.dispose]();
      return undefined;
    }
    for (const piece of pieces) this.#carve(piece, step);
    this.#marks.carved(count * step);
    return pieces;
  }

  /** Housekeeping ends them as a rule, but may be late or stand still. */
  #expire(old: readonly SourceKey[]): void {
    const change = this.#context.vault.change();
    this.end(old, "expired", change);
    this.#commitQuietly(change);
  }

  #carve({ key, count }: Piece, step: number): void {
    key.carved += count * step;
    this.#bytes -= count * step;
    key.pins++;
    if (this.peer !== this.#context.self) this.#moved.set(key.serial, key.carved);
  }

  /** Ends a grant's hold on a piece. */
  release(piece: Piece): void {
    const { key, open } = piece;
    open[Symbol.dispose]();
    key.pins--;
    if (key.pins > 0) return;
    const reason = key.ending;
    if (reason === undefined && (key.left >= STEP || !this.#open.includes(key))) return;
    const { audit, vault } = this.#context;
    const change = vault.change();
    if (reason === undefined) {
      audit.note("kma_keys_spent", { peer: this.peer, role: "source" }, { first: key.serial, end: key.serial + 1 });
      this.forget(key, change);
    } else this.drop(key, reason, change);
    this.#commitQuietly(change);
  }

  /** As `Marks.prepare`. @throws Fault HSM_UNAVAILABLE, STORE_UNAVAILABLE */
  prepare(demand: Demand, then?: () => void): Promise<void> {
    return this.#marks.prepare(demand, then);
  }

  #enter(key: SourceKey, mark: number, change: Change): boolean {
    if (this.#settled || (key.state === "ready" ? !this.#ready.includes(key) : !this.#open.includes(key))) return false;
    change.put(TABLE.source, kmaRow(this.peer, key.serial), this.sourceRow(key, "open", mark));
    return true;
  }

  #marked(key: SourceKey): boolean {
    if (key.state === "open") return true;
    if (!this.#leaveReady(key)) return false;
    key.state = "open";
    this.#open.push(key);
    return true;
  }

  #leaveReady(key: SourceKey): boolean {
    const index = this.#ready.indexOf(key);
    if (index < 0) return false;
    this.#ready.splice(index, 1);
    return true;
  }

  #leave(key: SourceKey): void {
    const open = this.#open.indexOf(key);
    if (open >= 0) this.#open.splice(open, 1);
    else if (!this.#leaveReady(key)) return;
    this.#bytes -= key.left;
  }

  /** Takes a KMA-key out of the books and, in `change`, off the disk. */
  forget(key: SourceKey, change: Change): void {
    this.#leave(key);
    change.remove(TABLE.source, kmaRow(this.peer, key.serial)).destroy(key.block);
    key.idKey[Symbol.dispose]();
  }

  /** Ends one KMA-key unused, counted under its reason, whether or not it came into the stock. */
  drop(key: SourceKey, reason: EndReason, change: Change): void {
    const { audit, log, meter } = this.#context;
    const labels = { peer: this.peer, role: "source", reason };
    audit.note("kma_key_ended", { ...labels, serial: key.serial, bytes: key.left });
    meter.add("kma_keys_ended", labels);
    meter.add("kma_bytes_lost", labels, key.left);
    log.info({ peer: this.peer, serial: key.serial, reason, bytes: key.left }, "a KMA-key ended unused");
    this.forget(key, change);
  }

  /** Ends KMA-keys: nothing more is carved of them. What a grant holds goes off the disk when that has ended. */
  end(keys: readonly SourceKey[], reason: EndReason, change: Change): void {
    for (const key of keys) {
      if (key.pins === 0) {
        this.drop(key, reason, change);
      } else {
        this.#leave(key);
        key.ending = reason;
      }
    }
  }

  /**
   * Ends what is too old to carve, and all but the newest rests that are too short for the default key, `most` of each.
   * False when there may be more.
   */
  tidy(oldestBorn: number, shortBytes: number, most: number): boolean {
    const change = this.#context.vault.change();
    const expired = this.keys().filter((key) => key.bornAt <= oldestBorn);
    const excess = excessOf(this.#open, shortBytes).filter((key) => key.bornAt > oldestBorn);
    if (expired.length + excess.length === 0) return true;
    this.end(expired.slice(0, most), "expired", change);
    this.end(excess.slice(0, most), "tail", change);
    this.#commitQuietly(change);
    return Math.max(expired.length, excess.length) <= most;
  }

  /** Whether a relay brings keys of that route, as far as the stock tells. */
  mayBring(route: KeyRoute | undefined): boolean {
    return route === undefined || this.keys().some((key) => key.route === route);
  }

  /** Ends the oldest KMA-keys beyond so many: younger ones are wanted. */
  trim(most: number): void {
    const oldest = this.keys().toSorted((a, b) => a.bornAt - b.bornAt);
    const excess = oldest.slice(0, Math.max(0, oldest.length - most));
    if (excess.length === 0) return;
    const change = this.#context.vault.change();
    this.end(excess, "overflow", change);
    this.#commitQuietly(change);
  }

  /** Whether it may still be carved of. */
  holds(key: SourceKey): boolean {
    return this.#open.includes(key) || this.#ready.includes(key);
  }

  // What the change forbids stays forbidden in memory; a restart finds the rows again and ends them again.
  #commitQuietly(change: Change): void {
    change.commit().catch((fault: unknown) => {
      this.#context.log.warn({ peer: this.peer, err: fault }, "ended KMA-keys are still on the disk");
    });
  }

  /** Whether a mark has moved since it was last told. */
  get hasMoved(): boolean {
    return this.#moved.size > 0;
  }

  /** Marks that moved since the last call, for the destination as a witness. */
  takeMoved(): { readonly serial: number; readonly offset: number }[] {
    const moved = [...this.#moved].map(([serial, offset]) => ({ serial, offset }));
    this.#moved.clear();
    return moved;
  }

  /** Moves no more marks; resolves when those under way have moved. */
  async stop(): Promise<void> {
    this.#settled = true;
    await this.#marks.settled();
  }

  /** Writes the marks exactly, so that an orderly stop loses nothing. Nothing may be carved after. */
  settle(change: Change): void {
    for (const key of this.#open) {
      const row = { ...this.sourceRow(key, "open", key.carved), exact: true };
      change.put(TABLE.source, kmaRow(this.peer, key.serial), row);
      key.durable = key.carved;
    }
  }
}
