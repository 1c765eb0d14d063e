// `npm run simulate -- --members 3`: the members of one KM and their etcd, on simulated time, with every fault.

import { SimClock, turned } from "../clock.ts";
import { Dice } from "../dice.ts";
import { Violation } from "../trace.ts";
import { SimEtcd } from "./etcd.ts";
import { FAULTS, type Fault } from "./faults.ts";
import { guardIn, KM, markIn, SimMember } from "./member.ts";
import { MemberOracle } from "./oracle.ts";

const S = 1_000;
/** Of the event loop, for what a step sets off: a store's group, its commit, and who waits for it. */
const TURNS = 4;
const ASK_MS = 20;
/** After the faults: a lease, the looks, and a copy that reads everything anew. */
const CALM_MS = 60 * S;
/** How long voters are off at last, and then silent: a standby begins its watch meanwhile. */
const OFF_MS = 2 * S;
const MUTE_MS = 5 * S;
/** What a standby may be behind when nothing is wrong, and rows that are on their way to it. */
const LAG_MS = 2 * S;
const UNDER_WAY_ROWS = 50;

export interface MembersOptions {
  readonly seed: number;
  readonly members: number;
  readonly hours: number;
  /** How often faults strike: 1 as usual, 0 never. */
  readonly faults: number;
  /** Faults that do not strike, by name. */
  readonly without?: readonly string[];
  /** Told of each fault, and what members say. */
  readonly note?: (atMs: number, what: string) => void;
}

export interface MembersOutcome {
  /** How often each rule was checked. */
  readonly checks: ReadonlyMap<string, number>;
  readonly violation: Violation | undefined;
  readonly carved: number;
  readonly takeovers: number;
  readonly restores: number;
  /** How often each fault struck. */
  readonly struck: ReadonlyMap<string, number>;
  readonly steps: number;
  /** Of the notes: the same seed has the same. */
  readonly digest: number;
}

/** The members and their etcd, with what strikes them. */
export class MembersWorld {
  readonly clock = new SimClock();
  readonly dice: Dice;
  readonly etcd: SimEtcd;
  readonly oracle = new MemberOracle();
  readonly members: readonly SimMember[];
  readonly token = { count: 0 };
  readonly struck = new Map<string, number>();
  readonly #options: MembersOptions;
  readonly #asking: Dice;
  #snapshots: SimEtcd["history"][] = [];
  #isCalm = false;
  steps = 0;
  digest = 0;

