// A whole simulated network: nodes, wires, modules, applications and faults, moved on step by step.

import type { KmId } from "../../src/core/ids.ts";
import { AppPair, type AppPorts, type Workload } from "./apps.ts";
import { SimClock, settled, turned } from "./clock.ts";
import { Dice } from "./dice.ts";
import { FAULT_TABLE, type FaultName } from "./faults.ts";
import { GroupPair } from "./groups.ts";
import type { Ingredient } from "./ingredients.ts";
import { framesOf, isRelay } from "./liar.ts";
import { LinkModules, type Trouble } from "./modules.ts";
import { type Pacing, SimNode } from "./node.ts";
import { Oracle, type Pair } from "./oracle.ts";
import { type Plan, planOf } from "./plan.ts";
import { type Sample, sampleOf } from "./plot.ts";
import { SessionListener, SessionPair } from "./sessions.ts";
import type { Edge } from "./topology.ts";
import { Trace, type TraceOptions } from "./trace.ts";
import { Wire } from "./wire.ts";

export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  /** How often faults strike; 1 as the table says, 0 never. */
  readonly faults: number;
  /** Mean time between two takeovers of a KM by another member of it, in ms; none when absent. */
  readonly takeoversMs?: number;
  /** Each run has some faults only, drawn from its seed, and those more or less often: what all together hide shows. */
  readonly isSwarm?: boolean;
  /** Faults that do not strike in this run, and what the network does not have. */
  readonly without?: readonly (FaultName | Ingredient)[];
  readonly trace?: TraceOptions;
}

const OLD_FRAMES = 20;
/** A turn of the event loop is dear: messages of the parent, and rejections nobody caught, come that often. */
const STEPS_A_TURN = 64;
/** Applications that get the same keys, beside the one that asks. */
const GROUP = 3;
/** At every second KM nothing takes longer than it must; at some a call takes long. */
const CALL_MS = [0, 0, 1, 4, 20, 50] as const;
const COMMIT_MS = [0, 0, 1, 5, 25] as const;
const EVEN = { callMs: 0, commitMs: 0 } as const;
/** Of a fault in one run: about half of the faults are left out. */
const FACTORS = [0, 0, 0, 0.25, 1, 4, 16] as const;

const paceOf = (dice: Dice): Pacing => ({ callMs: dice.pick(CALL_MS), commitMs: dice.pick(COMMIT_MS) });

export class World {
  readonly options: WorldOptions;
  readonly clock = new SimClock();
  readonly dice: Dice;
  readonly trace: Trace;
  readonly oracle: Oracle;
  readonly plan: Plan;
  readonly nodes = new Map<string, SimNode>();
  readonly wires: Wire[] = [];
  readonly modules: LinkModules[] = [];
  readonly sharedPeers: Workload[] = [];
  readonly samples: Sample[] = [];
  takeovers = 0;
  /** How often each fault struck. */
  readonly struck = new Map<FaultName, number>();
  /** What the network has. */
  readonly ingredients = new Set<Ingredient>();
  readonly #backups = new Map<SimNode, ReturnType<SimNode["backup"]>[]>();
  readonly #oldFrames = new Map<string, Buffer[]>();
  readonly #drawn = new Map<FaultName | Ingredient, number>();
  #calm = false;

  constructor(options: WorldOptions) {
    this.options = options;
    this.dice = new Dice(options.seed);
    this.trace = new Trace(options.trace);
    this.oracle = new Oracle(this.clock, this.trace);
    this.plan = planOf(options.nodes, this.dice, (name) => this.has(name));
    this.#build();
  }

