// Names that may come once.

import type { Complain } from "./checks.ts";
import type { Path } from "./lines.ts";

/** Complains of each name that comes a second time. */
export function once(what: string, complain: Complain): (name: string, path: Path) => void {
  const seen = new Set<string>();
  return (name, path) => {
    if (seen.has(name)) complain(path, `"${name}" is ${what} already`);
    seen.add(name);
  };
}
