// Supply over ETSI GS QKD 014 against a bare node:https server that answers a constant.

import { fileURLToPath } from "node:url";
import { HTTP_LIMITS } from "../../../src/http/service.ts";
import type { Bench } from "../bench.ts";
import { compared, duel, type Pattern, serverRival } from "../duel.ts";
import type { FilledNetwork } from "../filled.ts";
import { Program } from "../program.ts";
import type { HttpsPlan } from "../reference/https.ts";
import { encKeys, httpParts, SeenKeys } from "../requests.ts";

const HTTPS = fileURLToPath(new URL("../reference/https.ts", import.meta.url));
export const PATTERN: Pattern = { connections: 16, depth: 1, heatMs: 4_000, measureMs: 1_500 };
const SIDES = { ours: "the KM", theirs: "bare node:https" } as const;

export async function measureEtsi014(bench: Bench, filled: FilledNetwork): Promise<void> {
  if (!bench.wants("etsi014-enc-keys") && !bench.wants("etsi014-enc-keys-cpu")) return;
  bench.say("ETSI 014: 16 connections, one enc_keys in flight on each");
  const { network } = filled;
  const seen = new SeenKeys();
  const target = { port: network.a.plan.ports.etsi014, tls: network.client("a") };
  const outcomes = await duel({
    rounds: bench.rounds,
    pattern: PATTERN,
    target,
    km: network.a.program,
    wish: () => encKeys(seen),
    prepare: () => filled.full(),
    rival: async (first, answer) => {
      const parts = httpParts(answer);
      const plan: HttpsPlan = { files: network.server, ...parts, keepAliveMs: HTTP_LIMITS.keepAliveTimeout };
      const program = await Program.start({ args: [HTTPS, JSON.stringify(plan)], log: network.log("reference") });
      return await serverRival(program, PATTERN, target, { ...first, answerBytes: answer.length });
    },
  });
  const rates = compared(outcomes, SIDES, ({ perSecond }) => perSecond);
  bench.add({ name: "etsi014-enc-keys", unit: "keys/s", ...rates, aims: [{ of: "ratio", atLeast: 0.9 }] });
  const cpu = compared(outcomes, SIDES, ({ cpuMicros }) => cpuMicros);
  bench.add({ name: "etsi014-enc-keys-cpu", unit: "µs/key", ...cpu });
}
