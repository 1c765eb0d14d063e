// Supply over Ak against a bare TLS server that answers with frames of the same sizes.

import { fileURLToPath } from "node:url";
import type { Bench } from "../bench.ts";
import { compared, duel, type Outcomes } from "../duel.ts";
import type { FilledNetwork } from "../filled.ts";
import { askOnce, type Outcome } from "../load.ts";
import { Program } from "../program.ts";
import type { FramesPlan } from "../reference/frames.ts";
import { keyRequest, keyRequestById, keysOf, SeenKeys, type Wish } from "../requests.ts";

const FRAMES = fileURLToPath(new URL("../reference/frames.ts", import.meta.url));
const SIDES = { ours: "the KM", theirs: "bare TLS echo" } as const;
/** Keys of one batch; the answer is 14 KiB. */
const BATCH = 128;
const FETCHES = 8_000;

interface Plan {
  readonly app: "a" | "b";
  readonly wish: () => Wish;
  readonly connections: number;
  readonly depth: number;
  readonly heatMs: number;
  readonly measureMs: number;
}

const rate = ({ perSecond }: Outcome): number => perSecond;

export async function measureAk(bench: Bench, filled: FilledNetwork): Promise<void> {
  const seen = new SeenKeys();
  const single = { app: "a", wish: () => keyRequest(1, seen) } as const;
  const run = (plan: Plan) => duelOf(bench, filled, plan);
  if (bench.wants("ak-supply") || bench.wants("ak-supply-cpu")) {
    bench.say("Ak: 32 connections, one request in flight on each");
    await filled.atLeast(900);
    supplied(bench, await run({ ...single, connections: 32, depth: 1, heatMs: 4_000, measureMs: 1_500 }));
  }
  if (bench.wants("ak-latency-p50") || bench.wants("ak-latency-p99")) {
    bench.say("Ak: one request at a time");
    await filled.atLeast(100);
    latencies(bench, await run({ ...single, connections: 1, depth: 1, heatMs: 1_000, measureMs: 1_000 }));
  }
  if (bench.wants("ak-pipelined")) {
    bench.say("Ak: 8 connections, 64 requests in flight on each");
    await filled.atLeast(700);
    const outcomes = await run({ ...single, connections: 8, depth: 64, heatMs: 500, measureMs: 700 });
    bench.add({ name: "ak-pipelined", unit: "keys/s", ...compared(outcomes, SIDES, rate) });
  }
  if (bench.wants("ak-batch")) {
    bench.say(`Ak: 4 connections, ${BATCH} keys in each answer`);
    await filled.atLeast(900);
    const plan = {
      app: "a",
      wish: () => keyRequest(BATCH, seen),
      connections: 4,
      depth: 1,
      heatMs: 300,
      measureMs: 300,
    } as const;
    const keys = ({ perSecond }: Outcome) => perSecond * BATCH;
    bench.add({ name: "ak-batch", unit: "keys/s", ...compared(await run(plan), SIDES, keys) });
  }
  if (bench.wants("ak-fetch")) {
    bench.say("Ak: keys by their IDs at the other KM, 32 connections, one request in flight on each");
    await filled.atLeast(100);
    const ids = await someIds(filled, (bench.rounds + 2) * FETCHES);
    const wish = () => keyRequestById(ids.splice(0, FETCHES));
    const outcomes = await run({ app: "b", wish, connections: 32, depth: 1, heatMs: 1_000, measureMs: 1_000 });
    bench.add({ name: "ak-fetch", unit: "keys/s", ...compared(outcomes, SIDES, rate) });
  }
}

function supplied(bench: Bench, outcomes: Outcomes): void {
  bench.add({
    name: "ak-supply",
    unit: "keys/s",
    ...compared(outcomes, SIDES, rate),
    aim: { of: "ratio", atLeast: 0.7 },
  });
  bench.add({ name: "ak-supply-cpu", unit: "µs/key", ...compared(outcomes, SIDES, ({ cpuMicros }) => cpuMicros) });
}

function latencies(bench: Bench, outcomes: Outcomes): void {
  const micros =
    (part: number) =>
    ({ latencies: ms }: Outcome) =>
      1_000 * (ms[Math.floor(ms.length * part)] ?? Number.NaN);
  bench.add({ name: "ak-latency-p50", unit: "µs", ...compared(outcomes, SIDES, micros(0.5)) });
  bench.add({ name: "ak-latency-p99", unit: "µs", ...compared(outcomes, SIDES, micros(0.99)) });
}

function duelOf({ rounds }: Bench, { network }: FilledNetwork, plan: Plan): Promise<Outcomes> {
  const km = plan.app === "a" ? network.a : network.b;
  const target = { port: km.plan.ports.ak, tls: network.client(plan.app) };
  const reference = (requestBytes: number, answer: Buffer) => {
    const args: FramesPlan = { files: network.server, requestBytes, answerBytes: answer.length };
    return Program.start({ args: [FRAMES, JSON.stringify(args)], log: network.log("reference") });
  };
  return duel({ ...plan, rounds, target, km: km.program, reference });
}

/** Keys that one application was supplied with, for the other to fetch. */
async function someIds({ network }: FilledNetwork, count: number): Promise<string[]> {
  const ids: string[] = [];
  const target = { port: network.a.plan.ports.ak, tls: network.client("a") };
  const { request, isWhole } = keyRequest(BATCH, new SeenKeys());
  while (ids.length < count) {
    for (const { key_ID: id } of keysOf(await askOnce(target, request, isWhole))) ids.push(id);
  }
  return ids;
}
