// Rounds under load: each breaks something of a KM with two members, and looks what that costs.

import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { seeded } from "../../keys/support/seeded.ts";
import { SEED } from "../../support/seed.ts";
import type { HandedKey } from "../../system/support/doors.ts";
import { eventually } from "../../system/support/eventually.ts";
import { placeOf } from "../../system/support/keys.ts";
import { Load } from "../../system/support/load.ts";
import { Oracle, type Pair, type Supplied, type SuppliedRange } from "../../system/support/oracle.ts";
import { Stage } from "./stage.ts";

/** Of the reference network's configuration. */
const LEASE_MS = 3_000;
/** Answers that km-b must give before a round is over. */
const ANSWERS_AFTER = 5;
/** The durable mark of an open KMA-key runs ahead of what was supplied by two chunks at most; under load several are open. */
const AHEAD_BYTES = 2 * 4_096;
const KEY_BYTES = 32;
const DESTINATIONS = ["km-a", "km-b", "km-c"] as const;
/** The one application of a KM with members has five answers a second at most. */
const ANSWERS_WITHOUT_ROOM = 100;
const WITHOUT_ROOM_MS = 240_000;
const CUT_MS = 2 * LEASE_MS;
const QUORUM_LOST_MS = 5_000;

export type Kind = keyof typeof BREAKS;

/** Bytes of a KMA-key between two supplied keys that nobody got. */
export interface Gap {
  readonly bytes: number;
  /** What may have been lost in the rounds from the key before it to the one behind it. */
  readonly most: number;
  readonly rounds: readonly Kind[];
}

/** Nothing may be lost in these. */
const LOSSLESS: readonly Kind[] = ["etcd's leader killed", "handed over", "both members updated in turn"];

/** What a round has cost. */
export interface Outcome {
  readonly kind: Kind;
  /** The longest time without an answer of km-b. */
  readonly silentMs: number;
  /** Of 256 bits, below marks that no member goes on from, as far as it shows by the end of the round. */
  readonly keysLost: number;
}

/** Knows when km-b answered, too, and in which round it supplied each part of a KMA-key. */
class TimedOracle extends Oracle {
  readonly answeredMs: number[] = [];
  round = 0;
  readonly #rounds = new Map<SuppliedRange, number>();

  override supplied(pair: Pair, keys: readonly HandedKey[]): Supplied[] {
    if (pair.source !== "km-b") return super.supplied(pair, keys);
    this.answeredMs.push(performance.now());
    const supplied = super.supplied(pair, keys);
    for (const serial of new Set(keys.map(({ id }) => placeOf(id).serial))) {
      for (const range of this.ranges(pair.source, pair.destination, serial)) {
        if (!this.#rounds.has(range)) this.#rounds.set(range, this.round);
      }
    }
    return supplied;
  }

  roundOf(range: SuppliedRange): number {
    return this.#rounds.get(range) ?? 0;
  }
}

/** Each breaks something and resolves when it is whole again; the load goes on meanwhile. */
const BREAKS = {
  "active member killed": async (run) => {
    process.kill(run.stage.active.pid, "SIGKILL");
  },
  "active member paused": async (run) => {
    const { id, pid } = run.stage.active;
    process.kill(pid, "SIGSTOP");
    await run.takenOverFrom(id);
    await run.answered(ANSWERS_AFTER);
    process.kill(pid, "SIGCONT");
    await run.standsBy(id);
  },
  "active member cut off from etcd": async (run) => {
    const { id } = run.stage.active;
    const { etcdWays } = run.stage.staged(id);
    for (const way of etcdWays) way.cut();
    await run.takenOverFrom(id);
    await run.answered(ANSWERS_AFTER);
    for (const way of etcdWays) way.mend();
    await run.standsBy(id);
  },
  "active member cut off from its peers": async (run) => {
    const { peerWays } = run.stage.staged(run.stage.active.id);
    for (const way of peerWays) way.cut();
    await pause(CUT_MS);
    for (const way of peerWays) way.mend();
  },
  "etcd's quorum lost": async (run) => {
    const [, ...voters] = run.stage.network.etcd ?? [];
    for (const { pid } of voters) process.kill(pid, "SIGSTOP");
    await pause(QUORUM_LOST_MS);
    for (const { pid } of voters) process.kill(pid, "SIGCONT");
  },
  "etcd's leader killed": async (run) => {
    process.kill(await run.stage.leader(), "SIGKILL");
    await eventually("etcd has a leader again", async () => (await run.stage.leader()) > 0);
  },
  "handed over": async (run) => {
    const { id } = run.stage.active;
    await run.stage.handOver(id);
    await run.standsBy(id);
  },
  "both members updated in turn": async (run) => {
    const { id } = run.stage.active;
    const [standby] = run.stage.listed.filter((member) => member.id !== id);
    await run.restarted(standby?.id ?? "");
    // On a busy machine the lease may have ended meanwhile, and the other one has taken over by itself.
    if ((await run.stage.report(id)).state === "active") await run.stage.handOver(id);
    await run.standsBy(id);
    await run.restarted(id);
  },
  "active member's disk full": async (run) => {
    const { id } = run.stage.active;
    const store = join(run.stage.staged(id).dir, "store");
    const ballast = join(store, "ballast");
    const { bavail, bsize } = statfsSync(store);
    writeFileSync(ballast, new Uint8Array(bavail * bsize));
    // Its store has room of its own by and by: a member that needs no more goes on.
    const answers = run.answers;
    await eventually(
      "another member is active, or this one needs no room",
      () => run.stage.active.id !== id || run.answers > answers + ANSWERS_WITHOUT_ROOM,
      WITHOUT_ROOM_MS,
    );
    const isTakenOver = run.stage.active.id !== id;
    await run.answered(ANSWERS_AFTER);
    rmSync(ballast);
    if (isTakenOver) await run.standsBy(id);
  },
} as const satisfies Readonly<Record<string, (run: Rounds) => Promise<void>>>;

export const KINDS = Object.keys(BREAKS) as readonly Kind[];

export class Rounds implements AsyncDisposable {
  readonly stage: Stage;
  readonly outcomes: Outcome[] = [];
  readonly #oracle = new TimedOracle();
  /** Of each round. */
  readonly #excusedBytes: number[] = [];
  readonly #load: Load;

