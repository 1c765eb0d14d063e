// The number of the module pair's start, on disk, so that no run is ever used twice.

import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/**
 * One more than the file holds (a file that is not there holds 0), durable when this returns.
 * @throws Error when the file holds no number, or cannot be written
 */
export function nextRun(file: string): number {
  const run = lastRun(file) + 1;
  const draft = `${file}.new`;
  const written = openSync(draft, "w", 0o600);
  try {
    writeSync(written, `${run}\n`);
    fsyncSync(written);
  } finally {
    closeSync(written);
  }
  renameSync(draft, file);
  syncFolder(dirname(file));
  return run;
}

function lastRun(file: string): number {
  const text = readIfThere(file);
  if (text === undefined) return 0;
  const run = /^\d{1,15}\n?$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(run)) throw new Error(`${file} holds no run number: remove it only together with the KM's store`);
  return run;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
    throw thrown;
  }
}

function syncFolder(folder: string): void {
  const opened = openSync(folder, "r");
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}
