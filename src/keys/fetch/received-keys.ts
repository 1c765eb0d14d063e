// The KMA-keys that another KM is the source of: kept whole here, fetched by ID, once each.

import type { EndReason } from "../../core/counters.ts";
import type { KmId } from "../../core/ids.ts";
import { formatRuns, inRuns, parseRuns } from "../../core/text/runs.ts";
import type { Change } from "../../vault/vault.ts";
import { MOST_LEAP, SERIALS_AHEAD } from "../common/bounds.ts";
import type { Context } from "../common/context.ts";
import { FIRST_OFFSET, STEP } from "../common/key-id.ts";
import { kmaRow, type PeerRow, type ReceivedRow, TABLE } from "../common/rows.ts";
import { Purposes } from "../supply/purpose.ts";
import type { ReceivedKey } from "./received-key.ts";

/** Serials below the highest that may still come: relays of several routes overtake one another. */
const WINDOW = 256;
/** How far above the highest serial accepted one may be that is given up: a source remembers no more of them. */
const MOST_ABANDONED = 1024;

/** Something that a fetch takes, and the KMA-key in which it lies. */
export interface TakenFrom {
  readonly key: ReceivedKey;
}

/** All KMA-keys of one source, with the highest serial accepted and a window below it. */
export class ReceivedKeys {
  readonly peer: KmId;
  /** For whom its keys were fetched last. */
  readonly purposes: Purposes;
  readonly #context: Context;
  readonly #keys = new Map<number, ReceivedKey>();
  /** The highest serial accepted. */
  accepted = 0;
  /** The highest serial that the source said it gave, when it told its state last. */
  told: number | undefined;
  /** The highest serial that the source itself announced over the connection there is. */
  #vouched = 0;
  /** Accepted ones within the window below it. */
  readonly #recent = new Set<number>();
  /** Ended, but a fetch is under way. */
  readonly #ending = new Map<ReceivedKey, EndReason>();
  /** Serials whose relay is being taken in; false when the source gave them up meanwhile. */
  readonly #expected = new Map<number, boolean>();

  constructor(context: Context, peer: KmId) {
    this.#context = context;
    this.peer = peer;
    this.purposes = new Purposes({ source: peer, destination: context.self }, peer);
  }

  get size(): number {
    return this.#keys.size;
  }

  get(serial: number): ReceivedKey | undefined {
    return this.#keys.get(serial);
  }

  keys(): Iterable<ReceivedKey> {
    return this.#keys.values();
  }

