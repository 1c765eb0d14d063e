// What the commands ask of a running KM: over its control socket, and its counters from the metrics.

import { callControl, NotRunning } from "../../control/socket/client.ts";
import type { ControlArgs } from "../../control/socket/dialogue.ts";
import type { KmReport } from "../../control/status.ts";
import { CommandError, EXIT } from "./exit.ts";

/** @throws CommandError when no KM answers at `socket`; Fault as the KM answered */
export async function askKm(
  socket: string,
  command: string,
  timeoutMs?: number,
  args: ControlArgs = {},
): Promise<unknown> {
  try {
    return await callControl(socket, command, args, timeoutMs);
  } catch (thrown) {
    if (!(thrown instanceof NotRunning)) throw thrown;
    throw new CommandError(EXIT.unavailable, `no KM answers at ${socket}; start it with: qkm run NODE.toml`, thrown);
  }
}

/** @throws like askKm */
export const statusOf = async (socket: string, timeoutMs?: number): Promise<KmReport> =>
  (await askKm(socket, "status", timeoutMs)) as KmReport;

/** Keys supplied and fetched by ID since the start of a KM. */
export interface KeyCounts {
  readonly supplied: number;
  readonly fetched: number;
}

const METRICS_TIMEOUT_MS = 2_000;

/** Keys that a KM has supplied and that were fetched by ID since it started. @throws Error when it does not answer */
export async function keyCounts(metricsUrl: string): Promise<KeyCounts> {
  const response = await fetch(metricsUrl, { signal: AbortSignal.timeout(METRICS_TIMEOUT_MS) });
  const text = await response.text();
  return { supplied: sum(text, "qkm_keys_supplied_total"), fetched: sum(text, "qkm_keys_fetched_total") };
}

/** A counter over all its labels. */
const sum = (text: string, metric: string): number =>
  text
    .split("\n")
    .filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `))
    .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
