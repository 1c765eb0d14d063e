// Two KMs under load that are killed at random moments and started again, and what has to hold all the while.

import { expect } from "vitest";
import { type Seeded, seeded } from "../../keys/support/seeded.ts";
import { SEED } from "../../support/seed.ts";
import { eventually } from "./eventually.ts";
import type { Km } from "./km.ts";
import { Load } from "./load.ts";
import { LossBook, sum } from "./losses.ts";
import { type Network, startNetwork } from "./network.ts";
import { Oracle } from "./oracle.ts";
import { PAIR, type Plan } from "./plan.ts";
import type { LogLine } from "./process.ts";
import { logsHoldNoKey, storesHoldNoKey } from "./secrecy.ts";

/** Two chunks of 4 KiB: what the durable mark of an open KMA-key may run ahead. */
const AHEAD_BYTES = 8192;
const PLAN: Plan = {
  ...PAIR,
  links: [{ id: "ab", kms: ["km-a", "km-b"], module: { rateBitsPerS: 6_000_000 } }],
  config: { node: { log_level: "debug" }, links: { "*": { block_bytes: 16_384, keep_blocks: 4_096 } } },
};
/** Answers that each KM must give after a round, before the next. */
const ANSWERS_AFTER = 5;
const VICTIMS = ["both", "module", "km-a", "km-b"] as const;

/** What a run has shown, for whoever reads the test's output. */
export interface CrashReport {
  readonly keys: number;
  readonly kills: number;
  readonly doubtful: number;
  readonly bytesLostAtMarks: number;
  readonly bytesUnanswered: number;
}

/** Runs so many rounds; QKM_SEED decides whom to kill, and when. @throws when a rule does not hold */
export async function crashRounds(rounds: number): Promise<CrashReport> {
  await using network = await startNetwork(PLAN);
  const run = new CrashRun(network, seeded(SEED));
  await using load = run.load;
  await network.stocked();
  load.start();
  for (let round = 0; round < rounds; round++) await run.round(VICTIMS[round % VICTIMS.length] ?? "both");
  await load.stop();
  const report = await run.finish();
  console.log(`${rounds} rounds:`, report);
  return report;
}

/** What was seen before a KM was killed, in bytes by destination KM or by way. */
interface Killing {
  readonly fromByte: number;
  readonly kills: number;
  readonly unanswered: ReadonlyMap<string, number>;
  readonly refused: ReadonlyMap<string, number>;
}

class CrashRun {
  readonly load: Load;
  readonly #network: Network;
  readonly #random: Seeded;
  readonly #oracle = new Oracle();
  readonly #losses = new LossBook(this.#oracle);
  /** By KM: when its process began. */
  readonly #startedAt = new Map<string, number>();
  #kills = 0;

