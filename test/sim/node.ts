// One simulated KM: a machine that outlives its processes, and the real key manager and Kx that run on it.

import { compareIds, type KmId } from "../../src/core/ids.ts";
import { Pace } from "../../src/core/pace.ts";
import type { Clock, Log, Meter } from "../../src/core/ports.ts";
import { KeyManager } from "../../src/keys/manager/key-manager.ts";
import { assemble, type Parts } from "../../src/keys/manager/parts.ts";
import type { KeyManagerSettings } from "../../src/keys/manager/settings.ts";
import { nameOfGeneration } from "../../src/kx/generation.ts";
import { keepDialled } from "../../src/kx/redial.ts";
import { dials, Roster } from "../../src/kx/roster.ts";
import type { Channel } from "../../src/net/channel.ts";
import { BufferPool } from "../../src/wire/buffer-pool.ts";
import type { CommitFate, DiskCopy, ModelVault } from "../support/model-vault.ts";
import { SimAudit } from "./audit.ts";
import type { SimClock } from "./clock.ts";
import type { Dice } from "./dice.ts";
import { type Life, logOf, meterOf, type NodeWatch, vaultWatch, whileAlive } from "./life.ts";
import { SimMachine, type Steps } from "./machine.ts";
import type { LinkModules } from "./modules.ts";
import type { Trace } from "./trace.ts";
import { WatchedVault } from "./watched-vault.ts";
import type { Wire } from "./wire.ts";

export interface NodePorts {
  readonly clock: SimClock;
  readonly dice: Dice;
  readonly trace: Trace;
  readonly watch: NodeWatch;
  readonly pace: Pacing;
}

/** How long things take at a KM's machine, in ms on average. */
export interface Pacing {
  readonly callMs: number;
  readonly commitMs: number;
}

/** The token's counter, which a restored disk does not have: design 7. */
export interface Backup {
  readonly disk: DiskCopy;
  readonly generation: number;
}

const WALL_START_MS = Date.UTC(2026, 0, 1);
const SLOTS = 64;
const REOPEN_MS = 1000;
/** One of so many turns of the loop is a step of its own. */
const TURNS = 16;

export class SimNode {
  readonly id: KmId;
  #settings: KeyManagerSettings;
  /** The largest limits there were: what is there is not destroyed because the next start allows less. */
  readonly widest = { stockHigh: 0, maxHeld: 0, keepBlocks: 0 };
  readonly machine: SimMachine;
  readonly audit = new SimAudit();
  /** Bytes of the largest block in the network. */
  largestBlock = 0;
  /** To each neighbour. */
  readonly wires = new Map<KmId, Wire>();
  readonly modules = new Map<string, { readonly modules: LinkModules; readonly end: 0 | 1 }>();
  readonly #ports: NodePorts;
  readonly #dice: Dice;
  readonly #turns: Dice;
  #life: Life = { ended: true, isFormer: false };
  #km: KeyManager | undefined;
  #parts: Parts | undefined;
  #roster: Roster | undefined;
  #stop = new AbortController();
  /** The wall clock's distance from the simulated time. */
  wallAheadMs = 0;
  /** How long a commit takes, and a call of the token at times. */
  diskMs = 1;
  tokenMs = 0;
  /** What a commit and a call of the vault take beside that, on average, for as long as the run is. */
  readonly pace: Pacing;
  /** The disk takes no more before. */
  fullUntilMs = 0;
  tokenGoneUntilMs = 0;
  /** The next commits' fates; then all are durable. */
  readonly fates: CommitFate[] = [];
  /** How often another member has taken over. */
  takeovers = 0;
  #former: { readonly km: KeyManager; readonly roster: Roster; readonly end: () => void } | undefined;
  /** Whether the process knows that the commit that reaches the disk now is there. */
  knowsCommit = true;
  /** The next commit that takes something off the disk is rejected. */
  rejectsRemoval = false;
  /** Moved at start, at orderly stop and with each epoch. */
  #generation = 0;
  #diskGeneration = 0;
  #isRestored = false;
  #isStopping = false;
  boots = 0;
  /** How often its disk was emptied or replaced by an old one: names begin anew then. */
  era = 0;
  /** How often key that it held was lost with its disk, and when it was last. */
  losses = 0;
  lostAtMs = Number.NEGATIVE_INFINITY;
  /** How often a copy of its store was put back that is of the same start. */
  putBack = 0;
  /** Told of each peer that connects. */
  connected: (peer: string) => void = () => {};
  /** Called with each process that serves. */
  readonly onServe = new Set<(km: KeyManager) => void>();
  /** Called once when the process ends. */
  readonly atEnd = new Set<() => void>();

