// Failures to log in, counted in a small file, so that whoever hangs up and comes again waits as long.

import { readFileSync, writeFileSync } from "node:fs";
import type { FailureCount } from "../../console/login.ts";

/** A file that cannot be written counts for this process alone. */
export function failuresIn(path: string): FailureCount {
  let failures = countIn(path);
  return {
    read: () => failures,
    write(count) {
      failures = count;
      try {
        writeFileSync(path, `${count}\n`, { mode: 0o600 });
      } catch {
        // Nobody can be kept out for want of room on a disk.
      }
    },
  };
}

function countIn(path: string): number {
  try {
    const count = Number(readFileSync(path, "utf8"));
    return Number.isSafeInteger(count) && count > 0 ? count : 0;
  } catch {
    return 0;
  }
}
