// Rules broken on purpose: the line below a marker is another when its file is loaded, and the oracle has to find it.
//
//     // rule: fetch-once              the marker, in whichever file of src/ has it
//     if (wanted.some(({ key, …       the line that holds the rule

import { globSync, readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import type { Ingredient } from "./ingredients.ts";
import type { Rule } from "./rules.ts";

interface Break {
  /** The rule that the oracle names. */
  readonly rule: Rule;
  /** What stands behind `// rule: ` above the line. */
  readonly marker: string;
  /** Found among the members of one KM, where there is no network. */
  readonly isOfMembers?: true;
  /** What the network has to have. */
  readonly needs?: Ingredient;
  /** A part of the line, and what is there instead. */
  readonly swap?: readonly [part: string, other: string];
  /** What is there instead of the line; empty to leave it out. */
  readonly becomes?: string;
}

export const BREAKS = {
  "carves again what a restart lost": {
    rule: "one_use",
    marker: "resume-at-mark",
    swap: ["key.carved =", "key.carved = FIRST_OFFSET;"],
  },
  "lets a key be fetched again": { rule: "one_use", marker: "fetch-once", swap: ["key.isTaken(range)", "false"] },
  "lets a key of several applications be fetched again": {
    rule: "one_use",
    marker: "fetch-once-of-several",
    needs: "multicast",
    swap: ["bundle.isTaken(index)", "false"],
  },
  "carves beyond the durable mark": {
    rule: "durable_first",
    marker: "carve-below-mark",
    swap: ["key.durable", "key.length"],
  },
  "hands out what was fetched before that is durable": {
    rule: "durable_first",
    marker: "fetch-when-durable",
    swap: ["this.#commits.add(fetch.wanted", "fetch.durable(); this.#commits.add([]"],
  },
  "supplies without a word to the audit log": { rule: "audited", marker: "audit-supply", becomes: "" },
  "ends a KMA-key without a word to the audit log": { rule: "audited", marker: "audit-end", becomes: "" },
  "believes a copy of its store that peers have seen more of": {
    rule: "one_use",
    marker: "see-copy",
    swap: ["whyBehind(peer, links, state)", "undefined as string | undefined"],
  },
  "supplies what the other end has lost": {
    rule: "synchronised",
    marker: "end-gaps",
    swap: ["!state.isHeld(key.serial)", "false"],
  },
  "gives keys to whoever knows their IDs": { rule: "identity", marker: "check-id-tag", becomes: "" },
  "writes a block into its row": {
    rule: "sealed",
    marker: "row-without-key",
    swap: [" own:", " plain: block.key.lend((bytes) => Uint8Array.from(bytes)), own:"],
  },
  "keeps all blocks": { rule: "bounded", marker: "drop-oldest", swap: ["this.#book.overflow()", "[]"] },
  "destroys blocks without a word": { rule: "accounted", marker: "count-ended", becomes: "" },
  "keeps no copy for the fetch window": {
    rule: "fetchable",
    marker: "keep-for-fetch-window",
    swap: ["oldestHeld", "ages.nowOn() - policy.maxAgeMs"],
  },
  "takes a fetch that was refused for done": {
    rule: "fetchable",
    marker: "free-after-rejection",
    swap: ["key.unmark", "key.settle"],
  },
  "lets held keys age while it is off": {
    rule: "fetchable",
    marker: "held-age-while-on",
    swap: ["this.#onOrigin", "this.#origin"],
  },
  "keeps the late relay of an abandoned serial": {
    rule: "wanted",
    marker: "refuse-abandoned",
    becomes: "void serial;",
  },
  "forgets what a rejected commit was to remove": { rule: "balanced", marker: "make-up-removals", becomes: "" },
  "forgets to give back the keys of key IDs": { rule: "balanced", marker: "free-id-key", becomes: "" },
  "lets requests wait for ever": { rule: "answered", marker: "answer-at-timeout", becomes: "" },
  "dials only once": { rule: "live", marker: "dial-again", becomes: "return;" },
  "lets a former owner write": { rule: "one_use", marker: "fence", isOfMembers: true, becomes: "when: []," },
  "uses again what a restored etcd calls unused": {
    rule: "balanced",
    marker: "say-restored",
    isOfMembers: true,
    swap: ["steps", "[]"],
  },
  "takes an answer that was on its way for a restored etcd": {
    rule: "sound",
    marker: "look-before",
    isOfMembers: true,
    swap: ["before, now", "this.#following.copy.at, now"],
  },
  "waits for ever for what a watch does not bring": {
    rule: "live",
    marker: "give-up-stalled",
    isOfMembers: true,
    swap: ["this.#giveUp", "void "],
  },
} as const satisfies Record<string, Break>;

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MARKER = /^\s*\/\/ rule: (\S+)$/;

/**
 * From now on the file is loaded with its line changed: call it before anything imports the file.
 * @throws Error when there is no such break, or not exactly one line that it can change
 */
export function breakRule(name: string): void {
  const { file, source } = brokenSource(name);
  registerHooks({
    load: (url, context, next) =>
      url.endsWith(`/${file}`) ? { format: "module-typescript", source, shortCircuit: true } : next(url, context),
  });
}

/** A file with its line changed. @throws Error when there is no such break, or not exactly one line that it can change */
export function brokenSource(name: string): { readonly file: string; readonly source: string } {
  const row = breakOf(name);
  const [place, ...more] = markers().filter(({ marker }) => marker === row.marker);
  if (place === undefined || more.length > 0) {
    throw new Error(`src/ has ${more.length + (place ? 1 : 0)} lines that read: // rule: ${row.marker}`);
  }
  const lines = readFileSync(`${ROOT}/${place.file}`, "utf8").split("\n");
  lines[place.at + 1] = changed(lines[place.at + 1] ?? "", row);
  return { file: place.file, source: lines.join("\n") };
}

/** @throws Error when the part to swap is not there */
function changed(line: string, { marker, swap, becomes = "" }: Break): string {
  if (swap === undefined) return becomes;
  if (!line.includes(swap[0])) throw new Error(`the line below "rule: ${marker}" has no ${swap[0]}`);
  return line.replace(swap[0], () => swap[1]);
}

/** All markers of the sources, with the file and the index of their line. */
export function markers(): readonly { readonly marker: string; readonly file: string; readonly at: number }[] {
  return globSync("src/**/*.ts", { cwd: ROOT }).flatMap((file) =>
    readFileSync(`${ROOT}/${file}`, "utf8")
      .split("\n")
      .flatMap(
        (line, at) =>
          MARKER.exec(line)
            ?.slice(1)
            .map((marker) => ({ marker, file, at })) ?? [],
      ),
  );
}

function breakOf(name: string): Break {
  for (const [known, row] of Object.entries(BREAKS)) if (known === name) return row;
  throw new Error(`nothing is broken by "${name}"; there are: ${Object.keys(BREAKS).join(" · ")}`);
}
