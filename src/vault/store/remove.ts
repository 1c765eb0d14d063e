// Removes a store's directory, or all that is in it where the directory itself has to stay.

import { readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";

/** What an ext file system has at its root; it belongs to root and holds nothing of ours. */
const OF_THE_FILE_SYSTEM = "lost+found";
/** The directory is a mount point, or its parent is not ours to write. */
const STAYS = new Set(["EBUSY", "EACCES", "EPERM", "EROFS"]);

/** Removes all in it. Nothing happens when it is not there. @throws Error of the file system when something is left */
export function emptyDirectory(dir: string): void {
  for (const name of namesIn(dir)) {
    if (name !== OF_THE_FILE_SYSTEM) rmSync(join(dir, name), { recursive: true, force: true });
  }
}

/** The same, and the directory with it where that can be. @throws Error of the file system when something is left */
export function removeDirectory(dir: string): void {
  emptyDirectory(dir);
  try {
    rmdirSync(dir);
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? "";
    if (code !== "ENOENT" && !STAYS.has(code)) throw thrown;
  }
}

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw thrown;
  }
}
