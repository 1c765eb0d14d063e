// What a story measures of a board: the size of its image, the time from power to the first key, and Node's starts on the way.

import { statSync } from "node:fs";
import { expect } from "vitest";
import type { BuiltImage } from "../../../boards/image/build.ts";
import type { Appliance } from "./appliance.ts";

const MIB = 1 << 20;
const MOST_MIB = 300;
const TRACING = "/sys/kernel/tracing";
/**
 * Programs on Node that an appliance starts until its first key: provisioning, the console, the key manager with the process
 * that reads its store and the token's, and the simulated HID module.
 */
const NODE_PROGRAMS = 6;

/** Prints how big it is. */
export function tellSize(board: string, { disk, system }: BuiltImage): void {
  const [whole = 0, part = 0] = [disk, system].map((file) => statSync(file).size / MIB);
  console.log(`${board}: image ${whole.toFixed(0)} MiB, of which the system is ${part.toFixed(0)} MiB`);
  expect(whole).toBeLessThan(MOST_MIB);
}

/** Prints how long an appliance that had all it needs took from power to its first key. */
export const tellFirstKey = (board: string, firstKeyMs: number): void =>
  console.log(`${board}: from power to the first key ${(firstKeyMs / 1_000).toFixed(0)} s`);

/** The same, and how often it started Node until then. */
export async function tellStart(board: string, appliance: Appliance, firstKeyMs: number): Promise<void> {
  const starts = await nodeStarts(appliance);
  const at = starts.map((seconds) => seconds.toFixed(1)).join(", ");
  tellFirstKey(board, firstKeyMs);
  console.log(`${board}: Node was started ${starts.length} times, after ${at} s`);
  expect(starts.length).toBeGreaterThan(0);
  expect(starts.length).toBeLessThanOrEqual(NODE_PROGRAMS);
}

/** In seconds after the kernel's start. The kernel of a test's disk notes each program that is started (disk.ts). */
async function nodeStarts(appliance: Appliance): Promise<readonly number[]> {
  const mounted = `{ mountpoint -q ${TRACING} || mount -t tracefs tracefs ${TRACING}; }`;
  const noted = await appliance.root(`${mounted} && grep 'filename=[^ ]*/node pid' ${TRACING}/trace`);
  return [...noted.matchAll(/ (\d+\.\d+): sched_process_exec: /g)].map(([, seconds]) => Number(seconds));
}
