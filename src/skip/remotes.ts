// The other key providers, as encryptors name them: which application of ours each stands for.

import type { AppId } from "../core/ids.ts";

/** One row of the table. */
export interface Remote {
  /** A system ID, or a pattern with `*`, `?`, `[list]` or `[!list]`. */
  readonly system: string;
  readonly app: AppId;
}

/** The first row that fits a system ID; undefined when none does. */
export const remoteFor = (remotes: readonly Remote[], system: string): Remote | undefined =>
  remotes.find((remote) => fits(remote.system, system));

/**
 * Whether a pattern fits the whole of `text`. Time is bounded by the product of the lengths: one `*` is tried again at
 * the next letter, none before it.
 */
export function fits(pattern: string, text: string): boolean {
  const parts = partsOf(pattern);
  let at = 0;
  let part = 0;
  let star = -1;
  let retry = 0;
  while (at < text.length) {
    const one = parts[part];
    if (one === ANY) {
      star = part++;
      retry = at;
    } else if (one?.(text.charAt(at))) {
      part++;
      at++;
    } else if (star >= 0) {
      part = star + 1;
      at = ++retry;
    } else {
      return false;
    }
  }
  while (parts[part] === ANY) part++;
  return part === parts.length;
}

type Part = (letter: string) => boolean;
const ANY: Part = () => true;

const TOKEN = /\[(!?)([^\]]+)\]|([\s\S])/g;

const partsOf = (pattern: string): Part[] =>
  [...pattern.matchAll(TOKEN)].map(([, not, list, literal]) => {
    if (literal === "*") return ANY;
    if (literal === "?") return () => true;
    if (literal !== undefined) return (letter) => letter === literal;
    const letters = lettersOf(list ?? "");
    return (letter) => letters(letter) === (not === "");
  });

/** A list such as `a-cx`: ranges and letters. */
function lettersOf(list: string): (letter: string) => boolean {
  const ranges = [...list.matchAll(/([\s\S])-([\s\S])|([\s\S])/g)].map(([, low, high, one]) => [
    low ?? one ?? "",
    high ?? one ?? "",
  ]);
  return (letter) => ranges.some(([low = "", high = ""]) => low <= letter && letter <= high);
}
