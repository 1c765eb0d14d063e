// A log and a meter that keep what they were told.

import type { Log, Meter } from "../../src/core/ports.ts";

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly fields: Readonly<Record<string, unknown>>;
  readonly sentence: string;
}

export interface Recorder {
  readonly log: Log;
  readonly meter: Meter;
  readonly lines: readonly LogLine[];
  /** Sum of a counter over all samples that have at least these labels. */
  count(counter: string, labels?: Readonly<Record<string, string>>): number;
}

export function recorder(): Recorder {
  const lines: LogLine[] = [];
  const samples: { counter: string; labels: Readonly<Record<string, string>>; amount: number }[] = [];
  const line =
    (level: LogLine["level"]) =>
    (fields: LogLine["fields"], sentence: string): void =>
      void lines.push({ level, fields, sentence });
  return {
    lines,
    log: { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") },
    meter: { add: (counter, labels, amount = 1) => void samples.push({ counter, labels, amount }) },
    count: (counter, labels = {}) =>
      samples
        .filter((sample) => sample.counter === counter)
        .filter((sample) => Object.entries(labels).every(([name, value]) => sample.labels[name] === value))
        .reduce((sum, sample) => sum + sample.amount, 0),
  };
}
