// A simulated etcd: three voters with one history, each of which can be off, cut off, slow, or silent in its watches.

import {
  type Etcd,
  EtcdError,
  type RangeQuery,
  type Transaction,
  type TransactionAnswer,
  type WatchBatch,
  type WatchQuery,
} from "../../../src/cluster/etcd.ts";
import { MemoryEtcd } from "../../cluster/support/memory-etcd.ts";
import type { SimClock } from "../clock.ts";
import type { Dice } from "../dice.ts";

const VOTERS = 3;
const QUORUM = 2;
/** What a question, an answer, and a watch's look at its voter take. */
const WAY_MS = 2;
const WATCH_MS = 40;
/** How long a client waits, as `src/node/member.ts` has it for a lease of 3 s. */
const TIMEOUT_MS = 1_500;

interface Voter {
  readonly name: string;
  isUp: boolean;
  /** Without the other voters: it serves nothing, and its watches bring only what it had. */
  isAlone: boolean;
  /** Its watches are silent, also those that begin. */
  isMute: boolean;
  /** What its watches know; undefined: everything. */
  stoodAt: number | undefined;
  /** Watches of before end with it, but for those that hang. */
  starts: number;
}

export class SimEtcd {
  readonly voters: readonly Voter[];
  readonly #clock: SimClock;
  readonly #dice: Dice;
  /** Ways that carry nothing: `member voter`. */
  readonly cuts = new Set<string>();
  history = new MemoryEtcd();
  /** How much longer each answer takes. */
  slowMs = 0;
  electingUntilMs = 0;
  /** How often it was restored from a snapshot. */
  restores = 0;
  /** Told of each change that etcd has made. */
  readonly #changed: () => void;
  readonly #ttlS = new Map<string, { readonly seconds: number; end: () => void }>();
  /** Proposals that have no quorum: they may be made later, when nobody waits for them. */
  #proposals: (() => void)[] = [];

  constructor(clock: SimClock, dice: Dice, changed: () => void) {
    this.#clock = clock;
    this.#changed = changed;
    this.#dice = dice;
    this.voters = Array.from({ length: VOTERS }, (_, at) => ({
      ...{ name: `etcd-${at + 1}`, isUp: true, isAlone: false, isMute: false },
      ...{ stoodAt: undefined, starts: 0 },
    }));
  }

  get hasQuorum(): boolean {
    return this.voters.filter(({ isUp, isAlone }) => isUp && !isAlone).length >= QUORUM;
  }

  serves({ isUp, isAlone }: Voter): boolean {
    return isUp && !isAlone && this.hasQuorum && this.#clock.nowMs >= this.electingUntilMs;
  }

