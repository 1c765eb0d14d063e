// The KMA-keys that this KM is the source of, for one destination: relayed, proved, carved front to back.
//
//   reserved ──proved──> ready ──mark──> open ──carved to the end──> spent
//       └──────────────> given up                 └──aged──> expired

import type { EndReason } from "../core/counters.ts";
import type { KmId } from "../core/ids.ts";
import { formatRuns, parseRuns } from "../core/runs.ts";
import type { BlockId, Change, KeyIdKey, OpenBlock, Sealed } from "../vault/vault.ts";
import type { Context } from "./context.ts";
import { FIRST_OFFSET, STEP } from "./key-id.ts";
import { kmaRow, type PeerRow, type SourceRow, TABLE } from "./rows.ts";

/** The durable mark of an open KMA-key runs ahead of carving in such chunks, by two at most: that much a crash costs. */
export const CHUNK = 4096;
const AHEAD = 2 * CHUNK;
/** All marks together; under load several KMA-keys are open, for none may run further ahead. */
const MOST_AHEAD = 8 * AHEAD;
/** Open KMA-keys whose rest is too short for most requests; beyond it the oldest rest is destroyed. */
const MAX_TAILS = 8;
/** Open KMA-keys at most: where only large keys are asked, each leaves a rest that nobody wants. */
const MAX_OPEN = 32;
/** Serials given up that are remembered until told; what is forgotten expires at the destination by its age. */
const MAX_GIVEN_UP = 1024;

/** One KMA-key at its source. */
export class SourceKey {
  readonly serial: number;
  readonly block: BlockId;
  readonly length: number;
  readonly bornAt: number;
  readonly idKey: KeyIdKey;
  /** The key-ID key as it has to be kept, until it is. */
  readonly sealed: Sealed | undefined;
  state: "ready" | "open" = "ready";
  /** Everything before it is supplied, or lost at a restart. */
  carved = FIRST_OFFSET;
  /** Everything before it may be supplied: it is marked as used on the disk. */
  durable = FIRST_OFFSET;
  /** Grants that still write keys of it. */
  pins = 0;

  constructor(row: Pick<SourceRow, "serial" | "block" | "length" | "bornAt">, idKey: KeyIdKey, sealed?: Sealed) {
    this.serial = row.serial;
    this.block = row.block;
    this.length = row.length;
    this.bornAt = row.bornAt;
    this.idKey = idKey;
    this.sealed = sealed;
  }

  /** Bytes left to carve. */
  get left(): number {
    return this.length - this.carved;
  }
}

/** `count` keys of one size, one after the other from `offset` on, with their block in memory. */
export interface Piece {
  readonly key: SourceKey;
  readonly open: OpenBlock;
  readonly offset: number;
  readonly count: number;
}

/** What a request takes: `count` times `step` bytes, each within one KMA-key. */
export interface Demand {
  readonly count: number;
  readonly step: number;
}

/** How far the durable marks have to be. */
type Marks = ReadonlyMap<SourceKey, number>;

export class SourceStock {
  readonly peer: KmId;
  readonly #context: Context;
  readonly #ready: SourceKey[] = [];
  readonly #open: SourceKey[] = [];
  #readyBytes = 0;
  #preparing: Promise<void> | undefined;
  /** Bytes carved since the marks that are being moved began to move. */
  #carvedMeanwhile = 0;
  /** How far the marks are to run ahead: some times what is carved while they are moved once, for that may take longer. */
  #aheadBytes = CHUNK;
  nextSerial = 1;
  /** The highest serial proved equal at both ends. */
  proved = 0;
  /** Given up and not yet told to the destination. */
  readonly givenUp = new Set<number>();
  /** Relays under way. */
  inFlight = 0;
  /** The destination's part of the peer row, which lies in one row with ours. */
  acceptance: () => Pick<PeerRow, "accepted" | "window"> = () => ({ accepted: 0, window: "" });
  /** Ended, but a grant still writes keys of them. */
  readonly #ending = new Map<SourceKey, EndReason>();
  #settled = false;
  /** Serials whose mark has moved since it was last told. */
  readonly #moved = new Map<number, number>();

  constructor(context: Context, peer: KmId) {
    this.#context = context;
    this.peer = peer;
  }

  /** KMA-keys that can be carved. */
  get size(): number {
    return this.#ready.length + this.#open.length;
  }

  /** Bytes that can be carved. */
  get bytes(): number {
    return this.#open.reduce((sum, key) => sum + key.left, this.#readyBytes);
  }

  /** Keys of `step` bytes that can be carved. */
  count(step: number): number {
    return this.keys().reduce((sum, key) => sum + Math.floor(key.left / step), 0);
  }

  /** Bytes that the demands, one after the other, ask beyond what can be carved for them. */
  lacking(demands: Iterable<Demand>): number {
    const left = this.keys().map((key) => key.left);
    let bytes = 0;
    for (const { count, step } of demands) bytes += (count - carveFrom(left, { count, step })) * step;
    return bytes;
  }

