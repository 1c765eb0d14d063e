// An application that asks for keys which several others get, too: the same for each, once each, or nothing at all.

import { FAULTS, type Fault } from "../../src/core/fault.ts";
import type { AppId } from "../../src/core/ids.ts";
import type { Grant } from "../../src/keys/ports/keys.ts";
import type { AppPorts, Workload } from "./apps.ts";
import { awaited, whenRuns } from "./awaited.ts";
import type { Dice } from "./dice.ts";
import type { SimNode } from "./node.ts";
import type { Pair } from "./oracle.ts";

/** One of those that get the keys, and where it is at home. */
export interface Member {
  readonly app: string;
  readonly at: SimNode;
}

interface Got {
  readonly id: string;
  readonly key: string;
}

/** Pads of several KMs are waited for, then their answers. */
const SUPPLY_OVERDUE_MS = 60_000;
const FETCH_OVERDUE_MS = 30_000;
const SIZES = [64, 256, 512] as const;
const target = Buffer.alloc(1024);

/** One that asks for itself and for two or three others. */
export class GroupPair implements Workload {
  /** With the first of the others. */
  readonly pair: Pair;
  readonly needs: readonly SimNode[];
  readonly served = { supplied: 0, fetched: 0, refused: 0 };
  readonly refusals = new Map<string, number>();
  intervalMs: number;
  readonly #members: readonly Member[];
  readonly #ports: AppPorts;
  readonly #dice: Dice;

  constructor(asker: Member, members: readonly [Member, ...Member[]], intervalMs: number, ports: AppPorts) {
    const [first] = members;
    this.pair = { app: asker.app, at: asker.at, to: first.app, toAt: first.at };
    this.needs = members.map(({ at }) => at);
    this.#members = members;
    this.intervalMs = intervalMs;
    this.#ports = ports;
    this.#dice = ports.dice.branch(`group of ${asker.app}`);
  }

  start(): void {
    this.#ports.clock.after(this.#dice.wait(this.intervalMs), this.pair.app, "asks for several", () => {
      if (this.intervalMs <= 0) return;
      this.ask(false);
      this.start();
    });
  }

  ask(plain: boolean): void {
    whenRuns(this.pair.at, this.pair.app, this.#ports.clock, () => this.#ask(plain));
  }

  #ask(plain: boolean): void {
    const { at, app, to } = this.pair;
    const { km } = at;
    if (km === undefined) return;
    const expect = awaited(at, app, SUPPLY_OVERDUE_MS, this.#ports);
    const others = this.#members.slice(1).map((member) => member.app as AppId);
    const count = plain ? 1 : this.#dice.between(1, 3);
    const sizeBits = plain ? 256 : this.#dice.pick(SIZES);
    const wish = { door: "etsi014", app: app as AppId, destination: to as AppId, others, count, sizeBits } as const;
    km.requests.supply(wish, {
      granted: (grant) => {
        expect.answered();
        if (km === at.km) this.#take(grant);
      },
      refused: (fault) => {
        expect.answered();
        if (km === at.km) this.#refused(fault);
      },
    });
  }

  #take(grant: Grant): void {
    const { oracle, trace } = this.#ports;
    const got = read(grant);
    for (const key of got) oracle.groups.supplied(this.pair, this.#members, key);
    oracle.reached("keys of several applications");
    this.served.supplied += got.length;
    trace.note(`${this.pair.app} has ${got.length} keys with ${this.#members.length} others: ${got[0]?.id ?? ""}`);
    for (const member of this.#members) {
      for (const keys of this.#dice.once(2) ? [got] : got.map((one) => [one])) this.#fetchSoon(member, keys);
    }
  }

  #fetchSoon(member: Member, keys: readonly Got[]): void {
    const { fetchWindowMs } = member.at.settings.policy;
    const waitMs = this.#dice.once(8) ? this.#dice.fraction() * (fetchWindowMs - 20_000) : this.#dice.wait(500);
    const fetch = (): void => this.#fetch(member, keys, fetchWindowMs / 2);
    this.#ports.clock.after(waitMs, member.app, "fetches what several have", fetch);
  }

  /** Asks again while it is told that it may. */
  #fetch(member: Member, keys: readonly Got[], patienceMs: number): void {
    whenRuns(member.at, member.app, this.#ports.clock, () => this.#fetchNow(member, keys, patienceMs));
  }

  #fetchNow(member: Member, keys: readonly Got[], patienceMs: number): void {
    const { oracle, clock } = this.#ports;
    const { app, at } = member;
    const { km } = at;
    const ids = keys.map(({ id }) => id);
    const again = (): void => {
      const waitMs = 500 + this.#dice.wait(2000);
      if (patienceMs > waitMs) {
        clock.after(waitMs, app, "fetches again", () => this.#fetch(member, keys, patienceMs - waitMs));
      }
    };
    if (km === undefined) {
      again();
      return;
    }
    // Until it is answered nobody knows: the process may end after the mark.
    let isAnswered = false;
    const ended = (): void => {
      if (!isAnswered) oracle.groups.doubt(member, ids);
    };
    at.atEnd.add(ended);
    const expect = awaited(at, app, FETCH_OVERDUE_MS, this.#ports);
    const answered = (): boolean => {
      isAnswered = true;
      at.atEnd.delete(ended);
      expect.answered();
      return km === at.km;
    };
    const request = { door: "etsi014", app: app as AppId, initiator: this.pair.app as AppId, keyIds: ids } as const;
    km.requests.fetch(request, {
      granted: (grant) => {
        if (!answered()) return;
        for (const key of read(grant)) oracle.groups.fetched(member, key);
        this.served.fetched += ids.length;
        if (this.#dice.once(5))
          clock.after(this.#dice.wait(5000), app, "fetches twice", () => this.#twice(member, ids));
      },
      refused: (fault) => {
        if (!answered()) return;
        this.#refused(fault);
        // A commit that was rejected may have happened, until the store is put right.
        if (fault.code === "STORE_UNAVAILABLE") oracle.groups.doubt(member, ids);
        if (FAULTS[fault.code].retry) again();
        else oracle.groups.notFound(member, ids, fault.code);
      },
    });
  }

  /** What was fetched before is refused. */
  #twice(member: Member, ids: readonly string[]): void {
    const { oracle } = this.#ports;
    const { app, at } = member;
    const { km } = at;
    const request = { door: "etsi014", app: app as AppId, initiator: this.pair.app as AppId, keyIds: ids } as const;
    km?.requests.fetch(request, {
      granted: (grant) => {
        for (const key of km === at.km ? read(grant) : []) oracle.groups.fetched(member, key);
      },
      refused: (fault) => {
        if (km === at.km) this.#refused(fault);
      },
    });
  }

  #refused(fault: Fault): void {
    const { oracle, trace } = this.#ports;
    const { app } = this.pair;
    oracle.checks.check("sound", fault.code !== "INTERNAL", () => `INTERNAL to ${app}: ${String(fault.cause)}`);
    this.served.refused++;
    this.refusals.set(fault.code, (this.refusals.get(fault.code) ?? 0) + 1);
    trace.note(`${app} is refused for several: ${fault.code}`);
  }
}

function read(grant: Grant): readonly Got[] {
  const got = Array.from({ length: grant.count }, (_, index) => {
    const idEnd = grant.writeId(index, target, 0);
    const id = target.toString("latin1", 0, idEnd);
    return { id, key: target.toString("latin1", idEnd, grant.writeKey(index, target, idEnd)) };
  });
  grant[Symbol.dispose]();
  return got;
}
