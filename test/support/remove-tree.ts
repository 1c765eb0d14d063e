// Removes a test's folder, also while a process that was killed still removes its own files in it.

import { existsSync, rmSync } from "node:fs";

/** `rmSync` ends without a word, and leaves the folder, when somebody else removes a file at the same moment. */
export function removeTree(path: string): void {
  while (existsSync(path)) rmSync(path, { recursive: true, force: true });
}
