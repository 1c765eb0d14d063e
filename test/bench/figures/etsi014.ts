// Supply over ETSI GS QKD 014 against a bare node:https server that answers a constant.

import { fileURLToPath } from "node:url";
import { HTTP_LIMITS } from "../../../src/http/service.ts";
import type { Bench } from "../bench.ts";
import { boundOf, compared, duel, type Outcomes, type Pattern, serverRival } from "../duel.ts";
import type { FilledNetwork } from "../filled.ts";
import { fresh } from "../fresh.ts";
import { askOnce, type Outcome, type Target } from "../load.ts";
import { Program } from "../program.ts";
import type { HttpsPlan } from "../reference/https.ts";
import { encKeys, httpParts, SeenKeys } from "../requests.ts";
import { alternate } from "../result.ts";

const HTTPS = fileURLToPath(new URL("../reference/https.ts", import.meta.url));
export const PATTERN: Pattern = { connections: 16, depth: 1, heatMs: 8_000, measureMs: 1_500 };
/** Connections that are opened at a time where each request has its own. */
const FRESH = { connections: 8, warmMs: 500, heatMs: 3_000, measureMs: 2_000 } as const;
const SIDES = { ours: "the KM", theirs: "bare node:https" } as const;

export async function measureEtsi014(bench: Bench, filled: FilledNetwork): Promise<void> {
  await keepAlive(bench, filled);
  await newConnections(bench, filled);
}

const targetOf = ({ network }: FilledNetwork): Target => ({
  port: network.a.plan.ports.etsi014,
  tls: network.client("a"),
});

/** A server that answers as the KM did. */
function reference({ network }: FilledNetwork, answer: Buffer): Promise<Program> {
  const plan: HttpsPlan = {
    files: network.server,
    ...httpParts(answer),
    keepAliveMs: HTTP_LIMITS.keepAliveTimeout,
  };
  return Program.start({ args: [HTTPS, JSON.stringify(plan)], log: network.log("reference") });
}

async function keepAlive(bench: Bench, filled: FilledNetwork): Promise<void> {
  if (!bench.wants("etsi014-enc-keys") && !bench.wants("etsi014-enc-keys-cpu")) return;
  bench.say("ETSI 014: 16 connections, one enc_keys in flight on each");
  const seen = new SeenKeys();
  const target = targetOf(filled);
  const outcomes = await duel({
    rounds: bench.rounds,
    pattern: PATTERN,
    target,
    km: filled.network.a.program,
    wish: () => encKeys(seen),
    prepare: () => filled.full(),
    rival: async (first, answer) =>
      await serverRival(await reference(filled, answer), PATTERN, target, { ...first, answerBytes: answer.length }),
  });
  add(bench, "etsi014-enc-keys", outcomes, 1);
}

/** A TLS handshake for each request, as clients have that keep no connection. */
async function newConnections(bench: Bench, filled: FilledNetwork): Promise<void> {
  if (!bench.wants("etsi014-new-tls") && !bench.wants("etsi014-new-tls-cpu")) return;
  bench.say(`ETSI 014: a new TLS connection for each enc_keys, ${FRESH.connections} at a time`);
  const wish = encKeys(new SeenKeys());
  const target = targetOf(filled);
  const answer = await askOnce(target, wish.request, wish.isWhole);
  await using rival = await reference(filled, answer);
  const run = (server: Program, port: number, measureMs: number): Promise<Outcome> =>
    fresh({ target: { ...target, port }, wish, server, ...FRESH, measureMs });
  const ours = async (ms: number) => await run(filled.network.a.program, target.port, ms);
  const theirs = async (ms: number) => await run(rival, Number(rival.said.split(" ")[1]), ms);
  await ours(FRESH.heatMs);
  await theirs(FRESH.heatMs);
  const sides = await alternate(
    bench.rounds,
    () => ours(FRESH.measureMs),
    () => theirs(FRESH.measureMs),
  );
  add(bench, "etsi014-new-tls", { ours: sides[0], theirs: sides[1] }, 0.95);
}

function add(bench: Bench, name: string, outcomes: Outcomes, atLeast: number): void {
  const rates = compared(outcomes, SIDES, ({ perSecond }) => perSecond);
  const bound = boundOf(outcomes);
  bench.add({ name, unit: "keys/s", ...rates, bound, aims: [{ of: "ratio", atLeast }] });
  const cpu = compared(outcomes, SIDES, ({ cpuMicros }) => cpuMicros);
  bench.add({ name: `${name}-cpu`, unit: "µs/key", ...cpu });
}
