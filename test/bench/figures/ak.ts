// Supply and retrieval over Ak: against a bare TLS echo with frames of the same sizes, and against Redis.

import { fileURLToPath } from "node:url";
import type { Bench } from "../bench.ts";
import { boundOf, compared, duel, type Outcomes, type Pattern, type Rival, serverRival } from "../duel.ts";
import type { FilledNetwork } from "../filled.ts";
import { answers, askOnce, type Outcome } from "../load.ts";
import { Program } from "../program.ts";
import type { FramesPlan } from "../reference/frames.ts";
import { redisMissing, redisRival } from "../reference/redis.ts";
import { alternatingRequests, keyRequest, keyRequestById, keysOf, SeenKeys, type Wish } from "../requests.ts";
import type { Aim } from "../result.ts";

const FRAMES = fileURLToPath(new URL("../reference/frames.ts", import.meta.url));
const ECHO = { ours: "the KM", theirs: "bare TLS echo" } as const;
const REDIS = { ours: "the KM", theirs: "Redis LPOP over TLS" } as const;
/** What Redis is measured with, and the KM where it is measured against Redis key for key. */
export const PIPELINED: Pattern = { connections: 8, depth: 64, heatMs: 1_000, measureMs: 700 };
/** Keys of one batch; the answer is 14 KiB. */
export const BATCH = 128;
/** The same number of keys in flight. */
export const BATCHED: Pattern = { connections: 4, depth: 1, heatMs: 300, measureMs: 300 };
/** KMA-keys that one request at a time takes in a round. */
const LONELY_STOCK = 60;
/** More than are fetched in one round. */
const FETCHES = 80_000;

const perSecond = (outcome: Outcome): number => outcome.perSecond;
const atLeast = (ratio: number): readonly Aim[] => [{ of: "ratio", atLeast: ratio }];
const atMost = (ratio: number): readonly Aim[] => [{ of: "ratio", atMost: ratio }];

export async function measureAk(bench: Bench, filled: FilledNetwork): Promise<void> {
  const seen = new SeenKeys();
  const single = () => keyRequest(1, seen);
  await againstEcho(bench, filled, "ak-supply", single);
  await againstEcho(bench, filled, "ak-alternating", () => alternatingRequests(seen));
  await lonely(bench, filled, single);
  if (wantsEither(bench, "ak-pipelined")) {
    bench.say("Ak: 8 connections, 64 requests in flight on each");
    const outcomes = await redisDuel(bench, filled, { app: "a", wish: single, pattern: PIPELINED });
    addAgainstRedis(bench, "ak-pipelined", outcomes, { keys: 1, aims: atLeast(0.4) });
  }
  const batches = () => keyRequest(BATCH, seen);
  if (wantsEither(bench, "ak-batch")) {
    bench.say(`Ak: 4 connections, ${BATCH} keys in each answer`);
    const outcomes = await redisDuel(bench, filled, { app: "a", wish: batches, pattern: BATCHED });
    addAgainstRedis(bench, "ak-batch", outcomes, { keys: BATCH, aims: atLeast(0.8) });
  }
  if (wantsEither(bench, "ak-batch-128")) {
    bench.say(`Ak: the same, and Redis pops ${BATCH} at a time`);
    const plan = { app: "a", wish: batches, pattern: BATCHED, values: BATCH } as const;
    const outcomes = await redisDuel(bench, filled, plan);
    addAgainstRedis(bench, "ak-batch-128", outcomes, { keys: BATCH, aims: atLeast(0.5) });
  }
  if (wantsEither(bench, "ak-fetch")) {
    bench.say("Ak: keys by their IDs at the other KM, 8 connections, 64 requests in flight on each");
    const ids = await someIds(filled, (bench.rounds + 2) * FETCHES);
    const wish = () => keyRequestById(ids.splice(0, FETCHES));
    const outcomes = await redisDuel(bench, filled, { app: "b", wish, pattern: PIPELINED });
    addAgainstRedis(bench, "ak-fetch", outcomes, { keys: 1, aims: atLeast(0.25) });
  }
}

/** A figure, or the processor time that belongs to it. */
const wantsEither = (bench: Bench, name: string): boolean => bench.wants(name) || bench.wants(`${name}-cpu`);

async function againstEcho(bench: Bench, filled: FilledNetwork, name: string, wish: () => Wish): Promise<void> {
  if (!wantsEither(bench, name)) return;
  bench.say(`Ak: 32 connections, one request in flight on each: ${name}`);
  const pattern = { connections: 32, depth: 1, heatMs: 8_000, measureMs: 1_500 };
  const outcomes = await echoDuel(bench, filled, { app: "a", wish, pattern });
  const bound = boundOf(outcomes);
  bench.add({ name, unit: "keys/s", ...compared(outcomes, ECHO, perSecond), bound, aims: atLeast(0.8) });
  const cpu = compared(outcomes, ECHO, ({ cpuMicros }) => cpuMicros);
  bench.add({ name: `${name}-cpu`, unit: "µs/key", ...cpu, aims: atMost(1.4) });
}

