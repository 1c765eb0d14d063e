// One machine of a KM: the real member, store and copy of src/cluster, and a small supplier that carves below durable marks.

import { deserialize } from "node:v8";
import { layoutOf } from "../../../src/cluster/layout.ts";
import { idOfWrite } from "../../../src/cluster/lineage.ts";
import { Member } from "../../../src/cluster/member.ts";
import type { Clock } from "../../../src/core/ports.ts";
import type { Store } from "../../../src/vault/store/store.ts";
import { type MemoryDisk, makeMemoryDisk } from "../../support/memory-store.ts";
import type { SimClock } from "../clock.ts";
import type { Dice } from "../dice.ts";
import { type After, SimClient, type SimEtcd } from "./etcd.ts";
import type { MemberOracle } from "./oracle.ts";

export const KM = "km-b";
const LEASE_S = 3;
const TABLE = "t";
/** Of the supplier: how far its mark runs ahead. */
const CHUNK = 8;
const REOPEN_MS = 300;

/** What a machine stands in. */
export interface Around {
  readonly clock: SimClock;
  readonly dice: Dice;
  readonly etcd: SimEtcd;
  readonly oracle: MemberOracle;
  /** Of all members: its counter is moved by whoever begins to be active. */
  readonly token: { count: number };
  readonly note: (what: string) => void;
}

/** A process, from its start to its end. */
interface Life {
  ended: boolean;
  readonly stop: AbortController;
  /** Ends the time as the active member. */
  handOver: () => void;
}

const numberOf = (value: Uint8Array | undefined): number => Number(Buffer.from(value ?? "0").toString());
const put = (id: string, value: number | string) =>
  ({ op: "put", table: TABLE, id, value: Buffer.from(`${value}`) }) as const;

/** Tells the oracle how far the mark in etcd is. */
export function markIn({ history }: SimEtcd, oracle: MemberOracle): void {
  const read = (id: string) => history.valueOf(`/qkm/${KM}/row/${TABLE}/${id}`);
  oracle.marked(numberOf(read("era")), numberOf(read("mark")));
}

/** What the token is to be held against. */
export const guardIn = (history: SimEtcd["history"]): number =>
  numberOf(history.valueOf(`/qkm/${KM}/row/${TABLE}/guard`));

/** A machine with a disk, and the process that runs on it. */
export class SimMember {
  readonly id: string;
  disk: MemoryDisk = makeMemoryDisk();
  readonly #around: Around;
  readonly #ids: Dice;
  #life: Life = { ended: true, stop: new AbortController(), handOver() {} };
  #member: Member | undefined;
  #supplier: Supplier | undefined;
  /** It has seen more than etcd has, and said so. */
  isAhead = false;
  /** Applications do not reach it. */
  isHidden = false;
  /** How often it has become the active one. */
  activeTimes = 0;

  constructor(id: string, around: Around) {
    this.id = id;
    this.#around = around;
    this.#ids = around.dice.branch("IDs of writes");
  }

  get isRunning(): boolean {
    return !this.#life.ended;
  }

  get report(): ReturnType<Member["report"]> | undefined {
    return this.#life.ended ? undefined : this.#member?.report();
  }

  /** The machine stands still; what is due meanwhile comes afterwards. */
  pause(ms: number): void {
    this.#around.clock.hold(this.id, this.#around.clock.nowMs + ms);
  }

  boot(): void {
    if (this.isRunning) return;
    const life: Life = { ended: false, stop: new AbortController(), handOver() {} };
    this.#life = life;
    void this.#live(life);
  }

