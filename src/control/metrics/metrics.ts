// The metrics of a KM: a meter for its parts, gauges read at each scrape, the text that Prometheus reads.

import { Counter, Gauge, Registry } from "prom-client";
import { COUNTERS, type CounterName } from "../../core/counters.ts";
import type { Meter } from "../../core/ports.ts";
import { type Collect, GAUGES, type GaugeName } from "./gauges.ts";

/** Names as Prometheus knows them. */
export const counterMetric = (name: CounterName): string => `qkm_${name}_total`;
/** A gauge's name as Prometheus sees it. */
export const gaugeMetric = (name: GaugeName): string => `qkm_${name}`;

/** Counters and gauges of one KM and the text that Prometheus reads. */
export interface Metrics {
  readonly meter: Meter;
  readonly contentType: string;
  /** Prometheus text format; asks all collectors. */
  text(): Promise<string>;
  /** A counter's sums since the start, by the values of one of its labels. */
  sums(counter: CounterName, label: string): ReadonlyMap<string, number>;
  /** Adds a collector of gauges, which is asked at each scrape. */
  collect(collector: Collect): void;
}

type Labels = Readonly<Record<string, string>>;

/** Metrics of their own registry: several KMs may live in one process. */
export function makeMetrics(): Metrics {
  const registry = new Registry();
  const counts = new Counts(registry);
  const gauges = makeGauges(registry);
  const collectors: Collect[] = [];
  return {
    meter: { add: (counter, labels, amount = 1) => counts.add(counter, labels, amount) },
    contentType: registry.contentType,
    sums: (counter, label) => counts.sums(counter, label),
    collect: (collector) => void collectors.push(collector),
    text() {
      counts.flush();
      for (const gauge of gauges.values()) gauge.reset();
      for (const collector of collectors) collector((name, value, labels = {}) => gauges.get(name)?.set(labels, value));
      return registry.metrics();
    },
  };
}

function makeGauges(registry: Registry): ReadonlyMap<GaugeName, Gauge> {
  const names = Object.keys(GAUGES) as GaugeName[];
  return new Map(
    names.map((name) => [name, new Gauge({ ...configOf(gaugeMetric(name), GAUGES[name]), registers: [registry] })]),
  );
}

const configOf = (name: string, row: { readonly help: string; readonly labels: readonly string[] }) => ({
  name,
  help: row.help,
  labelNames: [...row.labels],
});

/** What was counted with certain values of the labels. */
interface Sample {
  readonly labels: Labels;
  /** Since the last scrape. */
  amount: number;
  /** Before it. */
  scraped: number;
}

/** One counter, by the values of its labels. */
interface Tally {
  readonly labels: readonly string[];
  readonly counter: Counter;
  readonly samples: Map<string, Sample>;
  /** By the objects of labels that came last: in the hot path the same ones come again. */
  readonly recent: { readonly labels: Labels; readonly sample: Sample }[];
}

/** So many objects of labels are remembered for each counter. */
const MOST_RECENT = 8;

/** Counting happens in the hot path, so the library is told only when it is asked. */
class Counts {
  readonly #tallies: Readonly<Record<CounterName, Tally>>;

  constructor(registry: Registry) {
    const names = Object.keys(COUNTERS) as CounterName[];
    this.#tallies = Object.fromEntries(
      names.map((name) => {
        const counter = new Counter({ ...configOf(counterMetric(name), COUNTERS[name]), registers: [registry] });
        const tally: Tally = { labels: COUNTERS[name].labels, counter, samples: new Map(), recent: [] };
        return [name, tally];
      }),
    ) as Record<CounterName, Tally>;
  }

  add(name: CounterName, labels: Labels, amount: number): void {
    const tally = this.#tallies[name];
    for (const { labels: known, sample } of tally.recent) {
      if (known === labels) {
        sample.amount += amount;
        return;
      }
    }
    const sample = sampleOf(tally, labels);
    sample.amount += amount;
    if (tally.recent.length >= MOST_RECENT) tally.recent.shift();
    tally.recent.push({ labels, sample });
  }

  flush(): void {
    for (const { counter, samples } of Object.values(this.#tallies)) {
      for (const sample of samples.values()) {
        counter.inc(sample.labels, sample.amount);
        sample.scraped += sample.amount;
        sample.amount = 0;
      }
    }
  }

  sums(name: CounterName, label: string): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const { labels, amount, scraped } of this.#tallies[name].samples.values()) {
      const value = labels[label] ?? "";
      sums.set(value, (sums.get(value) ?? 0) + scraped + amount);
    }
    return sums;
  }
}

function sampleOf({ labels: names, samples }: Tally, labels: Labels): Sample {
  let key = "";
  for (const name of names) key += `${labels[name] ?? ""}\n`;
  const known = samples.get(key);
  if (known !== undefined) return known;
  const made = { labels: only(names, labels), amount: 0, scraped: 0 };
  samples.set(key, made);
  return made;
}

/** The labels of the table, each with a value: a caller's slip must not cost the scrape. */
const only = (names: readonly string[], labels: Labels): Labels =>
  Object.fromEntries(names.map((name) => [name, labels[name] ?? ""]));