async function lonely(bench: Bench, filled: FilledNetwork, wish: () => Wish): Promise<void> {
  if (!bench.wants("ak-latency-p50") && !bench.wants("ak-latency-p99")) return;
  bench.say("Ak: one request at a time");
  const pattern = { connections: 1, depth: 1, heatMs: 1_000, measureMs: 1_000 };
  const outcomes = await echoDuel(bench, filled, { app: "a", wish, pattern, roundStock: LONELY_STOCK });
  const micros =
    (part: number) =>
    ({ latencies: ms }: Outcome) =>
      1_000 * (ms[Math.floor(ms.length * part)] ?? Number.NaN);
  const [p50, p99] = [compared(outcomes, ECHO, micros(0.5)), compared(outcomes, ECHO, micros(0.99))];
  bench.add({ name: "ak-latency-p50", unit: "µs", ...p50, aims: atMost(1.3) });
  bench.add({ name: "ak-latency-p99", unit: "µs", ...p99, aims: atMost(1.5) });
}

interface Plan {
  readonly app: "a" | "b";
  readonly wish: () => Wish;
  readonly pattern: Pattern;
  /** KMA-keys that a round takes at most; without it, a full stock. */
  readonly roundStock?: number;
  /** What Redis pops at a time: one value, unless it is here. */
  readonly values?: number;
}

function sidesOf({ network }: FilledNetwork, { app }: Plan) {
  const km = network.km(app);
  return { km: km.program, target: { port: km.plan.ports.ak, tls: network.client(app) } };
}

function echoDuel({ rounds }: Bench, filled: FilledNetwork, plan: Plan): Promise<Outcomes> {
  const { km, target } = sidesOf(filled, plan);
  const rival = async (first: Wish, { length: answerBytes }: Buffer): Promise<Rival> => {
    const { server } = filled.network;
    const args: FramesPlan = { files: server, requestBytes: first.requestBytes, answerBytes };
    const log = filled.network.log("reference");
    const program = await Program.start({ args: [FRAMES, JSON.stringify(args)], log });
    return await serverRival(program, plan.pattern, target, { ...first, answerBytes });
  };
  return duel({ rounds, km, target, ...plan, rival, prepare: () => preparedFor(filled, plan) });
}

const preparedFor = (filled: FilledNetwork, { roundStock }: Plan): Promise<void> =>
  roundStock === undefined ? filled.full() : filled.ready(roundStock);

/** Redis pops one value a request whatever the KM is asked for. */
async function redisDuel({ rounds }: Bench, filled: FilledNetwork, plan: Plan): Promise<Outcomes> {
  const { network } = filled;
  const { km, target } = sidesOf(filled, plan);
  const one = keyRequest(1, new SeenKeys());
  const ofOneKey = await askOnce(sidesOf(filled, { ...plan, app: "a" }).target, one.request, one.isWhole);
  const rival = () =>
    redisRival({
      server: network.server,
      client: network.clientFiles(plan.app),
      pattern: plan.values === undefined ? PIPELINED : plan.pattern,
      values: plan.values ?? 1,
      answerBytes: ofOneKey.length,
      dir: network.dir,
    });
  const prepare = () => preparedFor(filled, plan);
  return await duel({ rounds, km, target, ...plan, prepare, rival: redisMissing() === undefined ? rival : undefined });
}

function addAgainstRedis(
  bench: Bench,
  name: string,
  outcomes: Outcomes,
  { keys, aims }: { readonly keys: number; readonly aims: readonly Aim[] },
): void {
  const ours = outcomes.ours.map((outcome) => ({
    ...outcome,
    perSecond: outcome.perSecond * keys,
    cpuMicros: outcome.cpuMicros / keys,
  }));
  const missing = redisMissing();
  const leftOut = missing === undefined ? {} : { leftOut: missing };
  const sides = { ...outcomes, ours };
  const bound = boundOf(sides);
  bench.add({ name, unit: "keys/s", ...compared(sides, REDIS, perSecond), bound, aims, ...leftOut });
  const cpu = compared(sides, REDIS, ({ cpuMicros }) => cpuMicros);
  bench.add({ name: `${name}-cpu`, unit: "µs/key", ...cpu, ...leftOut });
}

/** Keys that one application was supplied with, for the other to fetch. */
export async function someIds({ network }: FilledNetwork, count: number): Promise<string[]> {
  const ids: string[] = [];
  const target = { port: network.a.plan.ports.ak, tls: network.client("a") };
  const { request, isWhole } = keyRequest(BATCH, new SeenKeys());
  for await (const answer of answers(target, request, isWhole)) {
    for (const { key_ID: id } of keysOf(answer)) ids.push(id);
    if (ids.length >= count) break;
  }
  return ids;
}
