// Files that are whole or not there, whenever the power goes; small ones are read, large ones refused.

import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { CommandError, EXIT } from "../common/exit.ts";

/** Far above what any of these files needs. */
const LARGEST_BYTES = 1 << 20;

/** Writes beside, syncs, renames: after a kill the old text is there, or the new. @throws Error of node:fs */
export function writeWhole(path: string, content: string | Uint8Array, mode = 0o600): void {
  const beside = `${path}.new`;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  rmSync(beside, { force: true });
  try {
    writeDurably(beside, content, mode);
  } catch (thrown) {
    rmSync(beside, { force: true });
    throw thrown;
  }
  moveWhole(beside, path);
}

function writeDurably(path: string, content: string | Uint8Array, mode: number): void {
  const file = openSync(path, "wx", mode);
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Renames, and makes that durable. */
export function moveWhole(from: string, to: string): void {
  renameSync(from, to);
  syncPath(dirname(to));
}

/** Makes a file or the entries of a folder durable. */
export function syncPath(path: string): void {
  const opened = openSync(path, "r");
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

/** Undefined when nothing has that name. @throws CommandError when it is no plain file of at most 1 MiB */
export function readBytes(path: string): Buffer | undefined {
  const file = openIfThere(path);
  if (file === undefined) return undefined;
  try {
    const { size } = fstatSync(file);
    if (!fstatSync(file).isFile()) throw new CommandError(EXIT.config, `${path} is no plain file; put one there.`);
    if (size > LARGEST_BYTES) throw new CommandError(EXIT.config, `${path} is larger than ${LARGEST_BYTES} bytes.`);
    const bytes = Buffer.alloc(size);
    return bytes.subarray(0, readSync(file, bytes, 0, size, 0));
  } finally {
    closeSync(file);
  }
}

/** The same as text, without the mark that some editors put first. */
export const readText = (path: string): string | undefined =>
  readBytes(path)
    ?.toString("utf8")
    .replace(/^\uFEFF/, "");

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (thrown) {
    if (codeOf(thrown) === "ENOENT") return undefined;
    throw new CommandError(EXIT.failed, `${path} cannot be read (${codeOf(thrown) ?? thrown}).`, thrown);
  }
}

/** Such as `EROFS`. */
export const codeOf = (thrown: unknown): string | undefined =>
  thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;