  constructor(network: Network, random: Seeded) {
    this.#network = network;
    this.#random = random;
    this.load = new Load(network, this.#oracle, random);
  }

  async round(victim: (typeof VICTIMS)[number]): Promise<void> {
    await pause(this.#random.between(100, 900));
    if (victim === "module") await this.#killModule();
    else await this.#killKms(this.#network.kms.filter(({ id }) => victim === "both" || id === victim));
    const before = new Map(this.load.answers);
    await eventually("both KMs supply again", () =>
      this.#network.kms.every(({ id }) => (this.load.answers.get(id) ?? 0) >= (before.get(id) ?? 0) + ANSWERS_AFTER),
    );
    expect(this.#oracle.violations).toEqual([]);
  }

  async #killModule(): Promise<void> {
    const link = this.#network.link("ab");
    await link.kill();
    this.#kills++;
    await pause(this.#random.between(0, 300));
    await link.start();
  }

  async #killKms(kms: readonly Km[]): Promise<void> {
    await Promise.all(kms.map((km) => this.#killAndStart(km)));
  }

  async #killAndStart(km: Km): Promise<void> {
    const unanswered = new Map(this.load.unanswered);
    const since = this.#startedAt.get(km.id) ?? 0;
    const refused = new Map(this.#network.kms.map(({ id }) => [id, this.load.mostRefused(km.id, id, since)]));
    await km.kill();
    let kills = 1;
    // Every other time it dies again while it starts.
    if (this.#random.fraction() < 0.5) {
      const start = km.start().catch(() => {});
      await pause(this.#random.between(0, 700));
      await km.kill();
      await start;
      kills++;
    }
    this.#kills += kills;
    const fromByte = km.logBytes;
    this.#startedAt.set(km.id, performance.now());
    await km.start();
    await this.#checkLosses(km, { fromByte, kills, unanswered, refused });
  }

  async #checkLosses(km: Km, { fromByte, kills, unanswered, refused }: Killing): Promise<void> {
    await eventually("the log tells that it is ready", () =>
      km.logLines(fromByte).some(({ event }) => event === "ready"),
    );
    const { lost, counted } = this.#losses.note(km, fromByte);
    for (const { destination, serial, bytes } of lost) {
      const pair = `${km.id} ${destination}`;
      const inFlight = (this.load.unanswered.get(pair) ?? 0) - (unanswered.get(pair) ?? 0);
      const most = kills * AHEAD_BYTES + inFlight + (refused.get(destination) ?? 0);
      expect(bytes, `lost of KMA-key ${serial} from ${pair}`).toBeLessThanOrEqual(most);
    }
    const metrics = await km.metrics();
    const labels = { role: "source", reason: "lost_at_restart" };
    expect(metrics.sum("qkm_kma_bytes_lost_total", labels), `bytes that ${km.id} counts as lost`).toBe(counted);
  }

  /** After the load: everything supplied is fetched, once, also after an orderly restart of all. */
  async finish(): Promise<CrashReport> {
    await this.#network.stocked();
    await this.load.fetchAll();
    const doubtful = this.#oracle.inState("doubtful").length;
    expect(this.#oracle.violations).toEqual([]);
    expect(this.#oracle.inState("supplied")).toEqual([]);
    this.#checkGaps();
    for (const km of this.#network.kms) expect(await km.kill("SIGTERM")).toBe(0);
    storesHoldNoKey(this.#network, this.#oracle);
    await Promise.all([this.load.disconnect(), ...this.#network.kms.map((km) => km.start())]);
    await this.#checkGone();
    this.#checkLogs();
    return {
      keys: this.#oracle.count,
      kills: this.#kills,
      doubtful,
      bytesLostAtMarks: sum(this.#pairs().map(([from, to]) => this.#losses.gaps(from, to).atMarks)),
      bytesUnanswered: sum(this.load.unanswered.values()),
    };
  }

  #pairs(): [string, string][] {
    const ids = this.#network.kms.map(({ id }) => id);
    return ids.flatMap((from) => ids.map((to): [string, string] => [from, to]));
  }

  /** What is missing between two supplied keys lies below a mark that a start has told, or was in flight. */
  #checkGaps(): void {
    for (const [from, to] of this.#pairs()) {
      const { elsewhere } = this.#losses.gaps(from, to);
      expect(elsewhere, `lost in flight from ${from} to ${to}`).toBeLessThanOrEqual(
        this.load.unanswered.get(`${from} ${to}`) ?? 0,
      );
    }
  }

  async #checkGone(): Promise<void> {
    const fetched = this.#oracle.inState("fetched");
    for (let tried = 0; tried < 100; tried++) {
      const one = fetched[this.#random.between(0, fetched.length - 1)];
      if (one === undefined) throw new Error("nothing was fetched");
      expect(await this.load.isGone(one), `${one.id} is fetched only once`).toBe(true);
    }
  }

  /** No alarm, no error, nothing destroyed but what a crash costs, and no key byte. */
  #checkLogs(): void {
    const lines = this.#network.kms.flatMap((km) => km.logLines());
    expect(lines.filter(({ alarm, level }) => alarm !== undefined || level === "error")).toEqual([]);
    for (const km of this.#network.kms) expect(endedForNoCrash(km)).toEqual([]);
    logsHoldNoKey(this.#network, this.#oracle);
  }
}

/** KMA-keys that were proved or held and ended for another reason than a crash has. */
function endedForNoCrash(km: Km): LogLine[] {
  const lines = km.logLines().filter(({ serial, reason }) => serial !== undefined && reason !== undefined);
  const relays = lines.filter(({ fault }) => fault !== undefined).map(({ peer, serial }) => `${peer} ${serial}`);
  return lines
    .filter(({ peer, serial }) => !relays.includes(`${peer} ${serial}`))
    .filter(({ reason }) => reason !== "lost_at_restart" && reason !== "given_up");
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