  /** A voter leaves the others, or comes back and has what they have. */
  part(voter: Voter, how: Partial<Pick<Voter, "isUp" | "isAlone">>): void {
    Object.assign(voter, how);
    if (how.isUp === false) voter.starts += 1;
    const isWith = voter.isUp && !voter.isAlone;
    voter.stoodAt = isWith ? undefined : (voter.stoodAt ?? this.history.standing.revision);
    if (!this.hasQuorum) return;
    for (const propose of this.#proposals.splice(0)) if (this.#dice.once(2)) propose();
  }

  /** It has only what it had then; every voter begins with that, and no way to it is open any more. */
  restore(snapshot: MemoryEtcd, cluster: string): void {
    this.restores += 1;
    this.history = snapshot.copy(cluster);
    this.#proposals = [];
    for (const voter of this.voters) {
      voter.starts += 1;
      if (voter.stoodAt !== undefined) voter.stoodAt = this.history.standing.revision;
    }
    for (const { end } of this.#ttlS.values()) end();
    for (const lease of this.history.leases) this.#keep(lease, this.#ttlS.get(lease)?.seconds ?? 3);
  }

  heal(): void {
    this.cuts.clear();
    this.slowMs = 0;
    for (const voter of this.voters) {
      voter.isMute = false;
      this.part(voter, { isUp: true, isAlone: false });
    }
  }

  /** Makes a change when there is a quorum, or perhaps later. */
  propose(voter: Voter, make: () => void): void {
    if (this.serves(voter)) make();
    else if (voter.isUp) this.#proposals.push(make);
  }

  transact(transaction: Transaction): TransactionAnswer {
    const answer = this.history.transact(transaction);
    if (answer.succeeded) this.#changed();
    return answer;
  }

  grant(seconds: number): string {
    const lease = this.history.grant();
    this.#keep(lease, seconds);
    return lease;
  }

  renew(lease: string): number {
    const { seconds } = this.#ttlS.get(lease) ?? { seconds: 0 };
    if (!this.history.has(lease)) return 0;
    this.#keep(lease, seconds);
    return seconds;
  }

  /** A lease ends when there is somebody to say so. */
  #keep(lease: string, seconds: number): void {
    this.#ttlS.get(lease)?.end();
    const over = (): void => {
      if (this.hasQuorum && this.#clock.nowMs >= this.electingUntilMs) this.history.revoke(lease);
      else this.#keep(lease, seconds);
    };
    this.#ttlS.set(lease, { seconds, end: this.#clock.after(seconds * 1000, "etcd", "a lease ends", over) });
  }
}

/** What a process has of the simulated time: nothing happens to it after its end. */
export type After = (ms: number, what: string, then: () => void) => () => void;

/** One member's client: as the gateway's, it asks the next voter when one has not answered. */
export class SimClient implements Etcd {
  readonly #etcd: SimEtcd;
  readonly #member: string;
  readonly #clock: SimClock;
  readonly #after: After;
  #at = 0;

  constructor(etcd: SimEtcd, member: string, clock: SimClock, after: After) {
    this.#etcd = etcd;
    this.#member = member;
    this.#clock = clock;
    this.#after = after;
  }

  range(query: RangeQuery): ReturnType<Etcd["range"]> {
    return this.#ask((voter, answer) => this.#etcd.serves(voter) && answer(() => this.#etcd.history.range(query)));
  }

  transact(transaction: Transaction): ReturnType<Etcd["transact"]> {
    return this.#change(() => this.#etcd.transact(transaction));
  }

  grant(ttlS: number): Promise<string> {
    return this.#change(() => this.#etcd.grant(ttlS));
  }

  renew(lease: string): Promise<number> {
    return this.#change(() => this.#etcd.renew(lease));
  }

  revoke(lease: string): Promise<void> {
    return this.#change(() => this.#etcd.history.revoke(lease));
  }

  compact(revision: number): Promise<void> {
    return this.#change(() => this.#etcd.history.compact(revision));
  }

  close(): void {}

  async *watch({ prefix, fromRevision, heard }: WatchQuery, signal: AbortSignal): AsyncGenerator<WatchBatch> {
    const voter = this.#voter;
    const { starts } = voter;
    const { restores } = this.#etcd;
    const hangs = voter.isMute;
    try {
      // A gateway that does not answer is given up in time; what comes later may hang for ever.
      if (!voter.isUp || !this.#reaches(voter)) await this.#pause(TIMEOUT_MS, signal);
      if (!voter.isUp || !this.#reaches(voter)) throw new EtcdError("unknown", "no answer");
      heard();
      for (let next = fromRevision; ; ) {
        await this.#pause(WATCH_MS, signal);
        if (hangs || voter.isMute || !this.#reaches(voter)) continue;
        if (voter.starts !== starts || restores !== this.#etcd.restores) throw new EtcdError("unknown", "it ended");
        const { history } = this.#etcd;
        const to = voter.stoodAt ?? history.standing.revision;
        const events = history.changes(prefix, next, to);
        next = Math.max(next, to + 1);
        if (events.length === 0) continue;
        heard();
        yield { cluster: history.cluster, revision: to, events };
      }
    } catch (thrown) {
      if (!signal.aborted || signal.reason instanceof EtcdError) this.#failed(voter);
      throw thrown;
    }
  }

  get #voter(): Voter {
    const [first, ...others] = this.#etcd.voters;
    const voter = [first, ...others][this.#at % VOTERS];
    if (voter === undefined) throw new Error("etcd has no voters");
    return voter;
  }

  #reaches({ name }: Voter): boolean {
    return !this.#etcd.cuts.has(`${this.#member} ${name}`);
  }

  #failed(voter: Voter): void {
    if (voter === this.#voter) this.#at += 1;
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = (): void => reject(new EtcdError("unknown", "given up"));
    signal.addEventListener("abort", giveUp, { once: true });
    if (signal.aborted) giveUp();
    const cancel = this.#after(ms, "watches", resolve);
    try {
      await promise;
    } finally {
      cancel();
      signal.removeEventListener("abort", giveUp);
    }
  }

  #change<T>(make: () => T): Promise<T> {
    return this.#ask((voter, answer) => this.#etcd.propose(voter, () => answer(make)));
  }

  /** The question and the answer each take their time, and each may be lost: whether it happened is unknown then. */
  #ask<T>(work: (voter: Voter, answer: (make: () => T) => void) => void): Promise<T> {
    const voter = this.#voter;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const cancel = this.#after(TIMEOUT_MS, "waits no longer", () => {
      this.#failed(voter);
      reject(new EtcdError("unknown", `${voter.name} does not answer`));
    });
    const answer = (make: () => T): void => {
      const outcome = Promise.try(make);
      outcome.catch(() => {});
      this.#after(WAY_MS + this.#etcd.slowMs, "has an answer", () => {
        if (!this.#reaches(voter)) return;
        cancel();
        resolve(outcome);
      });
    };
    if (this.#reaches(voter)) {
      const { restores } = this.#etcd;
      this.#clock.after(WAY_MS + this.#etcd.slowMs, "etcd", `is asked by ${this.#member}`, () => {
        if (restores === this.#etcd.restores) work(voter, answer);
      });
    }
    return promise;
  }
}