  constructor(settings: KeyManagerSettings & { readonly id: KmId }, ports: NodePorts) {
    this.id = settings.id;
    this.#settings = settings;
    this.reconfigure(settings);
    this.#ports = ports;
    this.pace = ports.pace;
    this.#dice = ports.dice.branch(settings.id);
    this.#turns = ports.dice.branch(`turns of ${settings.id}`);
    this.machine = new SimMachine(SLOTS, (bytes) => this.#dice.fill(bytes));
    this.machine.fate = (_n, steps) => {
      const fate = this.#fate(steps);
      this.knowsCommit = !fate.startsWith("rejected");
      return fate;
    };
    this.machine.pace = () => this.#wait(this.diskMs + this.#turns.wait(this.pace.commitMs));
  }

  get km(): KeyManager | undefined {
    return this.#life.ended ? undefined : this.#km;
  }

  /** The rooms behind `km`, which shows none of them. */
  get parts(): Parts | undefined {
    return this.km && this.#parts;
  }

  /** Whether a process runs; it may still be reading its books. */
  get isRunning(): boolean {
    return !this.#life.ended;
  }

  /** Whether it serves. */
  get isUp(): boolean {
    return this.km !== undefined;
  }

  /** Until when the machine stands still. */
  get pausedUntilMs(): number {
    return this.#ports.clock.heldUntilMs(this.id);
  }

  get isPaused(): boolean {
    return this.pausedUntilMs > this.#ports.clock.nowMs;
  }

  /** The machine stands still, as one that is moved to other hardware: its clocks go on, and what came meanwhile waits. */
  pause(ms: number): void {
    const untilMs = this.#ports.clock.nowMs + ms;
    this.#ports.clock.hold(this.id, untilMs);
    for (const { modules, end } of this.modules.values()) modules.unreadUntilMs[end] = untilMs;
  }

  /** The configuration of the next start. */
  get settings(): KeyManagerSettings {
    return this.#settings;
  }

  /** The configuration is another from now on, and at each start. */
  async reload(settings: KeyManagerSettings): Promise<void> {
    this.reconfigure(settings);
    const { km } = this;
    const prepared = await km?.prepareReconfigure(settings);
    // What was read meanwhile is out of date when there is another process, or still another configuration.
    if (prepared !== undefined && km === this.km && settings === this.settings) km?.reconfigure(prepared);
  }

  reconfigure(settings: KeyManagerSettings): void {
    const { widest } = this;
    const { stockHigh, maxHeld } = settings.policy;
    this.#settings = settings;
    widest.stockHigh = Math.max(widest.stockHigh, stockHigh);
    widest.maxHeld = Math.max(widest.maxHeld, maxHeld);
    widest.keepBlocks = Math.max(widest.keepBlocks, ...settings.links.map(({ keepBlocks }) => keepBlocks));
  }

  #fate(steps: Steps): CommitFate {
    if (this.#ports.clock.nowMs < this.fullUntilMs) {
      this.#reopenStore();
      return "rejected, lost";
    }
    const isRejected = this.rejectsRemoval && steps.some(({ op }) => op === "remove" || op === "destroy");
    if (isRejected) this.rejectsRemoval = false;
    const fate = isRejected ? "rejected, lost" : (this.fates.shift() ?? "durable");
    if (fate.startsWith("crash")) {
      this.#ports.trace.note(`${this.id} ends in a commit: ${fate}`);
      this.#end();
    } else if (fate !== "durable") {
      this.#ports.trace.note(`${this.id}'s store: ${fate}`);
      this.#reopenStore();
    }
    return fate;
  }

