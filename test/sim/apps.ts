// Two applications at work: they ask and fetch, give up, come late, come twice, come with wrong IDs.

import { FAULTS, type Fault } from "../../src/core/fault.ts";
import type { AppId } from "../../src/core/ids.ts";
import type { Answer, Grant } from "../../src/keys/ports/keys.ts";
import { awaited, whenRuns } from "./awaited.ts";
import type { SimClock } from "./clock.ts";
import type { Dice } from "./dice.ts";
import type { SimNode } from "./node.ts";
import type { Oracle, Pair } from "./oracle.ts";
import type { Trace } from "./trace.ts";

export interface AppPorts {
  readonly clock: SimClock;
  readonly dice: Dice;
  readonly oracle: Oracle;
  readonly trace: Trace;
  /** All applications, for those who ask for what is not theirs. */
  readonly strangers: readonly { readonly app: string; readonly at: SimNode }[];
}

interface Got {
  readonly id: string;
  readonly key: string;
}

/** Beyond the time that a request may wait, an answer is overdue. */
const OVERDUE_MS = 2000;
const FETCH_OVERDUE_MS = 30_000;
const SIZES = [64, 128, 256, 256, 256, 512, 2048, 8192, 32_000] as const;
/** Of a process that may end at any time. */
const UNWATCHED = { answered: (): void => {} };
const target = Buffer.alloc(16_384);

/** Two applications that ask for keys in one of the ways that there are. */
export interface Workload {
  readonly pair: Pair;
  /** KMs that it needs beside those of the pair. */
  readonly needs?: readonly SimNode[];
  /** Mean time between requests; 0 for none. */
  intervalMs: number;
  /** Keys, and requests refused. */
  readonly served: { supplied: number; fetched: number; refused: number };
  readonly refusals: Map<string, number>;
  start(): void;
  /** `plain` without any mischief. */
  ask(plain: boolean): void;
}

export class AppPair implements Workload {
  readonly pair: Pair;
  readonly #ports: AppPorts;
  readonly #dice: Dice;
  /** Mean time between requests; 0 for none. */
  intervalMs: number;
  /** Keys, and requests refused. */
  served = { supplied: 0, fetched: 0, refused: 0 };
  readonly refusals = new Map<string, number>();

  constructor(pair: Pair, intervalMs: number, ports: AppPorts) {
    this.pair = pair;
    this.#ports = ports;
    this.#dice = ports.dice.branch(`${pair.app}>${pair.to}`);
    this.intervalMs = intervalMs;
  }