  /** The process ends without a word; what was under way is lost or not. */
  crash(): void {
    if (!this.isRunning) return;
    this.#life.ended = true;
    this.#member = undefined;
    this.#supplier = undefined;
    this.disk.crash(this.#around.dice.between(0, 2));
  }

  /** An operator stops it, empties its copy, and starts it. */
  empty(): void {
    this.crash();
    this.disk = makeMemoryDisk();
    this.isAhead = false;
    this.boot();
  }

  /** Whether its disk has a write that the snapshot lacks. */
  knowsMoreThan(snapshot: SimEtcd["history"]): boolean {
    const row = this.disk.snapshot().rows.get(JSON.stringify(["qkm-copy", "at"]));
    const [written] = snapshot.range({ prefix: layoutOf(KM).write }).found;
    if (row === undefined || written === undefined) return false;
    const { revision, lastWrite } = deserialize(row);
    return revision >= written.modRevision && lastWrite !== idOfWrite(written);
  }

  handOver(): void {
    this.#life.handOver();
  }

  /** An application asks for a byte, wherever it finds a member that takes it for the active one. */
  ask(): void {
    if (!this.#life.ended && !this.isHidden) this.#supplier?.ask();
  }

  #after(life: Life): After {
    return (ms, what, then) => this.#around.clock.after(ms, this.id, what, () => life.ended || then());
  }

  async #live(life: Life): Promise<void> {
    const { clock: sim, etcd, oracle, note } = this.#around;
    const after = this.#after(life);
    const wait = (ms: number) => new Promise<void>((resolve) => void after(ms, "waits", resolve));
    const clock: Clock = {
      monotonicMs: () => sim.nowMs,
      wallMs: () => sim.nowMs,
      after: (ms, then) => after(ms, "timer", then),
    };
    const error = ({ alarm }: Readonly<Record<string, unknown>>, sentence: string): void => {
      note(`${this.id} error: ${sentence}`);
      this.isAhead ||= alarm === "restored";
      const isRight = alarm === "restored" && etcd.restores > 0;
      oracle.checks.check("sound", isRight, () => `${this.id}: ${sentence}, but nobody restored it`);
    };
    const log = { debug() {}, info() {}, warn: (_: object, what: string) => note(`${this.id}: ${what}`), error };
    for (let holdBackMs = 0; !life.ended; holdBackMs = LEASE_S * 1000) {
      const ports = {
        ...{ etcd: new SimClient(etcd, this.id, sim, after), openCopy: () => this.disk.open(), clock, log },
        random: { hex: (bytes: number) => this.#ids.hex(bytes) },
        restored: () => [put("restored", 1)],
      };
      const member = await Member.open({ km: KM, member: this.id, leaseS: LEASE_S, holdBackMs }, ports);
      this.#member = member;
      if (!(await member.becomeActive(life.stop.signal))) return;
      this.activeTimes += 1;
      note(`${this.id} is active, generation ${member.generation}`);
      const over = Promise.withResolvers<string>();
      life.handOver = () => over.resolve("told to hand over");
      void member.lost.then(over.resolve);
      const supplier = new Supplier(this.id, member, this.#around, wait);
      this.#supplier = supplier;
      const supplying = supplier.run();
      note(`${this.id} stands aside: ${await over.promise}`);
      supplier.end();
      await supplying;
      this.#supplier = undefined;
      await member[Symbol.asyncDispose]();
    }
  }
}

/** What a key manager does with its store, as small as it can be: marks before bytes, and rows that must not be lost. */
class Supplier {
  readonly #id: string;
  readonly #member: Member;
  readonly #around: Around;
  readonly #wait: (ms: number) => Promise<void>;
  #store: Store | undefined;
  #isOver = false;
  #era: number | undefined;
  #durable = 0;
  #carved = 0;
  #marking = false;
  #isGuarded = false;
  #rows = 0;

  constructor(id: string, member: Member, around: Around, wait: (ms: number) => Promise<void>) {
    this.#id = id;
    this.#member = member;
    this.#around = around;
    this.#wait = wait;
  }

  end(): void {
    this.#isOver = true;
  }

  /** Opens the store, again whenever it has refused a change. */
  async run(): Promise<void> {
    while (!this.#isOver) {
      if (this.#store === undefined) await this.#open();
      await this.#wait(REOPEN_MS);
    }
    await this.#store?.close();
  }

  async #open(): Promise<void> {
    try {
      const store = await this.#member.openStore();
      const rows = new Map(store.rows(TABLE));
      const isOld = !this.#isGuarded && numberOf(rows.get("guard")) < this.#around.token.count;
      if (rows.has("restored") || !rows.has("era") || isOld) await this.#beginAnew(store, rows.keys());
      else this.#goOn(rows);
      await this.#guard(store);
      this.#store = store;
    } catch {
      // Tried again: whoever is the owner no more is told otherwise.
    }
  }

  /** The row first: a counter that is ahead of it would make a restored copy of the store. */
  async #guard(store: Store): Promise<void> {
    const { token } = this.#around;
    if (this.#isGuarded) return;
    const count = token.count + 1;
    await store.write([put("guard", count)]);
    token.count = Math.max(token.count, count);
    this.#isGuarded = true;
  }

  #goOn(rows: ReadonlyMap<string, Uint8Array>): void {
    const era = numberOf(rows.get("era"));
    this.#around.oracle.opened(this.#id, era, new Set(rows.keys()));
    this.#durable = numberOf(rows.get("mark"));
    // A new owner begins at the marks; one that goes on has carved below them.
    this.#carved = this.#era === era ? this.#carved : this.#durable;
    this.#era = era;
  }

  /** What a restored copy calls unused may have been used: all of it is destroyed. */
  async #beginAnew(store: Store, ids: Iterable<string>): Promise<void> {
    const era = this.#around.oracle.newEra();
    const removed = [...ids].map((id) => ({ op: "remove", table: TABLE, id }) as const);
    await store.write([...removed, put("era", era), put("mark", 0)]);
    this.#era = era;
    this.#durable = 0;
    this.#carved = 0;
  }

  /** A byte below the durable mark is handed out; otherwise the mark is moved on for those who ask later. */
  ask(): void {
    const { oracle, dice } = this.#around;
    const era = this.#era;
    if (era === undefined) return;
    if (this.#carved < this.#durable) {
      oracle.carve(this.#id, era, this.#carved);
      this.#carved += 1;
    }
    if (this.#durable - this.#carved < CHUNK / 2) void this.#mark(era);
    if (dice.once(3)) void this.#keep(era);
  }

  async #mark(era: number): Promise<void> {
    const store = this.#store;
    if (this.#marking || store === undefined) return;
    this.#marking = true;
    const mark = this.#durable + CHUNK;
    try {
      await store.write([put("mark", mark)]);
      if (this.#era === era && this.#store === store) this.#durable = mark;
    } catch {
      this.#refused(store);
    } finally {
      this.#marking = false;
    }
  }

  async #keep(era: number): Promise<void> {
    const store = this.#store;
    if (store === undefined) return;
    this.#rows += 1;
    const id = `${this.#id} ${this.#member.generation} ${this.#rows}`;
    try {
      await store.write([put(id, 1)]);
      this.#around.oracle.acknowledged(era, id);
    } catch {
      this.#refused(store);
    }
  }

  #refused(store: Store): void {
    if (this.#store !== store) return;
    this.#store = undefined;
    void store.close();
  }
}
