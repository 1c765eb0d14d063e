// A KM's metrics as Prometheus reads them, parsed.

type Labels = Readonly<Record<string, string>>;

interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

export class MetricsPage {
  readonly #samples: readonly Sample[];

  constructor(text: string) {
    this.#samples = text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map(sampleOf);
  }

  /** The sum over all samples of this name that have these labels, such as `sum("qkm_keys_supplied_total", { door: "ak" })`. */
  sum(name: string, labels: Labels = {}): number {
    return this.#samples
      .filter((sample) => sample.name === name && Object.entries(labels).every(([k, v]) => sample.labels[k] === v))
      .reduce((total, { value }) => total + value, 0);
  }
}

function sampleOf(line: string): Sample {
  const [, name = "", inner = "", value = ""] = /^([^{ ]+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
  const labels = Object.fromEntries([...inner.matchAll(/([^=,]+)="((?:[^"\\]|\\.)*)"/g)].map(([, k, v]) => [k, v]));
  return { name, labels, value: Number(value) };
}