  private constructor(stage: Stage) {
    this.stage = stage;
    this.#load = new Load(stage, this.#oracle, seeded(SEED), { largestBits: 2_048, restMs: 200 });
    for (const app of stage.apps) {
      if ("late" in app) app.late = (target: string, keys: readonly HandedKey[]) => this.#late(app.id, target, keys);
    }
  }

  static async start(options: Parameters<typeof Stage.start>[0] = {}): Promise<Rounds> {
    const run = new Rounds(await Stage.start(options));
    await eventually(
      "the standby is there",
      async () => (await run.stage.report(run.stage.active.id)).others.length > 0,
    );
    run.#load.start();
    await run.answered(ANSWERS_AFTER);
    return run;
  }

  /** Keys of a request that was given up: a member that was paused may answer late. */
  #late(initiator: string, target: string, keys: readonly HandedKey[]): void {
    const destination = this.stage.network.apps.find(({ id }) => id === target)?.km ?? "";
    this.#oracle.supplied({ source: "km-b", destination, initiator, target }, keys);
  }

  async round(kind: Kind): Promise<Outcome> {
    const beganMs = performance.now();
    this.#oracle.round += 1;
    const gapBytesBefore = this.#gapBytes();
    const unansweredBefore = this.#unanswered();
    await BREAKS[kind](this);
    await this.answered(ANSWERS_AFTER);
    await eventually("a standby is there and has followed", () => this.#hasStandby());
    expect(this.#oracle.violations).toEqual([]);
    const outcome = {
      kind,
      silentMs: this.#longestSilence(beganMs),
      keysLost: (this.#gapBytes() - gapBytesBefore) / KEY_BYTES,
    };
    // Marks may have moved for what was refused for the time being, and for requests that nobody answered.
    const refused = DESTINATIONS.map((to) => this.#load.mostRefused("km-b", to, beganMs));
    this.#excusedBytes.push(refused.reduce((sum, bytes) => sum + bytes, this.#unanswered() - unansweredBefore));
    this.outcomes.push(outcome);
    return outcome;
  }

  /** @throws Error that tells what each member says, when there is none that has followed */
  async #hasStandby(): Promise<boolean> {
    const { stage } = this;
    const said = await Promise.all(stage.members.map(({ name }) => stage.report(name)));
    const others = said.filter(({ state }) => state === "standby");
    const active = said.find(({ state }) => state === "active");
    if (active?.others.length === 1 && others.length === 1 && others[0]?.lagMs === 0) return true;
    throw await this.#saying();
  }

  /** An error with what each member reports, if it answers, and what they logged last. */
  async #saying(): Promise<Error> {
    const { stage } = this;
    const said = await Promise.all(stage.members.map(({ name }) => stage.report(name).catch(String)));
    const troubles = stage.members.flatMap(({ name }) => stage.troubles(name));
    return new Error([...said, ...troubles].map((line) => JSON.stringify(line)).join("\n"));
  }

  /** Answers of km-b with keys, so far. */
  get answers(): number {
    return this.#oracle.answeredMs.length;
  }

  /** So many more answers of km-b with keys. */
  async answered(more: number): Promise<void> {
    const before = this.answers;
    try {
      await eventually("km-b supplies", () => this.answers >= before + more);
    } catch (thrown) {
      throw new Error(String(thrown), { cause: await this.#saying() });
    }
  }

  async takenOverFrom(name: string): Promise<void> {
    await eventually("another member is active", () => this.stage.active.id !== name);
  }

  async standsBy(name: string): Promise<void> {
    await eventually(`${name} stands by`, async () => (await this.stage.report(name)).state === "standby");
  }

  /** A standby is stopped in order, as an update does it, and is there again. */
  async restarted(name: string): Promise<void> {
    const pidOf = () => this.stage.listed.find(({ id }) => id === name)?.pid ?? 0;
    const former = pidOf();
    process.kill(former, "SIGTERM");
    await eventually(`${name} is another process`, () => ![0, former].includes(pidOf()));
    await eventually(`${name} is there and has followed`, () => this.#hasStandby());
  }

  /** Everything that was supplied can be fetched, once; then all ends. */
  async finish(): Promise<{ readonly keys: number; readonly doubtful: number }> {
    await this.#load.stop();
    await eventually("all waits are fetched", async () => {
      await this.#load.fetchAll();
      // What came late was in no batch.
      for (const one of this.#oracle.inState("supplied")) await this.#load.fetch([one]);
      return this.#oracle.inState("supplied").length === 0;
    });
    expect(this.#oracle.violations).toEqual([]);
    return { keys: this.#oracle.count, doubtful: this.#oracle.inState("doubtful").length };
  }

  #longestSilence(fromMs: number): number {
    const times = this.#oracle.answeredMs.filter((time) => time >= fromMs);
    return Math.round(Math.max(...times.map((time, at) => time - (times[at - 1] ?? fromMs))));
  }

  #unanswered(): number {
    const ways = [...this.#load.unanswered].filter(([way]) => way.startsWith("km-b "));
    return ways.reduce((sum, [, bytes]) => sum + bytes, 0);
  }

  /**
   * All that was lost. What a round has lost shows when its KMA-key comes to be carved again, which may be many rounds later:
   * each gap is held against the rounds that may have made it.
   */
  gaps(): readonly Gap[] {
    return DESTINATIONS.flatMap((to) => this.#oracle.serials("km-b", to).flatMap((serial) => this.#gapsOf(to, serial)));
  }

  #gapsOf(destination: string, serial: number): Gap[] {
    const ranges = this.#oracle.ranges("km-b", destination, serial).toSorted((a, b) => a.start - b.start);
    return ranges.flatMap((range, at) => {
      const before = ranges[at - 1];
      if (before === undefined || range.start === before.end) return [];
      const [first, last] = [before, range].map((one) => this.#oracle.roundOf(one)).toSorted((a, b) => a - b);
      const rounds = this.outcomes.slice(Math.max(0, (first ?? 0) - 1), last).map(({ kind }) => kind);
      const excused = this.#excusedBytes.slice(Math.max(0, (first ?? 0) - 1), last);
      const ahead = AHEAD_BYTES * rounds.filter((kind) => !LOSSLESS.includes(kind)).length;
      return [{ bytes: range.start - before.end, most: excused.reduce((sum, bytes) => sum + bytes, ahead), rounds }];
    });
  }

  #gapBytes(): number {
    return this.gaps().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#load[Symbol.asyncDispose]();
    } finally {
      await this.stage[Symbol.asyncDispose]();
    }
  }
}

/** The outcomes as a table: median and worst of each kind. */
export function tableOf(outcomes: readonly Outcome[]): string {
  const rows = [...Map.groupBy(outcomes, ({ kind }) => kind)].map(([kind, all]) => {
    const silent = all.map(({ silentMs }) => silentMs / 1000);
    const lost = all.map(({ keysLost }) => keysLost);
    const cells = [
      median(silent).toFixed(1),
      Math.max(...silent).toFixed(1),
      `${median(lost)}`,
      `${Math.max(...lost)}`,
    ];
    return `| ${kind} | ${all.length} | ${cells.join(" | ")} |`;
  });
  const head =
    "| what | rounds | s without supply, median | worst | keys lost, median | worst |\n| --- | --- | --- | --- | --- | --- |";
  return [head, ...rows].join("\n");
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