  /** Open ones first, each kind oldest first. */
  keys(): SourceKey[] {
    return [...this.#open, ...this.#ready];
  }

  peerRow(): PeerRow {
    const { nextSerial, proved } = this;
    const givenUp = formatRuns([...this.givenUp].sort((a, b) => a - b));
    return { nextSerial, proved, givenUp, ...this.acceptance() };
  }

  sourceRow(key: SourceKey, state: SourceRow["state"], mark: number): SourceRow {
    const { serial, block, length, bornAt } = key;
    return { peer: this.peer, serial, block, length, state, mark, bornAt, exact: false };
  }

  /** A KMA-key proved equal at both ends, and durable as such. */
  add(key: SourceKey): void {
    this.#ready.push(key);
    this.#readyBytes += key.left;
  }

  /** A KMA-key as it was when the process ended: carving goes on at the durable mark. */
  restore(key: SourceKey, row: SourceRow): void {
    key.carved = key.durable = Math.max(row.mark, FIRST_OFFSET);
    if (row.state === "ready") {
      this.add(key);
    } else {
      key.state = "open";
      this.#open.push(key);
    }
  }

  /**
   * Takes keys off the stock without waiting: from KMA-keys in memory, below their durable marks. All or `undefined`.
   * The pieces' blocks and keys are pinned; whoever takes them disposes them.
   */
  take({ count, step }: Demand): Piece[] | undefined {
    const pieces: Piece[] = [];
    let missing = count;
    for (const key of this.#open) {
      if (missing === 0) break;
      const fits = Math.min(missing, Math.floor((key.durable - key.carved) / step));
      if (fits <= 0) continue;
      const open = this.#context.vault.resident(key.block);
      if (open === undefined) continue;
      pieces.push({ key, open, offset: key.carved, count: fits });
      missing -= fits;
    }
    if (missing > 0) {
      for (const piece of pieces) piece.open[Symbol.dispose]();
      return undefined;
    }
    for (const piece of pieces) this.#carve(piece, step);
    this.#ahead();
    return pieces;
  }

  #carve({ key, count }: Piece, step: number): void {
    key.carved += count * step;
    this.#carvedMeanwhile += count * step;
    key.pins++;
    if (this.peer !== this.#context.self) this.#moved.set(key.serial, key.carved);
  }

  /** Ends a grant's hold on a piece. */
  release(piece: Piece): void {
    const { key, open } = piece;
    open[Symbol.dispose]();
    key.pins--;
    if (key.pins > 0) return;
    const reason = this.#ending.get(key);
    if (reason === undefined && (key.left >= STEP || !this.#open.includes(key))) return;
    const change = this.#context.vault.change();
    if (reason === undefined) this.forget(key, change);
    else this.drop(key, reason, change);
    this.#commitQuietly(change);
  }

  /** Keeps the durable marks ahead of carving, in the background. */
  #ahead(): void {
    const marked = this.#open.reduce((sum, key) => sum + key.durable - key.carved, 0);
    if (marked >= this.#aheadBytes || this.#preparing !== undefined) return;
    this.#preparing = this.#prepare(
      (pinned) => this.#pinAhead(pinned),
      () => {},
    );
    this.#preparing.catch(() => {
      // The next request that needs the marks meets the same fault, and says so.
    });
  }

  /**
   * Makes ready what a demand needs: opens KMA-keys, moves durable marks, brings blocks into memory, all as far as the
   * stock reaches; then calls `then` while the blocks are still pinned. One at a time.
   * @throws Fault HSM_UNAVAILABLE, STORE_UNAVAILABLE
   */
  prepare(demand: Demand, then: () => void = () => {}): Promise<void> {
    if (this.#preparing !== undefined) return this.#preparing.then(then);
    this.#preparing = this.#prepare((pinned) => this.#pin(demand, pinned), then);
    return this.#preparing;
  }

  async #prepare(pin: (pinned: DisposableStack) => Promise<Marks>, then: () => void): Promise<void> {
    using pinned = new DisposableStack();
    this.#carvedMeanwhile = 0;
    try {
      await this.#mark(await pin(pinned));
      this.#aheadBytes = Math.min(Math.max(CHUNK, this.#aheadBytes >> 1, 4 * this.#carvedMeanwhile), MOST_AHEAD);
    } finally {
      this.#preparing = undefined;
    }
    then();
  }

