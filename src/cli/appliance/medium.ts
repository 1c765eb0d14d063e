// The config medium: a folder that may be read-only, pulled out at any moment, or not there at all.

import { closeSync, fstatSync, fsyncSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { CommandError, EXIT } from "../common/exit.ts";
import { codeOf, readBytes, readText, syncPath, writeWhole } from "./files.ts";
import type { Screen } from "./screen.ts";

/** More files in one folder than any network needs; a medium with more is somebody's photographs. */
const MOST_FILES = 256;

/** The config medium, read with bounds. */
export interface Medium {
  readonly dir: string;
  /** Undefined when it is not there. @throws CommandError when it cannot be read */
  text(name: string): string | undefined;
  /** Of a secret: the caller zeroes them. */
  bytes(name: string): Buffer | undefined;
  /** Names, with the folder's, of its files with that ending, in order. */
  list(folder: string, ending: string): readonly string[];
  /** Writes unless the same is there. False when the medium cannot be written. */
  put(name: string, content: string): boolean;
  /** Overwrites a secret with zeros and removes it. False when the medium cannot be written. */
  destroy(name: string): boolean;
}

/** Undefined when there is none: no folder, or an empty one on which nothing is mounted. */
export function openMedium(dir: string): Medium | undefined {
  const at = (name: string) => join(dir, name);
  if (namesIn(dir).length === 0 && !isMounted(dir)) return undefined;
  return {
    dir,
    text: (name) => (isDestroyed(at(name)) ? undefined : readText(at(name))),
    bytes: (name) => (isDestroyed(at(name)) ? undefined : readBytes(at(name))),
    list(folder, ending) {
      const names = namesIn(at(folder)).filter((name) => name.endsWith(ending) && !name.startsWith("."));
      if (names.length <= MOST_FILES) return names.toSorted().map((name) => join(folder, name));
      throw new CommandError(
        EXIT.config,
        `${at(folder)} has more than ${MOST_FILES} files; remove what is not needed.`,
      );
    },
    put: (name, content) => unlessReadOnly(() => readText(at(name)) === content || writeWhole(at(name), content)),
    destroy: (name) => unlessReadOnly(() => overwrite(at(name))),
  };
}

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch (thrown) {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(thrown) ?? "")) return [];
    throw new CommandError(EXIT.failed, `${dir} cannot be read (${codeOf(thrown) ?? thrown}).`, thrown);
  }
}

/** proc(5): the fifth word of a line is where; spaces in it are written `\040`. */
function isMounted(dir: string): boolean {
  const places = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return places.some((line) => line.split(" ")[4]?.replaceAll("\\040", " ") === dir);
}

/** What a medium says that is write-protected, full, foreign or gone. */
const CANNOT = ["EROFS", "EACCES", "EPERM", "ENOSPC", "EIO", "ENODEV", "ENOENT", "EINVAL", "ENOTDIR"];

function unlessReadOnly(write: () => unknown): boolean {
  try {
    write();
    return true;
  } catch (thrown) {
    const code = codeOf(thrown instanceof CommandError ? thrown.cause : thrown);
    if (CANNOT.includes(code ?? "")) return false;
    throw thrown;
  }
}

/** Zeros at the beginning that tell a secret whose overwriting was begun; no secret and no text begins with so many. */
const ZEROS = 32;

/** Whether a secret was being destroyed when the power went; then that is brought to its end. */
function isDestroyed(path: string): boolean {
  const bytes = readBytes(path);
  const begun = bytes !== undefined && bytes.length > 0 && bytes.subarray(0, ZEROS).every((byte) => byte === 0);
  bytes?.fill(0);
  if (begun) unlessReadOnly(() => overwrite(path));
  return begun;
}

function overwrite(path: string): void {
  const file = openSync(path, "r+");
  try {
    writeSync(file, Buffer.alloc(fstatSync(file).size), 0, undefined, 0);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  rmSync(path);
  syncPath(join(path, ".."));
}

/** Removes a secret that was taken from the medium, or says that the person must do it. */
export function forget(medium: Medium, name: string, screen: Screen): void {
  if (medium.destroy(name)) screen.say(`"${name}" was overwritten and removed on the medium`);
  else screen.say(`"${name}" is still on the medium, which cannot be written: remove it yourself`);
}