  /** How often applications were refused, by fault. */
  get refusals(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const { refusals } of this.sharedPeers)
      for (const [code, count] of refusals) sums.set(code, (sums.get(code) ?? 0) + count);
    return sums;
  }

  /** Bytes of pad that one passing-on took in this run, on average. */
  get padBytesPerHop(): number {
    const counted = (name: string): number => this.oracle.counters.get(name) ?? 0;
    return counted("pad_bytes out") / counted("kma_keys_relayed");
  }

  get nodeList(): readonly SimNode[] {
    return [...this.nodes.values()];
  }

  #build(): void {
    const { clock, trace, oracle, plan } = this;
    const dice = this.dice.branch("nodes");
    const paces = this.dice.branch("paces");
    const isUneven = this.has("uneven_calls");
    for (const [id, settings] of plan.settings) {
      const node = new SimNode(settings, { clock, dice, trace, watch: oracle, pace: isUneven ? paceOf(paces) : EVEN });
      node.machine.applied = (steps) => oracle.applied(node, steps);
      node.largestBlock = Math.max(...[...plan.links.values()].map(({ blockBytes }) => blockBytes));
      oracle.copies.enter(node);
      node.connected = (peer) => oracle.connected(node, this.#node(peer));
      node.audit.abandoned = (peer, serial) => oracle.abandoned(node, this.#node(peer), serial);
      this.nodes.set(id, node);
    }
    for (const [a, b] of plan.contacts) this.#connect(this.#node(a), this.#node(b));
    for (const edge of plan.topology.edges) this.#link(edge);
    this.#employ();
  }

  #connect(one: SimNode, other: SimNode): void {
    const wire = new Wire(this.clock, this.dice.branch(`wire ${one.id} ${other.id}`), [one, other]);
    this.wires.push(wire);
    one.wires.set(other.id, wire);
    other.wires.set(one.id, wire);
  }

  #link({ link, a, b }: Edge): void {
    const { blockBytes } = this.plan.links.get(link) ?? this.plan;
    const modules = new LinkModules(link, blockBytes, this.dice.between(1000, 6000), this);
    this.modules.push(modules);
    this.#node(a).modules.set(link, { modules, end: 0 });
    this.#node(b).modules.set(link, { modules, end: 1 });
  }

  #node(name: string): SimNode {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`there is no ${name}`);
    return node;
  }

  #employ(): void {
    const { clock, oracle, trace, plan } = this;
    const strangers = plan.apps.map(({ id, home }) => ({ app: id, at: this.#node(home) }));
    const ports = { clock, oracle, trace, dice: this.dice.branch("apps"), strangers };
    for (const { from, to } of plan.sharedPeers) {
      const pair: Pair = { app: from.id, at: this.#node(from.home), to: to.id, toAt: this.#node(to.home) };
      this.sharedPeers.push(new AppPair(pair, this.dice.between(1500, 15_000), ports));
    }
    if (this.has("sessions")) this.#employInSessions(ports);
    if (this.has("multicast")) this.#employInGroups(ports);
  }

  /** Those that are pairs with one another share key, or a way to get it: of one application's partners some get the same. */
  #employInGroups(ports: AppPorts): void {
    const dice = this.dice.branch("groups");
    const pairs = this.plan.sharedPeers.filter(
      ({ from, to }) => !this.isForeign(from.home) && !this.isForeign(to.home),
    );
    for (const [asker, all] of Map.groupBy(pairs, ({ from }) => from)) {
      const partners = [...new Set(all.map(({ to }) => to))].map(({ id, home }) => ({ app: id, at: this.#node(home) }));
      const [first, ...others] = partners.slice(0, GROUP);
      if (first === undefined || others.length === 0) continue;
      const group = new GroupPair(
        { app: asker.id, at: this.#node(asker.home) },
        [first, ...others],
        dice.between(5000, 30_000),
        ports,
      );
      this.sharedPeers.push(group);
      // Copies that end are counted as keys, which the accounts do not have.
      for (const node of [group.pair.at, ...group.needs]) this.oracle.disturbed(node, false);
    }
  }

  #employInSessions(ports: AppPorts): void {
    const listeners = new Map<string, SessionListener>();
    const dice = this.dice.branch("sessions");
    for (const { pair } of this.sharedPeers.filter(({ pair: { at, toAt } }) => !at.isStrict(toAt.id) && dice.once(2))) {
      const listener = listeners.get(pair.to) ?? new SessionListener(pair.to, pair.toAt, ports);
      if (!listeners.has(pair.to)) pair.toAt.onServe.add((km) => listener.connect(km));
      listeners.set(pair.to, listener);
      this.sharedPeers.push(new SessionPair(pair, dice.between(2000, 20_000), listener, ports));
    }
  }

  /** Everything begins. */
  start(): void {
    for (const node of this.nodes.values()) node.boot();
    for (const modules of this.modules) modules.start();
    for (const pair of this.sharedPeers) pair.start();
    if (this.options.faults > 0) for (const name of Object.keys(FAULT_TABLE) as FaultName[]) this.#plan(name);
    for (const node of this.nodes.values()) this.#planBackup(node);
    const { takeoversMs } = this.options;
    if (takeoversMs === undefined) return;
    const dice = this.dice.branch("takeovers");
    for (const node of this.nodes.values()) this.#planTakeover(node, takeoversMs, dice);
  }

  /** A former member goes on for some time, or for very long. */
  #planTakeover(node: SimNode, everyMs: number, dice: Dice): void {
    this.clock.after(dice.wait(everyMs), "fault", "takeover", () => {
      if (this.#calm) return;
      const forMs = dice.wait(dice.once(3) ? 300_000 : 15_000);
      if (node.takeOver(forMs)) {
        this.takeovers++;
        this.trace.note(`takeover: ${node.id}, whose former member goes on for ${Math.round(forMs)} ms`);
      }
      this.#planTakeover(node, everyMs, dice);
    });
  }

  /** Whether this run has it; without faults a network is plain. */
  has(name: Ingredient): boolean {
    const { faults, isSwarm = false, without = [] } = this.options;
    const has =
      faults > 0 && !without.includes(name) && (!isSwarm || this.#once(name, (dice) => dice.between(0, 1)) === 1);
    if (has) this.ingredients.add(name);
    return has;
  }

  /** How often a fault strikes in this run, against the table. */
  #factorOf(name: FaultName): number {
    const { faults, isSwarm = false, without = [] } = this.options;
    if (without.includes(name)) return 0;
    return isSwarm ? faults * this.#once(name, (dice) => dice.pick(FACTORS)) : faults;
  }

  /** Drawn when it is first wanted, and the same for the whole run. */
  #once(name: FaultName | Ingredient, draw: (dice: Dice) => number): number {
    const drawn = this.#drawn.get(name) ?? draw(this.dice.branch(`swarm ${name}`));
    this.#drawn.set(name, drawn);
    return drawn;
  }

  #plan(name: FaultName): void {
    const { everyMs } = FAULT_TABLE[name];
    const factor = this.#factorOf(name);
    if (factor === 0) return;
    const waitMs = this.dice.wait(everyMs / this.nodes.size / factor);
    this.clock.after(waitMs, "fault", name, () => {
      if (this.#calm) return;
      const done = FAULT_TABLE[name].strike(this);
      if (done !== undefined) {
        this.struck.set(name, (this.struck.get(name) ?? 0) + 1);
        this.trace.note(`${name}: ${done}`);
      }
      this.#plan(name);
    });
  }

  #planBackup(node: SimNode): void {
    this.clock.after(this.dice.wait(600_000), node.id, "is backed up", () => {
      if (this.#calm) return;
      const kept = this.#backups.get(node) ?? [];
      kept.push(node.backup());
      if (kept.length > 3) kept.shift();
      this.#backups.set(node, kept);
      this.#planBackup(node);
    });
  }

  /** From now on takes samples for a plot. */
  watchStock(everyMs: number): void {
    this.samples.push(sampleOf(this));
    this.clock.after(everyMs, "plot", "takes a sample", () => this.watchStock(everyMs));
  }

  /** Runs all events until then. @throws Violation */
  async runUntil(untilMs: number): Promise<void> {
    const { clock, trace, oracle } = this;
    for (let event = clock.next(untilMs); event !== undefined; event = clock.next(untilMs)) {
      trace.step(clock.nowMs, event.owner, event.what);
      event.run();
      await (trace.steps % STEPS_A_TURN === 0 ? turned() : settled());
      const node = this.nodes.get(event.owner);
      if (node !== undefined) {
        oracle.touch(node);
        this.#listen(node);
      }
      oracle.afterStep();
      oracle.checks.raise();
    }
    clock.nowMs = untilMs;
  }

  /** Keeps some of the relays that a node sent, for replays. */
  #listen(node: SimNode): void {
    for (const wire of node.wires.values()) {
      if (wire.heard.size === 0) continue;
      const bytes = wire.heard.get(node.id);
      if (bytes === undefined) continue;
      wire.heard.delete(node.id);
      const relays = framesOf(bytes).filter(isRelay);
      if (relays.length === 0) continue;
      for (const { bytes } of relays) this.oracle.left(node, bytes);
      const kept = this.#oldFrames.get(node.id) ?? [];
      kept.push(...relays.map((frame) => Buffer.from(frame.bytes)));
      this.#oldFrames.set(node.id, kept.slice(-OLD_FRAMES));
    }
  }

  // What faults use.

  /** Whether a KM is of another make to all others. */
  isForeign(id: KmId): boolean {
    const node = this.nodes.get(id);
    return node !== undefined && [...node.wires.keys()].every((peer) => node.isStrict(peer));
  }

  oldFrame(end: string): Buffer | undefined {
    const kept = this.#oldFrames.get(end) ?? [];
    return kept.length === 0 ? undefined : this.dice.pick(kept);
  }

  /** A backup that is older than the node's last start: one of the same start needs its peers as witnesses. */
  oldBackup(node: SimNode): ReturnType<SimNode["backup"]> | undefined {
    return this.#backups.get(node)?.find(({ generation }) => generation < node.generation);
  }

  /** Whether faults have ended. */
  get isCalm(): boolean {
    return this.#calm;
  }

  later(ms: number, run: () => void, what: string): void {
    this.clock.after(ms, "fault", what, run);
  }

  /** Starts a node again that was to end in a commit. */
  bootWhenDown(node: SimNode): void {
    node.atEnd.add(() => this.clock.after(this.dice.wait(5000), node.id, "is started again", () => node.boot()));
  }

  trouble(trouble: Trouble): string | undefined {
    if (this.modules.length === 0) return undefined;
    const modules = this.dice.pick(this.modules);
    modules.troubles.push(trouble);
    return modules.link;
  }

  stall(): string | undefined {
    if (this.modules.length === 0) return undefined;
    const modules = this.dice.pick(this.modules);
    const ms = this.dice.wait(60_000);
    modules.stalledUntilMs = this.clock.nowMs + ms;
    return `${modules.link} for ${Math.round(ms)} ms`;
  }

  // The end.

  /** Faults end, and what they broke is mended. */
  heal(): void {
    this.#calm = true;
    for (const wire of this.wires) wire.heal();
    for (const modules of this.modules) modules.heal();
    for (const node of this.nodes.values()) {
      node.endFormer();
      node.heal();
      node.boot();
    }
  }

  /** Applications ask no more by themselves. */
  rest(): void {
    for (const pair of this.sharedPeers) pair.intervalMs = 0;
  }

  /** Modules bring no more. */
  quieten(): void {
    for (const modules of this.modules) modules.stop();
  }
}
