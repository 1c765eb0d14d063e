// The plots of the last hour, of whatever is chosen.

import uPlot from "uplot";
import { bitRateText, digits } from "../figures-text.ts";
import type { History, Plot, Unit } from "../model.ts";
import { html } from "./dom.ts";

const HEIGHT = 170;
/** Seconds that a plot spans at least. */
const LEAST_SPAN_S = 120;

interface Drawn {
  readonly key: string;
  readonly box: HTMLElement;
  readonly chart: uPlot;
}

/** The diagrams, drawn anew when figures come. */
export class Plots {
  readonly #root: HTMLElement;
  #drawn: readonly Drawn[] = [];
  #last: History | undefined;

  constructor(root: HTMLElement) {
    this.#root = root;
    new ResizeObserver(() => this.#resize()).observe(root);
    // Colours are read when a chart is made.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#clear();
      if (this.#last !== undefined) this.show(this.#last);
    });
  }

  show(history: History): void {
    this.#last = history;
    const keys = history.plots.map(({ title, series }) => JSON.stringify([title, series.map(({ label }) => label)]));
    if (keys.join() !== this.#drawn.map(({ key }) => key).join()) {
      this.#clear();
      this.#drawn = history.plots.map((plot, at) => this.#draw(plot, keys[at] ?? ""));
      this.#resize();
    }
    for (const [at, { chart }] of this.#drawn.entries()) {
      const { series } = history.plots[at] ?? { series: [] };
      chart.setData([[...history.times], ...series.map(({ values }) => [...values])]);
    }
  }

  #clear(): void {
    for (const { chart, box } of this.#drawn) {
      chart.destroy();
      box.remove();
    }
    this.#drawn = [];
  }

  #draw(plot: Plot, key: string): Drawn {
    const box = html("figure", {}, html("figcaption", {}, plot.title));
    this.#root.append(box);
    const data: uPlot.AlignedData = [[], ...plot.series.map(() => [])];
    return { key, box, chart: new uPlot(optionsOf(plot), data, box) };
  }

  #resize(): void {
    for (const { chart, box } of this.#drawn) {
      const width = Math.max(200, Math.floor(box.clientWidth));
      if (chart.width !== width) chart.setSize({ width, height: HEIGHT });
    }
  }
}

const lastOf = (values: ArrayLike<number | null | undefined>): number | null | undefined =>
  Array.from(values).findLast((value) => value != null);

const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function optionsOf({ unit, series }: Plot): uPlot.Options {
  const axis = {
    stroke: colour("--quiet"),
    grid: { stroke: colour("--grid"), width: 1 },
    ticks: { show: false },
    font: FONT,
  };
  /** At the cursor; the last one known while there is none. */
  const value = (chart: uPlot, raw: number | null, at: number): string => {
    const shown = raw ?? (chart.cursor.idx == null ? lastOf(chart.data[at] ?? []) : undefined);
    return shown == null ? "–" : textOf(shown, unit);
  };
  return {
    width: 300,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    cursor: { y: false, points: { size: 6 }, drag: { setScale: false } },
    legend: { live: true },
    scales: {
      x: { time: true, range: (_, from, to) => [Math.min(from, to - LEAST_SPAN_S), to] },
      y: { range: (_, __, most) => [0, most > 0 ? most * 1.15 : 1] },
    },
    axes: [
      {
        ...axis,
        size: 26,
        space: 64,
        values: (_, times, __, ___, step) => times.map((time) => clock(time, step < 60)),
      },
      { ...axis, size: 62, space: 30, values: (_, values) => values.map((each) => textOf(each, unit)) },
    ],
    series: [
      { label: "time", value: (_, raw) => (raw === null ? "–" : clock(raw, true)) },
      ...series.map(({ label }, at) => ({
        label,
        value,
        stroke: colour(`--line-${(at % LINES) + 1}`),
        width: 1.75,
        // Lines can be told apart without their colours too.
        dash: DASHES[at % DASHES.length] ?? [],
        points: { show: false },
        spanGaps: false,
      })),
    ],
  };
}

const LINES = 6;
const FONT = "11px system-ui, sans-serif";
const DASHES: readonly number[][] = [[], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3]];

/** Made once: making one takes longer than all the rest of a plot. */
const CLOCK = new Intl.DateTimeFormat("en", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

function clock(seconds: number, withSeconds: boolean): string {
  const text = CLOCK.format(seconds * 1000);
  return withSeconds ? text : text.slice(0, 5);
}

function textOf(value: number, unit: Unit): string {
  if (unit === "bit/s") return bitRateText(value).replace("bit/s", "b/s");
  if (unit === "ratio") return `${trimmed(value * 100)} %`;
  if (unit === "ms") return `${trimmed(value)} ms`;
  if (unit === "keys/s") return `${trimmed(value)}/s`;
  return value >= 10_000 ? `${trimmed(value / 1000)} k` : trimmed(value);
}

const trimmed = (value: number): string => String(Number(digits(value)));
