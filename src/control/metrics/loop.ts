// How late the event loop turns: measured all the time, told per window, trusted by the watchdog.

import { type ELDHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import type { Clock } from "../../core/ports.ts";
import type { Collect } from "./gauges.ts";

/** Milliseconds. */
export interface LoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Measures the event loop delay in windows. */
export interface LoopMeasure extends Disposable {
  /** The last whole window, or the one under way when that is worse or there is none yet. */
  read(): LoopDelay;
}

/** 400 looks in a window, each as late as anything else that came then. Each wakes the process: more often costs an idle one. */
const RESOLUTION_MS = 25;
const NS_PER_MS = 1e6;

/** Measures from now on; a delay is seen for one to two windows. */
export function measureLoop(clock: Clock, windowMs = 10_000): LoopMeasure {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  let last: LoopDelay = { p50Ms: 0, p99Ms: 0, maxMs: 0 };
  let endTimer = () => {};
  const turn = (): void => {
    last = delayOf(histogram);
    histogram.reset();
    endTimer = clock.after(windowMs, turn);
  };
  endTimer = clock.after(windowMs, turn);
  return {
    read() {
      const now = delayOf(histogram);
      return now.maxMs >= last.maxMs ? now : last;
    },
    [Symbol.dispose]() {
      endTimer();
      histogram.disable();
    },
  };
}

/** The histogram holds the time between two turns of a timer: what is above its own interval is delay. */
function delayOf(histogram: ELDHistogram): LoopDelay {
  if (histogram.count === 0) return { p50Ms: 0, p99Ms: 0, maxMs: 0 };
  const above = (ns: number) => Math.max(0, ns / NS_PER_MS - RESOLUTION_MS);
  return {
    p50Ms: above(histogram.percentile(50)),
    p99Ms: above(histogram.percentile(99)),
    maxMs: above(histogram.max),
  };
}

/** The gauges of the process itself. */
export function processGauges(loop: LoopMeasure): Collect {
  return (set) => {
    const { p50Ms, p99Ms, maxMs } = loop.read();
    set("loop_delay_seconds", p50Ms / 1000, { quantile: "0.5" });
    set("loop_delay_seconds", p99Ms / 1000, { quantile: "0.99" });
    set("loop_delay_seconds", maxMs / 1000, { quantile: "1" });
    set("resident_memory_bytes", process.memoryUsage.rss());
  };
}
