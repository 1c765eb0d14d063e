// 1,000 sessions at a time over 100 connections of real processes, with applications that leave at random.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { seeded } from "../keys/support/seeded.ts";
import { SEED } from "../support/seed.ts";
import { eventually } from "./support/eventually.ts";
import type { Km } from "./support/km.ts";
import { type Network, startNetwork } from "./support/network.ts";
import type { LogLine } from "./support/process.ts";
import { quiet } from "./support/quiet.ts";
import { Asker, type Keys, type SessionRecord, Taker } from "./support/session-load.ts";

const APPS = 50;
const PER_ASKER = 20;
const LEAVING_FOR_GOOD = 5;
const IDLE_S = 20;
/** What a KM may have beyond what it had after the first wave: garbage that is not collected yet. */
const TOLERANCE_BYTES = 32 * 2 ** 20;
/** So little heap that V8 collects garbage all the while: what grows is kept. */
const NODE_OPTIONS = "--max-old-space-size=64";

const names = (prefix: string): string[] => Array.from({ length: APPS }, (_, index) => `app-${prefix}${index + 1}`);

const random = seeded(SEED);
let network: Network;

beforeAll(async () => {
  vi.stubEnv("NODE_OPTIONS", NODE_OPTIONS);
  network = await startNetwork({
    kms: [
      { id: "km-a", apps: names("a") },
      { id: "km-b", apps: names("b") },
    ],
    links: [{ id: "ab", kms: ["km-a", "km-b"], module: { rateBitsPerS: 8_000_000 } }],
    config: { node: { log_level: "debug" }, sessions: { idle_s: IDLE_S } },
  });
  vi.unstubAllEnvs();
  await network.stocked();
});
afterAll(async () => {
  await network?.[Symbol.asyncDispose]();
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const pick = <T>(all: readonly T[]): T => {
  const one = all[random.between(0, all.length - 1)];
  if (one === undefined) throw new Error("there is nothing to pick");
  return one;
};

interface Wave {
  readonly records: readonly SessionRecord[];
  readonly takers: readonly Taker[];
  readonly left: number;
}

/** All sessions are open at the same time before the first key is asked for; then applications leave. */
async function wave(): Promise<Wave> {
  await using parts = new AsyncDisposableStack();
  const takers = names("b").map((id) => parts.use(new Taker(network.app(id))));
  const askers = names("a").map((id) => parts.use(new Asker(network.app(id), random)));
  await Promise.all(takers.map((taker) => taker.connect()));
  const opened = await Promise.all(
    askers.map(async (asker) => {
      const sessions: { asker: Asker; taker: Taker; sessionId: string }[] = [];
      for (let index = 0; index < PER_ASKER; index++) {
        const taker = pick(takers);
        sessions.push({ asker, taker, sessionId: (await asker.open(taker)).sessionId });
      }
      return sessions;
    }),
  );
  expect(await sessionsAt("km-a", "initiator")).toBe(APPS * PER_ASKER);
  expect(await sessionsAt("km-b", "destination")).toBe(APPS * PER_ASKER);
  const connections = await Promise.all(network.kms.map((km) => gauge(km, "qkm_connections", { door: "ak" })));
  expect(connections).toEqual([APPS, APPS]);

  const spending = Promise.all(opened.flat().map(({ asker, taker, sessionId }) => asker.spend(sessionId, taker)));
  let done = false;
  const finished = spending.finally(() => {
    done = true;
  });
  const left = await disturb(askers, takers, () => done);
  await finished;
  return { records: askers.flatMap(({ records }) => records), takers, left };
}

/** Lets applications leave and come back until all is spent; the first few destinations to leave do not. */
async function disturb(askers: readonly Asker[], takers: readonly Taker[], isDone: () => boolean): Promise<number> {
  let left = 0;
  while (!isDone()) {
    await pause(random.between(5, 40));
    const here = takers.filter(({ gone }) => !gone);
    if (APPS - here.length < LEAVING_FOR_GOOD && random.fraction() < 0.2) {
      await pick(here)[Symbol.asyncDispose]();
    } else if (random.fraction() < 0.5) {
      const taker = pick(here);
      await taker.leave();
      await pause(random.between(0, 50));
      await taker.connect();
    } else {
      await pick(askers).reconnect();
    }
    left += 1;
  }
  return left;
}

const gauge = async (km: Km, name: string, labels: Readonly<Record<string, string>>): Promise<number> =>
  (await km.metrics()).sum(name, labels);

async function sessionsAt(km: string, role: "initiator" | "destination"): Promise<number> {
  return (await network.km(km).status()).sessions[role];
}

/** What the log of the destinations' KM, where keys are acknowledged, says of the end of each session. */
function endsIn(km: Km, fromByte: number): ReadonlyMap<string, LogLine> {
  const lines = km.logLines(fromByte).filter((line) => line.event === "session_ended" && line.role === "destination");
  return new Map(lines.map((line) => [String(line.session), line]));
}

/** Memory in RAM that is the process's own: pages of the store, which grows all the while, are not. */
const memoryOf = (km: Km): number =>
  Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${km.pid}/status`, "utf8"))?.[1]) * 1024;

/** Nothing is left of a wave: no session, no connection. */
async function over(): Promise<void> {
  await eventually("no session is left", async () => {
    const sizes = await Promise.all([sessionsAt("km-a", "initiator"), sessionsAt("km-b", "destination")]);
    return sizes.every((size) => size === 0);
  });
  await eventually("no connection of an application is left", async () => {
    const open = await Promise.all(network.kms.map((km) => gauge(km, "qkm_connections", { door: "ak" })));
    return open.every((count) => count === 0);
  });
}

const slotsInUse = (): Promise<number[]> =>
  Promise.all(network.kms.map(async (km) => (await km.status()).vault.slots.pinned));

/** What all sessions have spent by the counters of the initiators' KM. */
async function spentByCounters(): Promise<number> {
  const metrics = await network.km("km-a").metrics();
  return metrics.sum("qkm_keys_fetched_total", { door: "session" }) + metrics.sum("qkm_keys_undelivered_total");
}

/** The same at the destinations' KM: keys that were not delivered may or may not be among the unacknowledged. */
async function spentBetween(): Promise<readonly [number, number]> {
  const metrics = await network.km("km-b").metrics();
  const supplied = metrics.sum("qkm_keys_supplied_total", { door: "session" });
  const least = supplied - metrics.sum("qkm_keys_unacknowledged_total");
  return [least, least + metrics.sum("qkm_keys_undelivered_total")];
}

/** Every budget is kept, every key is at both ends the same and nowhere else. @returns keys spent */
function check({ records, takers }: Wave, ends: ReadonlyMap<string, LogLine>): number {
  const seen = new Set<string>();
  let total = 0;
  for (const { sessionId, to, budget, got, unanswered, end } of records) {
    const taken: Keys = takers.find(({ app }) => app.id === to)?.taken ?? new Map();
    const ended = ends.get(sessionId);
    const spent = Number(ended?.spent);
    total += spent;
    if (end === "spent") expect([spent, ended?.reason]).toEqual([budget, "budget"]);
    expect(spent).toBeLessThanOrEqual(budget);
    expect(got.size).toBeLessThanOrEqual(spent);
    expect(got.size + unanswered).toBeGreaterThanOrEqual(spent);
    for (const [keyId, bytes] of got) {
      expect(taken.get(keyId)?.equals(bytes), `${keyId} at both ends`).toBe(true);
      expect(seen.has(keyId) || seen.has(bytes.toString("hex")), `${keyId} is new`).toBe(false);
      seen.add(keyId).add(bytes.toString("hex"));
    }
  }
  return total;
}

test("design 6: budgets are exact, nothing leaks and memory returns, over three waves of 1,000 sessions", async () => {
  const [kmA, kmB] = [network.km("km-a"), network.km("km-b")];
  const memory: number[][] = [];
  let spent = 0;
  for (let number = 1; number <= 3; number++) {
    const begun = performance.now();
    const fromByte = kmB.logBytes;
    const done = await wave();
    expect(done.records).toHaveLength(APPS * PER_ASKER);
    await over();
    spent += check(done, endsIn(kmB, fromByte));
    expect(await spentByCounters()).toBe(spent);
    const [least, most] = await spentBetween();
    expect([spent >= least, spent <= most], `${least} <= ${spent} <= ${most}`).toEqual([true, true]);
    memory.push([memoryOf(kmA), memoryOf(kmB)]);
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    const megabytes = memory.at(-1)?.map((bytes) => (bytes / 2 ** 20).toFixed(0));
    const gone = done.records.filter(({ end }) => end === "gone").length;
    expect(gone, "sessions that were over before their budget").toBeLessThan(done.records.length / 2);
    console.log(
      `wave ${number}: ${seconds} s, ${done.left} leavings, ${gone} sessions left alone, memory ${megabytes} MiB`,
    );
  }
  const [first, , last] = memory;
  for (const index of [0, 1]) expect(last?.[index] ?? 0).toBeLessThan((first?.[index] ?? 0) + TOLERANCE_BYTES);
  const errors = [kmA, kmB].flatMap((km) => km.logLines().filter(({ level, alarm }) => level === "error" || alarm));
  expect(errors).toEqual([]);
  await quiet(network);
  await eventually("no block in memory is in use", async () => (await slotsInUse()).every((count) => count === 0));
});
