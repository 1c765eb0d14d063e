// A whole simulated network: nodes, wires, modules, applications and faults, moved on step by step.

import { appId, kmId, linkId } from "../../src/core/ids.ts";
import type { KeysPolicy } from "../../src/keys/context.ts";
import type { AppEntry, KeyManagerSettings } from "../../src/keys/key-manager.ts";
import { AppPair } from "./apps.ts";
import { SimClock, settled } from "./clock.ts";
import { Dice } from "./dice.ts";
import { FAULT_TABLE, type FaultName } from "./faults.ts";
import { framesOf, isRelay } from "./liar.ts";
import { LinkModules, type Trouble } from "./modules.ts";
import { SimNode } from "./node.ts";
import { Oracle, type Pair } from "./oracle.ts";
import { type Edge, randomTopology, type Topology } from "./topology.ts";
import { Trace, type TraceOptions } from "./trace.ts";
import { Wire } from "./wire.ts";

export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  /** How often faults strike; 1 as the table says, 0 never. */
  readonly faults: number;
  readonly trace?: TraceOptions;
}

const BLOCK_BYTES = 4096;
const KEEP_BLOCKS = 32;
const QUOTA = { bitsPerS: 1e9, burstBits: 1e9 };
const OLD_FRAMES = 20;

function policyOf(dice: Dice): KeysPolicy {
  return {
    defaultKeyBits: 256,
    timeoutMs: 5000,
    maxWaiting: 50,
    maxAgeMs: dice.between(5, 20) * 60_000,
    fetchWindowMs: dice.between(2, 6) * 60_000,
    relayTimeoutMs: dice.between(1, 5) * 1000,
    stockLow: 2,
    stockHigh: dice.between(3, 5),
    maxHeld: dice.between(24, 96),
    epochMs: dice.between(4, 15) * 60_000,
  };
}

export class World {
  readonly options: WorldOptions;
  readonly clock = new SimClock();
  readonly dice: Dice;
  readonly trace: Trace;
  readonly oracle: Oracle;
  readonly topology: Topology;
  readonly nodes = new Map<string, SimNode>();
  readonly wires: Wire[] = [];
  readonly modules: LinkModules[] = [];
  readonly pairs: AppPair[] = [];
  /** How often each fault struck. */
  readonly struck = new Map<FaultName, number>();
  readonly #backups = new Map<SimNode, ReturnType<SimNode["backup"]>[]>();
  readonly #oldFrames = new Map<string, Buffer[]>();
  #calm = false;

  constructor(options: WorldOptions) {
    this.options = options;
    this.dice = new Dice(options.seed);
    this.trace = new Trace(options.trace);
    this.oracle = new Oracle(this.clock, this.trace);
    this.topology = randomTopology(options.nodes, this.dice.branch("topology"));
    this.#build();
  }