  serials(): number[] {
    return [...this.#keys.keys()].sort((a, b) => a - b);
  }

  /** Whether a serial may be accepted: never before, and not so far below the highest that nobody remembers. */
  isNew(serial: number): boolean {
    if (this.#expected.has(serial)) return false;
    return serial > this.accepted || (serial > this.accepted - WINDOW && !this.#recent.has(serial));
  }

  /** Whether the source's own word covers a serial: what comes through other KMs may be a lie of theirs (key-protocol 6). */
  isCovered(serial: number): boolean {
    return serial <= this.#vouched + SERIALS_AHEAD;
  }

  /** The source announced, over its own connection, that it gave serials up to this one. */
  vouch(given: number): void {
    this.#vouched = Math.max(this.#vouched, given);
  }

  /** A connection with the source began: nothing was announced over it. */
  unvouch(): void {
    this.#vouched = this.accepted;
  }

  /**
   * Begins anew with the source: serials that lie further above what it last told of itself than it would believe itself
   * were never given by it, and are not held against it.
   */
  restart(): void {
    if (this.told === undefined || this.accepted - this.told <= MOST_LEAP) return;
    this.#recent.clear();
    this.accepted = 0;
    this.raise(this.told);
    this.#vouched = this.accepted;
  }

  accept(serial: number): void {
    this.accepted = Math.max(this.accepted, serial);
    this.#recent.add(serial);
    for (const old of this.#recent) if (old <= this.accepted - WINDOW) this.#recent.delete(old);
  }

  /** A relay of this serial is being taken in: it is accepted when its tag is right, for a wrong one may lie about it. */
  expect(serial: number): void {
    this.#expected.set(serial, true);
  }

  isExpected(serial: number): boolean {
    return this.#expected.get(serial) === true;
  }

  /** The relay was taken in, or refused. */
  settle(serial: number): void {
    this.#expected.delete(serial);
  }

  /** Relays being taken in. */
  get expected(): number {
    return this.#expected.size;
  }

  acceptance(): Pick<PeerRow, "accepted" | "window"> {
    return { accepted: this.accepted, window: formatRuns([...this.#recent].sort((a, b) => a - b)) };
  }

  restoreAcceptance(row: Pick<PeerRow, "accepted" | "window">): void {
    this.accepted = row.accepted;
    for (const { first, last } of parseRuns(row.window)) {
      for (let serial = first; serial <= last; serial++) this.#recent.add(serial);
    }
  }

  add(key: ReceivedKey): void {
    this.#keys.set(key.serial, key);
  }

  row(key: ReceivedKey): ReceivedRow {
    const { serial, block, length, bornAt, announced } = key;
    return {
      peer: this.peer,
      serial,
      block,
      length,
      bornAt,
      witness: announced,
      fetched: key.fetched.slice(),
    };
  }

  /** How long the oldest are held, at most so many: a source whose clock was wrong while it was off may think them younger. */
  ages(most: number): { readonly serial: number; readonly s: number }[] {
    // After a crash the clock goes on from where it was saved last, which may be before a key was born.
    const now = this.#context.ages.nowOn();
    const oldest = [...this.#keys.values()].slice(0, most);
    return oldest.map(({ serial, bornAt }) => ({ serial, s: Math.max(0, Math.ceil((now - bornAt) / 1000)) }));
  }

  /** Takes a KMA-key out of the books and, in `change`, off the disk. */
  #forget(key: ReceivedKey, change: Change): void {
    this.#keys.delete(key.serial);
    this.#ending.delete(key);
    change.remove(TABLE.held, kmaRow(this.peer, key.serial)).destroy(key.block);
    // rule: free-id-key
    key.idKey[Symbol.dispose]();
  }

  /** Ends KMA-keys, counted under their reason. What a fetch holds goes off the disk when that has ended. */
  end(keys: Iterable<ReceivedKey>, reason: EndReason, change: Change): void {
    for (const key of [...keys]) {
      if (key.pins === 0) {
        this.#drop(key, reason, change);
      } else {
        this.#keys.delete(key.serial);
        this.#ending.set(key, reason);
      }
    }
  }

  #drop(key: ReceivedKey, reason: EndReason, change: Change): void {
    const { audit, log, meter } = this.#context;
    const labels = { peer: this.peer, role: "destination", reason };
    // rule: audit-end
    audit.note("kma_key_ended", { ...labels, serial: key.serial, bytes: key.left });
    meter.add("kma_keys_ended", labels);
    meter.add("kma_bytes_lost", labels, key.left);
    log.info({ peer: this.peer, serial: key.serial, reason, bytes: key.left }, "a held KMA-key ended");
    this.#forget(key, change);
  }

  /** Fetches of these KMA-keys have ended: what is fetched whole is destroyed, and what was to end meanwhile. */
  retire(taken: Iterable<TakenFrom>): void {
    let over: Set<ReceivedKey> | undefined;
    for (const { key } of taken) {
      if (key.pins > 0) continue;
      if (this.#ending.has(key) || (key.left < STEP && this.#keys.get(key.serial) === key)) {
        over = (over ?? new Set()).add(key);
      }
    }
    if (over === undefined) return;
    const change = this.#context.vault.change();
    for (const key of over) {
      const reason = this.#ending.get(key);
      if (reason === undefined) this.#spent(key, change);
      else this.#drop(key, reason, change);
    }
    change.commit().catch((err: unknown) => {
      this.#context.log.warn({ peer: this.peer, err }, "fetched KMA-keys are still on the disk");
    });
  }

  #spent(key: ReceivedKey, change: Change): void {
    const { serial } = key;
    const fields = { peer: this.peer, role: "destination" };
    this.#context.audit.note("kma_keys_spent", fields, { first: serial, end: serial + 1 });
    this.#forget(key, change);
  }

  /** Raises the highest serial accepted: nothing up to it is accepted again. */
  raise(serial: number): void {
    if (serial <= this.accepted) return;
    this.accepted = serial;
    this.#recent.clear();
    for (let below = Math.max(1, serial - WINDOW + 1); below <= serial; below++) this.#recent.add(below);
  }

  /** Keeps the source's mark as a witness. */
  witness({ serial, offset }: { readonly serial: number; readonly offset: number }, change: Change): void {
    const key = this.#keys.get(serial);
    if (key === undefined || offset <= key.announced) return;
    key.announced = Math.min(offset, key.length);
    change.put(TABLE.held, kmaRow(this.peer, serial), this.row(key));
  }

  /**
   * Ends what the source told it gave up, and accepts it no more: its relay may still be on the way. What was carved was not
   * given up, whatever a source says that is a restored copy. The change has to have the row of the peer, too.
   */
  giveUp(runs: string, change: Change): void {
    const givenUp = parseRuns(runs);
    const isAbandoned = inRuns(givenUp);
    for (const serial of this.#expected.keys()) if (isAbandoned(serial)) this.#expected.set(serial, false);
    this.end(
      [...this.keys()].filter((key) => isAbandoned(key.serial) && key.witness === FIRST_OFFSET),
      "given_up",
      change,
    );
    const most = Math.min(this.accepted + MOST_ABANDONED, this.#vouched + SERIALS_AHEAD);
    for (const { first, last } of givenUp) {
      for (let serial = Math.max(first, this.accepted - WINDOW); serial <= Math.min(last, most); serial++)
        // rule: refuse-abandoned
        this.accept(serial);
    }
  }
}
