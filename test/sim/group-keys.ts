// Keys that several applications get, as the oracle sees them: the same bytes for each, once each.

import type { SimClock } from "./clock.ts";
import type { Copies } from "./copies.ts";
import type { Member } from "./groups.ts";
import type { Ledger } from "./ledger.ts";
import type { Losses } from "./losses.ts";
import type { Pair } from "./oracle.ts";
import type { Checks } from "./rules.ts";

interface Issued {
  readonly key: string;
  readonly atMs: number;
  /** Of each application. */
  readonly states: Map<string, "supplied" | "fetched" | "doubtful">;
}

/** What the oracle knows beside. */
interface Known {
  readonly ledger: Ledger;
  readonly copies: Copies;
  readonly losses: Losses;
}

/** Ticks, and age that a restart did not count. */
const SLACK_MS = 15_000;

export class GroupKeys {
  readonly #checks: Checks;
  readonly #ledger: Ledger;
  readonly #copies: Copies;
  readonly #losses: Losses;
  readonly #clock: SimClock;
  readonly #issued = new Map<string, Issued>();

  constructor(checks: Checks, { ledger, copies, losses }: Known, clock: SimClock) {
    this.#checks = checks;
    this.#losses = losses;
    this.#ledger = ledger;
    this.#copies = copies;
    this.#clock = clock;
  }

  /** The one that asked has it; from now on the others can fetch it. */
  supplied(pair: Pair, members: readonly Member[], { id, key }: { readonly id: string; readonly key: string }): void {
    const { app } = pair;
    this.#checks.check("one_use", !this.#issued.has(id), () => `${id} is supplied to ${app} and others twice`);
    this.#ledger.suppliedWhole(id, Buffer.from(key, "base64"));
    // What a home has lost since it said that it had them is not known yet where they are supplied.
    const isLost = ({ at }: Member): boolean =>
      at !== pair.at && this.#losses.isUnknown({ ...pair, toAt: at }, this.#clock.nowMs);
    const states = new Map(members.map((member) => [member.app, isLost(member) ? "doubtful" : "supplied"] as const));
    this.#issued.set(id, { key, atMs: this.#clock.nowMs, states });
  }

  fetched({ app, at }: Member, { id, key }: { readonly id: string; readonly key: string }): void {
    const issued = this.#issued.get(id);
    const state = issued?.states.get(app);
    this.#checks.check("identity", state !== undefined, () => `${app} fetched ${id}, which it was not given`);
    this.#checks.check("one_use", state !== "fetched", () => `${app} fetched ${id} a second time`);
    this.#checks.check(
      "synchronised",
      issued?.key === key,
      () => `${app} fetched other bytes of ${id} than others have`,
    );
    issued?.states.set(app, "fetched");
    this.#copies.unseen(at, () => void issued?.states.set(app, "doubtful"));
  }

  /** A fetch of these ended without an answer. */
  doubt({ app }: Member, ids: readonly string[]): void {
    for (const id of ids) {
      const { states } = this.#issued.get(id) ?? {};
      if (states?.get(app) === "supplied") states.set(app, "doubtful");
    }
  }

  notFound(member: Member, ids: readonly string[], code: string): void {
    const isExcused = ids.some((id) => this.#mayLack(member, id));
    this.#checks.check("fetchable", isExcused, () => `${code} to ${member.app} for ${ids}, which several were given`);
  }

  #mayLack({ app, at }: Member, id: string): boolean {
    const { atMs, states } = this.#issued.get(id) ?? {};
    if (atMs === undefined || states?.get(app) !== "supplied") return true;
    const { maxAgeMs, fetchWindowMs } = at.settings.policy;
    return at.lostAtMs >= atMs || this.#clock.nowMs - atMs > Math.max(maxAgeMs, fetchWindowMs) - SLACK_MS;
  }
}