  /** How often applications were refused, by fault. */
  get refusals(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const { refusals } of this.pairs)
      for (const [code, count] of refusals) sums.set(code, (sums.get(code) ?? 0) + count);
    return sums;
  }

  get nodeList(): readonly SimNode[] {
    return [...this.nodes.values()];
  }

  #build(): void {
    const { topology, dice, clock, trace, oracle } = this;
    const policy = policyOf(dice);
    const apps: AppEntry[] = topology.nodes.flatMap((node) =>
      ["x", "y"].map((name) => ({ id: appId(`app-${node.slice(3)}${name}`), home: kmId(node), quota: QUOTA })),
    );
    for (const name of topology.nodes) {
      const settings = settingsOf(name, topology.edges, { policy, apps });
      const node = new SimNode(settings, { clock, dice: dice.branch("nodes"), trace, watch: oracle });
      node.machine.applied = (steps) => oracle.applied(node, steps);
      this.nodes.set(name, node);
    }
    for (const edge of topology.edges) this.#join(edge);
    this.#employ(apps);
  }

  #join({ link, a, b }: Edge): void {
    const [one, other] = [this.#node(a), this.#node(b)];
    const wire = new Wire(this.clock, this.dice.branch(`wire ${link}`), [one, other]);
    this.wires.push(wire);
    one.wires.set(other.id, wire);
    other.wires.set(one.id, wire);
    const modules = new LinkModules(link, BLOCK_BYTES, this.dice.between(1000, 6000), this);
    this.modules.push(modules);
    one.modules.set(link, { modules, end: 0 });
    other.modules.set(link, { modules, end: 1 });
  }

  #node(name: string): SimNode {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`there is no ${name}`);
    return node;
  }

  /** Applications of neighbours, and of the same KM, that ask for keys with one another. */
  #employ(apps: readonly AppEntry[]): void {
    const atOf = (app: AppEntry): SimNode => this.#node(app.home);
    const strangers = apps.map((app) => ({ app: app.id, at: atOf(app) }));
    const { clock, oracle, trace } = this;
    const ports = { clock, oracle, trace, dice: this.dice.branch("apps"), strangers };
    const pick = (home: string): AppEntry => this.dice.pick(apps.filter((app) => app.home === home));
    const employ = (from: AppEntry, to: AppEntry): void => {
      const pair: Pair = { app: from.id, at: atOf(from), to: to.id, toAt: atOf(to) };
      this.pairs.push(new AppPair(pair, this.dice.between(1500, 15_000), ports));
    };
    for (const { a, b } of this.topology.edges) {
      employ(pick(a), pick(b));
      employ(pick(b), pick(a));
    }
    for (const node of this.topology.nodes) {
      if (!this.dice.once(3)) continue;
      const [one, other] = apps.filter((app) => app.home === node);
      if (one !== undefined && other !== undefined) employ(one, other);
    }
  }

  /** Everything begins. */
  start(): void {
    for (const node of this.nodes.values()) node.boot();
    for (const modules of this.modules) modules.start();
    for (const pair of this.pairs) pair.start();
    if (this.options.faults > 0) for (const name of Object.keys(FAULT_TABLE) as FaultName[]) this.#plan(name);
    for (const node of this.nodes.values()) this.#planBackup(node);
  }

  #plan(name: FaultName): void {
    const { everyMs } = FAULT_TABLE[name];
    const waitMs = this.dice.wait(everyMs / this.nodes.size / this.options.faults);
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

  /** Runs all events until then. @throws Violation */
  async runUntil(untilMs: number): Promise<void> {
    const { clock, trace, oracle } = this;
    for (let event = clock.next(untilMs); event !== undefined; event = clock.next(untilMs)) {
      trace.step(clock.nowMs, event.owner, event.what);
      event.run();
      await settled();
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
      const bytes = wire.heard.get(node.id);
      if (bytes === undefined) continue;
      wire.heard.delete(node.id);
      const relays = framesOf(bytes).filter(isRelay);
      if (relays.length === 0) continue;
      const kept = this.#oldFrames.get(node.id) ?? [];
      kept.push(...relays.map((frame) => Buffer.from(frame.bytes)));
      this.#oldFrames.set(node.id, kept.slice(-OLD_FRAMES));
    }
  }

  // What faults use.

  oldFrame(end: string): Buffer | undefined {
    const kept = this.#oldFrames.get(end) ?? [];
    return kept.length === 0 ? undefined : this.dice.pick(kept);
  }

  /** A backup that is older than the node's last start: one of the same start needs its peers as witnesses. */
  oldBackup(node: SimNode): ReturnType<SimNode["backup"]> | undefined {
    return this.#backups.get(node)?.find(({ generation }) => generation < node.generation);
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
    for (const wire of this.wires) Object.assign(wire, { blockedUntilMs: 0, slowMs: 0, latencyMs: 2 }).lies.clear();
    for (const modules of this.modules) {
      modules.stalledUntilMs = 0;
      modules.troubles.length = 0;
    }
    for (const node of this.nodes.values()) {
      node.heal();
      node.boot();
    }
  }

  /** Applications ask no more and modules bring no more. */
  quieten(): void {
    for (const modules of this.modules) modules.stop();
    for (const pair of this.pairs) pair.intervalMs = 0;
  }
}

function settingsOf(
  name: string,
  edges: readonly Edge[],
  common: Pick<KeyManagerSettings, "policy" | "apps">,
): KeyManagerSettings & { readonly id: ReturnType<typeof kmId> } {
  const own = edges.filter(({ a, b }) => a === name || b === name);
  const peerOf = ({ a, b }: Edge) => kmId(a === name ? b : a);
  const links = own.map((edge) => ({
    id: linkId(edge.link),
    peer: peerOf(edge),
    blockBytes: BLOCK_BYTES,
    share: [1, 1] as const,
    keepBlocks: KEEP_BLOCKS,
  }));
  return { ...common, id: kmId(name), links, peers: own.map(peerOf) };
}
