// The end of the key manager's log: from the system's journal, or from the file that a network of one machine has.

import { execFile } from "node:child_process";
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";

const UNIT = "qkm.service";
const MOST_BYTES = 1_048_576;
const TIMEOUT_MS = 10_000;

/** Lines of text. @throws Error when there is neither */
export async function logTail(count: number, file: string): Promise<readonly string[]> {
  const text = existsSync(file) ? endOf(file) : await journal(count);
  return text
    .split("\n")
    .filter((line) => line !== "")
    .slice(-count)
    .map(readable);
}

function journal(count: number): Promise<string> {
  const args = ["--unit", UNIT, "--lines", String(count), "--output", "cat", "--no-pager", "--quiet"];
  return new Promise((resolve, reject) => {
    execFile("journalctl", args, { timeout: TIMEOUT_MS, maxBuffer: MOST_BYTES }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else if (error.code === "ENOENT") reject(new Error("this system keeps no journal: journalctl is missing"));
      else reject(new Error(`the journal cannot be read: ${stderr.trim() || error.message}`));
    });
  });
}

function endOf(path: string): string {
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    const bytes = Buffer.alloc(Math.min(size, MOST_BYTES));
    const read = readSync(file, bytes, 0, bytes.length, size - bytes.length);
    return bytes.toString("utf8", 0, read);
  } finally {
    closeSync(file);
  }
}

/** A line of JSON as time, level, sentence and fields; any other as it is. */
function readable(line: string): string {
  try {
    const { time, level, message, ...fields } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (typeof time !== "string" || typeof message !== "string") return line;
    const rest = Object.entries(fields).map(([name, value]) => `${name}=${plain(value)}`);
    return [time.slice(0, 19).replace("T", " "), level, "", message, ...rest].join(" ");
  } catch {
    return line;
  }
}

const plain = (value: unknown): string =>
  typeof value === "object" && value !== null && "message" in value
    ? String(value.message)
    : typeof value === "string"
      ? value
      : JSON.stringify(value);
