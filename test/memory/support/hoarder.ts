// A process that keeps keys where none may be kept, in each way that there is, and wipes one: `node hoarder.ts`.

import { pathToFileURL } from "node:url";

/** How each key is kept, and what the search has to call it. */
export const WAYS = {
  "in a buffer": "raw",
  "in a slice of a pool": "raw",
  "as bytes of a string": "raw",
  "as base64 in a string": "base64",
  "as hex in a string": "hex",
  "as hex in a string with wide letters": "wide hex",
} as const;
type Way = keyof typeof WAYS;

/** The key that is made and wiped. */
export const WIPED = "wiped";

/** The key of this name, made without a copy. */
export function makeKey(name: string, key: Buffer = Buffer.alloc(32)): Buffer {
  let state = Array.from(name).reduce((sum, letter) => Math.imul(sum, 31) + letter.charCodeAt(0), 7) | 1;
  for (let at = 0; at < key.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    key[at] = state >>> 11;
  }
  return key;
}

const KEEP: Readonly<Record<Way, (key: Buffer) => unknown>> = {
  "in a buffer": (key) => key,
  "in a slice of a pool": (key) => Buffer.from(key),
  "as bytes of a string": (key) => key.toString("latin1"),
  "as base64 in a string": (key) => key.toString("base64"),
  "as hex in a string": (key) => key.toString("hex"),
  "as hex in a string with wide letters": (key) => JSON.parse(JSON.stringify(`${key.toString("hex")}→`)),
};

function hoard(): unknown[] {
  const kept = Object.entries(KEEP).map(([way, keep]) => {
    const key = makeKey(way);
    const thing = keep(key);
    if (thing !== key) key.fill(0);
    return thing;
  });
  makeKey(WIPED).fill(0);
  return kept;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const kept = hoard();
  process.stdout.write("ready\n");
  process.stdin.on("end", () => process.exit(kept.length > 0 ? 0 : 1)).resume();
}
