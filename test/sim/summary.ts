// What a run tells at its end.

import { RULES, type Rule } from "./rules.ts";
import type { Outcome } from "./run.ts";

const HOUR_MS = 3_600_000;

const listed = (entries: Iterable<readonly [string, number]>): string =>
  [...entries]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `${name} ${count}`)
    .join(" · ") || "none";

const perHop = (ms: number, hops: number): string =>
  hops === 0 ? "no relays" : `${(ms / hops).toFixed(2)} ms per hop relayed`;

export function summary({ world, violation, simulatedMs, wallMs, processorMs }: Outcome): string {
  const { options, oracle, trace, struck } = world;
  const { topology } = world.plan;
  const counted = (prefix: string): [string, number][] =>
    [...oracle.counters]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, count]) => [name.slice(prefix.length + 1), count]);
  const sum = (prefix: string): number => counted(prefix).reduce((total, [, count]) => total + count, 0);
  const { supplied, fetched, doubtful, undelivered } = oracle.keys;
  const checks = [...oracle.checks.counts.values()].reduce((total, count) => total + count, 0);
  const hours = simulatedMs / HOUR_MS;
  const memory = `${Math.round(process.memoryUsage().rss / 1024 / topology.nodes.length)} KiB`;
  const rows: readonly (readonly [string, string])[] = [
    [
      "run",
      `seed ${options.seed} · ${topology.nodes.length} nodes · ${topology.edges.length} links · digest ${trace.digest}`,
    ],
    [
      "time",
      `${hours.toFixed(2)} h simulated · ${trace.steps} steps · ${(wallMs / 1000).toFixed(1)} s · ${Math.round(trace.steps / (processorMs / 1000))} steps per second of processor time`,
    ],
    [
      "keys",
      `${supplied + fetched + doubtful} supplied · ${fetched} fetched · ${doubtful} in doubt · ${undelivered} undelivered`,
    ],
    ["requests refused", listed(world.refusals)],
    ["relays", `${sum("kma_keys_sent")} sent · ${sum("kma_keys_ready")} ready · ${sum("kma_keys_held")} held`],
    ["transits", `${sum("transits ") || sum("transits")} · multipath parts and pads: ${listed(counted("pad_bytes"))}`],
    ["cost", `${perHop(processorMs, sum("kma_keys_ready") + sum("transits"))} · ${memory} of memory per node`],
    ["relays refused", listed(counted("relays_refused"))],
    ["blocks", `${sum("blocks_received")} received · ended unused: ${listed(counted("blocks_ended"))}`],
    ["KMA-keys ended", listed(counted("kma_keys_ended"))],
    ["alarms", listed(counted("alarms"))],
    ["faults", listed(struck)],
    ["takeovers", `${world.takeovers} by another member of a KM`],
    ["rules checked", `${checks}: ${listed(oracle.checks.counts)}`],
    ["excused", `${oracle.excused} supplies while the other end's loss was unknown`],
    [
      "verdict",
      violation === undefined
        ? "every rule held"
        : `${violation.message}\n${" ".repeat(18)}${RULES[violation.rule as Rule]}`,
    ],
  ];
  return rows.map(([name, text]) => `${name.padEnd(18)}${text}`).join("\n");
}
