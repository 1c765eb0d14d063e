// Alert rules and dashboard of docs/monitoring: each names only metrics that there are.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { GaugeName } from "../../../src/control/metrics/gauges.ts";
import { GAUGES } from "../../../src/control/metrics/gauges.ts";
import { counterMetric, gaugeMetric } from "../../../src/control/metrics/metrics.ts";
import { COUNTERS, type CounterName } from "../../../src/core/counters.ts";

const LABELS = new Map<string, readonly string[]>([
  ...Object.entries(COUNTERS).map(([name, { labels }]) => [counterMetric(name as CounterName), labels] as const),
  ...Object.entries(GAUGES).map(([name, { labels }]) => [gaugeMetric(name as GaugeName), labels] as const),
]);

const FILES = ["qkm.rules.yml", "qkm.rules.test.yml", "grafana.json"].map(
  (name) => [name, readFileSync(new URL(`../../../docs/monitoring/${name}`, import.meta.url), "utf8")] as const,
);

test.each(FILES)("%s", (_, text) => {
  const named = [...text.matchAll(/\b(qkm_\w+)(?:\{([^}]*)\})?/g)].filter(([, name]) => name !== "qkm");
  expect(named.length).toBeGreaterThan(10);
  for (const [, name = "", selector = ""] of named) {
    const known = LABELS.get(name);
    expect(known, name).toBeDefined();
    const labels = [...selector.matchAll(/(\w+)=~?\\?"/g)].map(([, label]) => label);
    expect(
      labels.filter((label) => !["instance", "job", ...(known ?? [])].includes(label ?? "")),
      name,
    ).toEqual([]);
  }
});

test("the dashboard is JSON with panels that have questions", () => {
  const [, , [, text] = []] = FILES;
  const { panels } = JSON.parse(text ?? "") as { panels: { title: string; targets: { expr: string }[] }[] };
  expect(panels.length).toBeGreaterThan(10);
  for (const { title, targets } of panels) expect(targets.length, title).toBeGreaterThan(0);
});