  /** Each call takes a time of its own: what began later may end before it. */
  #callMs(): number {
    const { callMs } = this.pace;
    const slowMs = this.tokenMs > 0 && this.#turns.once(8) ? this.tokenMs * this.#turns.fraction() : 0;
    return slowMs + (callMs > 0 && this.#turns.once(2) ? this.#turns.wait(callMs) : 0);
  }

  #wait(ms: number, life = this.#life): Promise<void> {
    if (ms <= 0) return Promise.resolve();
    return new Promise((resolve) => this.#afterIn(life, ms, "disk or token", resolve));
  }

  /** Runs `run` later, unless the process has ended by then. */
  after(ms: number, what: string, run: () => void): () => void {
    return this.#afterIn(this.#life, ms, what, run);
  }

  #afterIn(life: Life, ms: number, what: string, run: () => void): () => void {
    return this.#ports.clock.after(ms, this.id, what, () => life.ended || run());
  }

  /** Starts a process on what is durable; at once, or when the token is there. */
  boot(): void {
    if (this.#isStopping)
      this.atEnd.add(() => this.#ports.clock.after(REOPEN_MS, this.id, "is started again", () => this.boot()));
    if (this.isRunning) return;
    this.#life = { ended: false, isFormer: false };
    this.#stop = new AbortController();
    const waitMs = Math.max(0, this.tokenGoneUntilMs - this.#ports.clock.nowMs);
    this.after(waitMs, "starts", () => void this.#open(this.#life));
  }

  /** Whether keys shared with that KM are not proved. */
  isStrict(peer: KmId): boolean {
    return this.#settings.strict?.has(peer) ?? false;
  }

  /** The wall clock jumps; what that adds to the age of keys shows at the next start. */
  jumpWall(toAheadMs: number): void {
    this.wallAheadMs = toAheadMs;
  }

  async #open(life: Life): Promise<void> {
    const { watch, clock: sim } = this.#ports;
    this.boots++;
    // A crash before all is destroyed hides nothing: the verdict stays written down.
    this.#isRestored ||= this.#diskGeneration < this.#generation;
    const restored = this.#isRestored;
    this.#diskGeneration = ++this.#generation;
    if (restored) this.#lose();
    this.machine.reindex();
    this.machine.work = () => this.#wait(this.#callMs(), life);
    const inner = this.machine.boot();
    const rotated = (): void => void (life.ended || life.isFormer || this.#rotated());
    const vault = new WatchedVault(inner, { ...vaultWatch(this, life, watch), rotated });
    const wall = () => WALL_START_MS + sim.nowMs + this.wallAheadMs;
    const after = (ms: number, then: () => void) => this.#afterIn(life, ms, "timer", then);
    const clock: Clock = { monotonicMs: () => sim.nowMs, wallMs: wall, after };
    // Mostly within the step: a turn of its own tells nothing new, unless something comes in between.
    const turn = (then: () => void): void => {
      if (this.#turns.once(TURNS)) this.#afterIn(life, 0, "turn", then);
      else queueMicrotask(() => life.ended || then());
    };
    const pace = new Pace({ turn });
    const audit = this.audit.port(() => life.ended);
    const told = { log: logOf(this, life, watch), meter: meterOf(this, life, watch), audit };
    const generation = this.takeovers > 0 && { generation: this.takeovers };
    const ports = { self: this.id, vault, clock, pace, random: this.#dice, ...told, ...generation };
    try {
      const parts = assemble(ports, this.settings);
      const km = await KeyManager.open(parts, restored);
      if (life.ended) return;
      this.#isRestored = false;
      this.#km = km;
      this.#parts = parts;
      for (const told of this.onServe) told(km);
      this.#serve(km, ports);
    } catch (thrown) {
      if (life.ended) return;
      watch.logged(this, "warn", { err: thrown }, "the books could not be read; the process ends");
      this.crash(true);
      sim.after(5000, this.id, "is started again", () => this.boot());
    }
  }

  #serve(km: KeyManager, { clock, random, log, meter }: { clock: Clock; random: Dice; log: Log; meter: Meter }): void {
    const peers = this.settings.peers.filter((peer) => this.wires.has(peer));
    const buffers = new BufferPool(2 * peers.length);
    const { defaultKeyBits } = this.settings.policy;
    const entries = peers.map((id) => ({
      id,
      dialect: this.isStrict(id) ? ("strict" as const) : ("extended" as const),
    }));
    const events = whileAlive(km.peerEvents, this.#life, (peer) => this.connected(peer));
    const roster = new Roster(
      { km: this.id, peers: () => entries, defaultKeyBits },
      { events, clock, log, meter, buffers },
    );
    this.#roster = roster;
    const serverName = nameOfGeneration(this.takeovers);
    if (serverName !== undefined) this.#callPeers(roster, serverName);
    for (const peer of peers) {
      const wire = this.wires.get(peer);
      if (wire === undefined || !dials(this.id, peer)) continue;
      const dial = (signal: AbortSignal): Promise<Channel> => wire.dial(this.id, signal, serverName);
      const attach = (channel: Channel) => roster.attach(peer, channel);
      const current = () => roster.current(peer);
      void keepDialled({ peer, dial, current, attach }, { clock, random, log }, this.#stop.signal);
    }
    for (const [link, { modules, end }] of this.modules) {
      const feed = modules.feed(end);
      if (this.parts?.links.has(link))
        km.attach(link, feed, this.#stop.signal).catch((err: unknown) => this.#defect(err));
    }
  }

  /** Peers that would dial may still hang on to the process that was active before: as `startKx` does it. */
  #callPeers(roster: Roster, serverName: string): void {
    for (const [peer, wire] of this.wires) {
      if (dials(this.id, peer)) continue;
      const attach = (channel: Channel): void => void (roster.current(peer) ?? roster.attach(peer, channel));
      wire.dial(this.id, this.#stop.signal, serverName).then(attach, () => {});
    }
  }

  /** A peer that dials tries the addresses of all members, and a former one listens as long as it can. */
  accept(peer: KmId, channel: Channel): boolean {
    const roster = this.#former !== undefined && this.#dice.once(2) ? this.#former.roster : this.#roster;
    if (roster === undefined || (roster === this.#roster && this.km === undefined)) return false;
    if (roster.welcome(peer, channel.serverName) === undefined) return false;
    roster.attach(peer, channel);
    return true;
  }

  /** The key manager of the process that was active before, while that goes on. */
  get former(): KeyManager | undefined {
    return this.#former?.km;
  }

  /** Another member takes over: the process that was active knows nothing of it, and goes on for so long. */
  takeOver(forMs: number): boolean {
    const { km } = this;
    const { vault } = this.machine;
    const [life, roster, stop] = [this.#life, this.#roster, this.#stop];
    if (km === undefined || roster === undefined || vault === undefined || this.#former !== undefined) return false;
    vault.fence();
    this.machine.vault = undefined;
    life.isFormer = true;
    this.#former = { km, roster, end: () => endFormer(life, vault, { roster, stop }) };
    this.#ports.clock.after(forMs, this.id, "ends its former process", () => this.endFormer());
    for (const { modules, end } of this.modules.values()) modules.leave(end);
    this.#life = { ended: true, isFormer: false };
    this.#km = undefined;
    this.#roster = undefined;
    for (const tell of this.atEnd) tell();
    this.atEnd.clear();
    this.#ports.watch.disturbed(this, true);
    this.takeovers++;
    this.boot();
    return true;
  }

  endFormer(): void {
    this.#former?.end();
    this.#former = undefined;
  }

  #defect(err: unknown): void {
    this.#ports.watch.logged(this, "error", { err }, "a defect in the intake");
  }

  /** The process ends without a word. `isTold`: the machine lives on and tells the peers. */
  crash(isTold: boolean): void {
    if (this.#life.ended && this.machine.vault === undefined) return;
    this.machine.crash();
    this.#end(isTold);
  }

  #end(isTold = true): void {
    if (this.#life.ended) return;
    this.#isStopping = false;
    this.#life.ended = true;
    this.#km = undefined;
    this.#roster = undefined;
    this.#stop.abort();
    for (const wire of this.wires.values()) wire.die(this.id, isTold);
    for (const { modules, end } of this.modules.values()) modules.leave(end);
    for (const tell of this.atEnd) tell();
    this.atEnd.clear();
    this.#ports.watch.disturbed(this, true);
  }

  /** An orderly end; undefined when the process ended otherwise meanwhile. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#stopInOrder().finally(() => {
      this.#isStopping = false;
    });
  }

  async #stopInOrder(): Promise<void> {
    const { km } = this;
    const life = this.#life;
    if (km === undefined) return this.crash(true);
    this.#stop.abort();
    void this.#roster?.stop();
    await km.stop().catch((err: unknown) => {
      this.#ports.watch.logged(this, "warn", { err }, "the marks could not be written at the stop");
    });
    if (life.ended) return;
    this.#diskGeneration = ++this.#generation;
    this.machine.crash();
    this.#end();
  }

  /** Everything that the node has is destroyed; the process ends. */
  async zeroise(): Promise<void> {
    const { km, machine } = this;
    this.endFormer();
    void km?.refuse();
    await machine.vault?.zeroise();
    machine.rows.clear();
    machine.records.clear();
    machine.reindex();
    this.#end();
    this.era++;
    this.#diskGeneration = this.#generation;
    this.#isRestored = false;
    this.#lose();
  }

  #lose(): void {
    this.losses++;
    this.lostAtMs = this.#ports.clock.nowMs;
  }

  /** What its token's counter says. */
  get generation(): number {
    return this.#generation;
  }

  /** The machine is sound again. */
  heal(): void {
    this.fates.length = 0;
    this.fullUntilMs = 0;
    this.tokenGoneUntilMs = 0;
    if (this.wallAheadMs !== 0) this.jumpWall(0);
    this.audit.fail(false);
    for (const { settings } of this.parts?.links.values() ?? []) this.km?.useLink(settings.id, true);
    this.diskMs = 1;
    this.tokenMs = 0;
    this.machine.vault?.token("ready");
    this.machine.vault?.store("ready");
  }

  backup(): Backup {
    return { disk: this.machine.copy(), generation: this.#diskGeneration };
  }

  /** An epoch has ended: what is older cannot be opened any more, and the token's counter says so. */
  #rotated(): void {
    this.#diskGeneration = ++this.#generation;
  }

  /** The disk is as it was; no process may run. */
  restore({ disk, generation }: Backup): void {
    this.endFormer();
    this.machine.restore(disk);
    this.machine.reindex();
    this.#diskGeneration = generation;
    this.era++;
    this.#lose();
  }

  /** The disk is as it was in the same start and epoch: the token's counter does not tell. No process may run. */
  putBackCopy({ disk }: Backup): void {
    this.machine.restore(disk);
    this.machine.reindex();
    this.putBack++;
    this.#lose();
  }

  /** The token is away for a while. */
  loseToken(ms: number): void {
    this.tokenGoneUntilMs = this.#ports.clock.nowMs + ms;
    this.machine.vault?.token("gone");
    this.after(ms, "has its token again", () => this.machine.vault?.token("ready"));
  }

  /** What a store does that rejected a commit: it is opened again, and again until there is room. */
  #reopenStore(): void {
    this.#ports.watch.disturbed(this, false);
    this.after(REOPEN_MS, "opens its store again", () => {
      if (this.machine.vault?.health().store === "failing") this.machine.vault.store("ready");
    });
  }

  /** Neighbours in order. */
  get neighbours(): readonly KmId[] {
    return [...this.wires.keys()].sort(compareIds);
  }
}

function endFormer(
  life: Life,
  vault: ModelVault,
  { roster, stop }: { readonly roster: Roster; readonly stop: AbortController },
): void {
  stop.abort();
  void roster.stop();
  life.ended = true;
  vault.die();
}