  start(): void {
    this.#ports.clock.after(this.#dice.wait(this.intervalMs), this.pair.app, "asks", () => {
      if (this.intervalMs <= 0) return;
      this.ask();
      this.start();
    });
  }

  /** One request, as an application may make it; `plain` without any mischief. */
  ask(plain = false): void {
    whenRuns(this.pair.at, this.pair.app, this.#ports.clock, () => this.#ask(plain));
  }

  #ask(plain: boolean): void {
    const { clock } = this.#ports;
    const { at, app, to } = this.pair;
    const dice = this.#dice;
    // Of the members of a KM it asks one that listens; which of them is the active one it cannot know.
    const km = at.former !== undefined && dice.once(2) ? at.former : at.km;
    if (km === undefined) return;
    const runs = (): boolean => km === at.km || km === at.former;
    const sizeBits = plain ? 256 : dice.pick(SIZES);
    const count = plain || sizeBits > 4096 ? 1 : dice.between(1, 4);
    const door = dice.once(3) ? "etsi014" : "ak";
    const holdMs = !plain && dice.once(10) ? dice.wait(500) : 0;
    const leaves = !plain && dice.once(25);
    const wish = { door, app: app as AppId, destination: to as AppId, count, sizeBits } as const;
    const expect = km === at.km ? awaited(at, app, at.settings.policy.timeoutMs + OVERDUE_MS, this.#ports) : UNWATCHED;
    const answer: Answer = {
      granted: (grant) => {
        expect.answered();
        if (!runs()) return;
        const grantedMs = clock.nowMs;
        if (holdMs === 0) this.#take(grant, leaves, grantedMs);
        else at.after(holdMs, `${app} takes its keys`, () => this.#take(grant, leaves, grantedMs));
      },
      refused: (fault) => {
        expect.answered();
        if (runs()) this.#refused(fault);
      },
    };
    const giveUp = km.requests.supply(wish, answer);
    if (plain || !dice.once(20)) return;
    const gone = (): void => {
      if (!runs()) return;
      giveUp();
      expect.answered();
    };
    clock.after(dice.wait(1000), app, "gives up", () => whenRuns(at, app, clock, gone));
  }

  #refused(fault: Fault): void {
    const { oracle, trace } = this.#ports;
    oracle.checks.check(
      "sound",
      fault.code !== "INTERNAL",
      () => `INTERNAL to ${this.pair.app}: ${String(fault.cause)}`,
    );
    this.served.refused++;
    this.refusals.set(fault.code, (this.refusals.get(fault.code) ?? 0) + 1);
    trace.note(`${this.pair.app} is refused: ${fault.code}`);
  }

  /** Reads a grant; one who `leaves` hears the names and not all keys. */
  #take(grant: Grant, leaves: boolean, grantedMs: number): void {
    const { oracle, trace } = this.#ports;
    const { pair } = this;
    const got: Got[] = [];
    const read = leaves ? this.#dice.between(0, grant.count - 1) : grant.count;
    for (let index = 0; index < grant.count; index++) {
      const idEnd = grant.writeId(index, target, 0);
      const id = target.toString("latin1", 0, idEnd);
      if (index >= read) {
        oracle.supplied(pair, { id, key: undefined }, grantedMs);
        continue;
      }
      const key = target.toString("latin1", idEnd, grant.writeKey(index, target, idEnd));
      oracle.supplied(pair, { id, key }, grantedMs);
      got.push({ id, key });
    }
    grant[Symbol.dispose]();
    this.served.supplied += got.length;
    trace.note(`${pair.app} has ${got.length} of ${grant.count} keys for ${pair.to}: ${got[0]?.id ?? ""}`);
    if (got.length > 0) this.#tell(got);
  }

  /** The other application hears of the keys, now or later, all at once or one by one. */
  #tell(got: readonly Got[]): void {
    const dice = this.#dice;
    if (dice.once(20)) return;
    const { fetchWindowMs } = this.pair.toAt.settings.policy;
    const groups = dice.once(2) ? [got] : got.map((one) => [one]);
    for (const group of groups) {
      const waitMs = dice.once(8) ? dice.fraction() * (fetchWindowMs - 20_000) : dice.wait(500);
      const ids = group.map(({ id }) => id);
      this.#ports.clock.after(waitMs, this.pair.to, "fetches", () =>
        this.#fetch(ids, Math.max(waitMs, fetchWindowMs / 2)),
      );
      if (dice.once(10))
        this.#ports.clock.after(waitMs * dice.fraction(), this.pair.to, "is forestalled", () => this.#steal(ids));
    }
  }

  /** The right application asks, and again while it is told that it may. */
  #fetch(ids: readonly string[], patienceMs: number): void {
    const { oracle, clock } = this.#ports;
    const { pair } = this;
    const { km } = pair.toAt;
    const again = (): void => {
      const waitMs = 500 + this.#dice.wait(2000);
      if (patienceMs > waitMs)
        clock.after(waitMs, pair.to, "fetches again", () => this.#fetch(ids, patienceMs - waitMs));
    };
    if (km === undefined) {
      again();
      return;
    }
    // Until it is answered nobody knows: the process may end after the mark.
    let isSure = false;
    const stopDoubt = this.#doubtAtEnd(ids, () => isSure);
    this.#request(
      pair.toAt,
      { app: pair.to, from: pair.app, ids },
      {
        granted: (keys) => {
          isSure = true;
          stopDoubt();
          for (const key of keys) oracle.fetched(pair.toAt, pair.to, pair.app, key);
          this.served.fetched += keys.length;
          if (this.#dice.once(5)) clock.after(this.#dice.wait(5000), pair.to, "fetches twice", () => this.#twice(ids));
        },
        refused: (fault) => {
          if (fault.code === "STORE_UNAVAILABLE") this.#sureWhenMended(stopDoubt);
          else {
            isSure = true;
            stopDoubt();
          }
          this.#refused(fault);
          if (FAULTS[fault.code].retry) again();
          else oracle.notFound(ids, fault.code);
        },
      },
    );
  }

  /** When the process ends before it has answered, its keys may be marked. */
  #doubtAtEnd(ids: readonly string[], isSure: () => boolean): () => void {
    const { toAt } = this.pair;
    const ended = (): void => {
      if (!isSure()) this.#ports.oracle.doubt(ids);
    };
    toAt.atEnd.add(ended);
    return () => void toAt.atEnd.delete(ended);
  }

  /** A rejected commit may have happened; the disk is put right as soon as the store takes another. */
  #sureWhenMended(sure: () => void): void {
    const { toAt } = this.pair;
    const look = (wasReady: boolean): void => {
      const isReady = toAt.machine.vault?.health().store === "ready";
      if (isReady && wasReady) sure();
      else toAt.after(1000, "is sure of its store", () => look(isReady));
    };
    look(false);
  }

  #twice(ids: readonly string[]): void {
    const { pair } = this;
    this.#request(pair.toAt, { app: pair.to, from: pair.app, ids }, this.#expectNothing(pair.to, pair.app, pair.toAt));
  }

  /** Somebody else, somebody else's name, or an ID with one digit changed. */
  #steal(ids: readonly string[]): void {
    const { strangers } = this.#ports;
    const { pair } = this;
    const thief = this.#dice.pick(strangers);
    const from = this.#dice.pick([pair.app, pair.to, this.#dice.pick(strangers).app]);
    // Of a strict peer's key nobody knows here for whom it was meant: it is given whatever is said of that.
    const isParty = thief.app === pair.to && (from === pair.app || pair.toAt.isStrict(pair.at.id));
    const wrong = isParty || this.#dice.once(4) ? ids.map((id) => this.#misspelt(id)) : ids;
    this.#request(thief.at, { app: thief.app, from, ids: wrong }, this.#expectNothing(thief.app, from, thief.at));
  }

  #misspelt(id: string): string {
    const at = this.#dice.between(24, id.length - 1);
    const digit = id[at] === "0" ? "1" : "0";
    return id.slice(0, at) + digit + id.slice(at + 1);
  }

  #expectNothing(app: string, from: string, at: SimNode): FetchAnswer {
    const { oracle } = this.#ports;
    return {
      granted: (keys) => {
        for (const key of keys) oracle.fetched(at, app, from, key);
      },
      refused: (fault) => this.#refused(fault),
    };
  }

  #request(
    at: SimNode,
    { app, from, ids }: { readonly app: string; readonly from: string; readonly ids: readonly string[] },
    then: FetchAnswer,
  ): void {
    whenRuns(at, app, this.#ports.clock, () => this.#requestNow(at, { app, from, ids }, then));
  }

  #requestNow(
    at: SimNode,
    { app, from, ids }: { readonly app: string; readonly from: string; readonly ids: readonly string[] },
    then: FetchAnswer,
  ): void {
    const { km } = at;
    if (km === undefined) return;
    const expect = awaited(at, app, FETCH_OVERDUE_MS, this.#ports);
    const request = { door: "ak", app: app as AppId, initiator: from as AppId, keyIds: ids } as const;
    km.requests.fetch(request, {
      granted: (grant) => {
        expect.answered();
        if (at.km !== km) return;
        const keys = Array.from({ length: grant.count }, (_, index) => {
          const idEnd = grant.writeId(index, target, 0);
          const id = target.toString("latin1", 0, idEnd);
          return { id, key: target.toString("latin1", idEnd, grant.writeKey(index, target, idEnd)) };
        });
        grant[Symbol.dispose]();
        then.granted(keys);
      },
      refused: (fault) => {
        expect.answered();
        if (at.km === km) then.refused(fault);
      },
    });
  }
}

interface FetchAnswer {
  granted(keys: readonly Got[]): void;
  refused(fault: Fault): void;
}