  constructor(options: MembersOptions) {
    this.#options = options;
    this.dice = new Dice(options.seed);
    this.#asking = this.dice.branch("applications");
    this.etcd = new SimEtcd(this.clock, this.dice.branch("etcd"), () => markIn(this.etcd, this.oracle));
    const { clock, etcd, oracle, token } = this;
    this.members = Array.from({ length: options.members }, (_, at) => {
      const id = `${at + 1}`;
      const dice = this.dice.branch(`member ${id}`);
      return new SimMember(id, { clock, dice, etcd, oracle, token, note: (what) => this.#note(what) });
    });
  }

  /** Everything, until the faults have ended and what they broke is whole again. @throws Violation */
  async run(): Promise<void> {
    const { clock, members, etcd, dice } = this;
    for (const member of members) member.boot();
    this.#ask();
    this.#snapshot();
    const { faults, without = [] } = this.#options;
    const struck = Object.entries(FAULTS).filter(([name]) => faults > 0 && !without.includes(name));
    for (const [name, fault] of struck) this.#plan(name, fault);
    await this.#until(this.#options.hours * 3600 * S);
    this.#isCalm = true;
    etcd.heal();
    for (const member of members) {
      member.isHidden = false;
      member.boot();
    }
    await this.#until(clock.nowMs + CALM_MS);
    // docs/cluster.md: what has seen more than a restored etcd follows nothing, until its copy is emptied.
    for (const member of members) if (member.report?.state === "standby" && member.isAhead) member.empty();
    if (etcd.restores > 0) await this.#until(clock.nowMs + CALM_MS);
    await this.#fallSilent();
    etcd.heal();
    await this.#until(clock.nowMs + CALM_MS);
    const before = this.oracle.carved;
    await this.#until(clock.nowMs + dice.between(2, 4) * S);
    this.#checkWhole(before);
    this.oracle.checks.raise();
  }

  /** The last fault of each run: all voters start anew, and the watches that begin now are silent for ever. */
  async #fallSilent(): Promise<void> {
    const { clock, etcd } = this;
    for (const voter of etcd.voters) etcd.part(voter, { isUp: false });
    await this.#until(clock.nowMs + OFF_MS);
    for (const voter of etcd.voters) voter.isMute = true;
    await this.#until(clock.nowMs + OFF_MS);
    for (const voter of etcd.voters) etcd.part(voter, { isUp: true, isAlone: false });
    await this.#until(clock.nowMs + MUTE_MS);
  }

  /**
   * One of which the token knows, for it is from before the last takeover, or each member: otherwise only peers would,
   * which are not in this world.
   */
  oldSnapshot(): SimEtcd["history"] | undefined {
    const tokenKnows = (one: SimEtcd["history"]) => guardIn(one) < this.token.count;
    const membersKnow = (one: SimEtcd["history"]) => this.members.every((member) => member.knowsMoreThan(one));
    const [first, second] = this.dice.once(2) ? [tokenKnows, membersKnow] : [membersKnow, tokenKnows];
    return this.#snapshots.findLast(first) ?? this.#snapshots.findLast(second);
  }

  /** Live: one member supplies, all others have followed it, and every copy is what etcd has. */
  #checkWhole(carvedBefore: number): void {
    const { oracle, members } = this;
    const reports = members.map(({ report }) => report);
    const check = (holds: boolean, what: string): void =>
      oracle.checks.check("live", holds, () => `${what}: ${JSON.stringify(reports)}`);
    check(oracle.carved > carvedBefore, "nobody supplies when all is well");
    check(reports.filter((one) => one?.state === "active").length === 1, "not one is active");
    const standbys = reports.filter((one) => one?.state === "standby");
    check(standbys.length === members.length - 1, "not all others stand by");
    check(
      standbys.every((one) => (one?.lagMs ?? CALM_MS) < LAG_MS),
      "a standby stays behind",
    );
    const inEtcd = this.etcd.history.range({ prefix: `/qkm/${KM}/row/t/` }).found.length;
    for (const { id, disk } of members) {
      const rows = [...disk.snapshot().rows.keys()].filter((key) => key.startsWith('["t"')).length;
      check(Math.abs(rows - inEtcd) < UNDER_WAY_ROWS, `${id} has ${rows} rows, and etcd ${inEtcd}`);
    }
  }

  async #until(untilMs: number): Promise<void> {
    const { clock, oracle } = this;
    for (let event = clock.next(untilMs); event !== undefined; event = clock.next(untilMs)) {
      this.steps += 1;
      event.run();
      for (let turn = 0; turn < TURNS; turn++) await turned();
      oracle.checks.raise();
    }
    clock.nowMs = untilMs;
  }

  /** Applications ask whichever member takes them. */
  #ask(): void {
    this.clock.after(this.#asking.wait(ASK_MS), "applications", "ask", () => {
      const member = this.#asking.pick(this.members);
      this.clock.after(1, member.id, "is asked", () => member.ask());
      this.#ask();
    });
  }

  #snapshot(): void {
    this.clock.after(20 * S, "etcd", "is saved", () => {
      const { history } = this.etcd;
      this.#snapshots = [...this.#snapshots.slice(-5), history.copy(history.cluster)];
      this.#snapshot();
    });
  }

  #plan(name: string, fault: Fault): void {
    this.clock.after(this.dice.wait(fault.everyMs / this.#options.faults), "fault", name, () => {
      if (this.#isCalm) return;
      const done = fault.strike(this);
      if (done !== undefined) {
        this.struck.set(name, (this.struck.get(name) ?? 0) + 1);
        this.#note(`${name}: ${done}`);
      }
      this.#plan(name, fault);
    });
  }

  #note(what: string): void {
    const text = `${this.clock.nowMs} ${what}`;
    for (let at = 0; at < text.length; at++) this.digest = (Math.imul(this.digest, 31) + text.charCodeAt(at)) >>> 0;
    this.#options.note?.(this.clock.nowMs, what);
  }
}

/** Runs the members of one KM through everything that goes wrong. */
export async function runMembers(options: MembersOptions): Promise<MembersOutcome> {
  const world = new MembersWorld(options);
  let violation: Violation | undefined;
  try {
    await world.run();
  } catch (thrown) {
    if (!(thrown instanceof Violation)) throw thrown;
    violation = thrown;
  }
  const { oracle, etcd, members, struck, steps, digest } = world;
  const takeovers = members.reduce((sum, { activeTimes }) => sum + activeTimes, 0);
  const checks = oracle.checks.counts;
  return { checks, violation, carved: oracle.carved, takeovers, restores: etcd.restores, struck, steps, digest };
}