  /** Brings the blocks of a demand into memory; returns how far each one's mark has to be. */
  async #pin({ count, step }: Demand, pinned: DisposableStack): Promise<Marks> {
    const marks = new Map<SourceKey, number>();
    let missing = count;
    for (const key of this.keys()) {
      const fits = Math.min(missing, Math.floor(key.left / step));
      if (fits === 0) continue;
      missing -= fits;
      await this.#bring(key, pinned);
      marks.set(key, Math.min(key.length, key.carved + fits * step + CHUNK));
      if (missing === 0) break;
    }
    return marks;
  }

  /** The same for what will be asked next, from as many KMA-keys as it takes. */
  async #pinAhead(pinned: DisposableStack): Promise<Marks> {
    const marks = new Map<SourceKey, number>();
    let missing = this.#aheadBytes;
    for (const key of this.keys()) {
      if (missing <= 0) break;
      await this.#bring(key, pinned);
      const mark = Math.min(key.length, key.carved + AHEAD);
      missing -= mark - key.carved;
      marks.set(key, mark);
    }
    return marks;
  }

  async #bring({ block }: SourceKey, pinned: DisposableStack): Promise<void> {
    const { vault } = this.#context;
    pinned.use(vault.resident(block) ?? (await vault.open(block)));
  }

  async #mark(marks: Marks): Promise<void> {
    const books = new Set(this.keys());
    const later = [...marks].filter(([key, mark]) => mark > key.durable && books.has(key));
    if (later.length === 0 || this.#settled) return;
    const change = this.#context.vault.change();
    for (const [key, mark] of later) {
      change.put(TABLE.source, kmaRow(this.peer, key.serial), this.sourceRow(key, "open", mark));
    }
    await change.commit();
    for (const [key, mark] of later) {
      if (key.state === "ready" && !this.#leaveReady(key)) continue;
      if (key.state === "ready") this.#open.push(key);
      key.state = "open";
      key.durable = Math.max(key.durable, mark);
    }
  }

  #leaveReady(key: SourceKey): boolean {
    const index = this.#ready.indexOf(key);
    if (index < 0) return false;
    this.#ready.splice(index, 1);
    this.#readyBytes -= key.left;
    return true;
  }

  #leave(key: SourceKey): void {
    const open = this.#open.indexOf(key);
    if (open >= 0) this.#open.splice(open, 1);
    else this.#leaveReady(key);
  }

  /** Takes a KMA-key out of the books and, in `change`, off the disk. */
  forget(key: SourceKey, change: Change): void {
    this.#leave(key);
    this.#ending.delete(key);
    change.remove(TABLE.source, kmaRow(this.peer, key.serial)).destroy(key.block);
    key.idKey[Symbol.dispose]();
  }

  /** Ends one KMA-key unused, counted under its reason, whether or not it came into the stock. */
  drop(key: SourceKey, reason: EndReason, change: Change): void {
    const { log, meter } = this.#context;
    const labels = { peer: this.peer, role: "source", reason };
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
        this.#ending.set(key, reason);
      }
    }
  }

  /** Remembers a serial that the destination may have kept in vain. */
  noteGivenUp(serial: number): void {
    this.givenUp.add(serial);
    const [oldest] = this.givenUp;
    if (this.givenUp.size > MAX_GIVEN_UP && oldest !== undefined) this.givenUp.delete(oldest);
  }

  /** Ends what is too old to carve, and all but the newest rests that are too short for the default key. */
  tidy(oldestBorn: number, shortBytes: number): void {
    const change = this.#context.vault.change();
    const expired = this.keys().filter((key) => key.bornAt <= oldestBorn);
    const excess = this.#excess(shortBytes).filter((key) => key.bornAt > oldestBorn);
    if (expired.length + excess.length === 0) return;
    this.end(expired, "expired", change);
    this.end(excess, "tail", change);
    this.#commitQuietly(change);
  }

  /** All but the newest of the rests too short for the default key, and the shortest of too many open ones. */
  #excess(shortBytes: number): readonly SourceKey[] {
    const tails = this.#open.filter((key) => key.left < shortBytes);
    const byLength = [...this.#open].sort((a, b) => a.left - b.left);
    const excess = [
      ...tails.slice(0, Math.max(0, tails.length - MAX_TAILS)),
      ...byLength.slice(0, Math.max(0, byLength.length - MAX_OPEN)),
    ];
    return [...new Set(excess)];
  }

  // What the change forbids stays forbidden in memory; a restart finds the rows again and ends them again.
  #commitQuietly(change: Change): void {
    change.commit().catch((fault: unknown) => {
      this.#context.log.warn({ peer: this.peer, err: fault }, "ended KMA-keys are still on the disk");
    });
  }

  restoreGivenUp(runs: string): void {
    for (const { first, last } of parseRuns(runs)) {
      for (let serial = first; serial <= last; serial++) this.noteGivenUp(serial);
    }
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
    await this.#preparing?.catch(() => {
      // Whoever asked for it was told.
    });
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

/** Takes a demand off what is left of each KMA-key; returns how many keys were to be had. */
function carveFrom(left: number[], { count, step }: Demand): number {
  let had = 0;
  for (const [index, bytes] of left.entries()) {
    if (had === count) break;
    const fits = Math.min(count - had, Math.floor(bytes / step));
    left[index] = bytes - fits * step;
    had += fits;
  }
  return had;
}
