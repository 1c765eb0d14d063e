// Rules broken on purpose: one line of a source file is another when it is loaded, and the oracle has to find it.

import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";
import type { Rule } from "./rules.ts";

interface Break {
  /** The rule that the oracle names. */
  readonly rule: Rule;
  readonly file: string;
  /** A line of it, without its indent. */
  readonly line: string;
  readonly becomes: string;
}

export const BREAKS = {
  "carves again what a restart lost": {
    rule: "one_use",
    file: "src/keys/supply/stock.ts",
    line: "key.carved = key.durable = Math.max(row.mark, FIRST_OFFSET);",
    becomes: "key.carved = FIRST_OFFSET; key.durable = Math.max(row.mark, FIRST_OFFSET);",
  },
  "lets a key be fetched again": {
    rule: "one_use",
    file: "src/keys/fetch/fetch.ts",
    line: "if (wanted.some(({ key, range }) => key.isTaken(range)) || (wanted.length > 1 && overlap(wanted)))",
    becomes: "if (wanted.length > 1 && overlap(wanted))",
  },
  "carves beyond the durable mark": {
    rule: "durable_first",
    file: "src/keys/supply/stock.ts",
    line: "const fits = Math.min(missing, Math.floor((key.durable - key.carved) / step));",
    becomes: "const fits = Math.min(missing, Math.floor((key.length - key.carved) / step));",
  },
  "hands out what was fetched before that is durable": {
    rule: "durable_first",
    file: "src/keys/fetch/fetch.ts",
    line: "this.#commits.add(blocks.keys(), fetch.held, {",
    becomes: "fetch.durable(blocks); this.#commits.add(new Set(), fetch.held, {",
  },
  "supplies without a word to the audit log": {
    rule: "audited",
    file: "src/keys/supply/supply.ts",
    line: 'audit.note("keys_supplied", fields, { first: offset, end: offset + count * step, count });',
    becomes: "void [audit, fields, offset, count, key];",
  },
  "ends a KMA-key without a word to the audit log": {
    rule: "audited",
    file: "src/keys/fetch/received-keys.ts",
    line: 'audit.note("kma_key_ended", { ...labels, serial: key.serial, bytes: key.left });',
    becomes: "void audit;",
  },
  "supplies what the other end has lost": {
    rule: "synchronised",
    file: "src/keys/sync/reconcile.ts",
    line: "const gaps = stock.keys().filter((key) => !state.isHeld(key.serial));",
    becomes: "const gaps = stock.keys().filter(() => false);",
  },
  "gives keys to whoever knows their IDs": {
    rule: "identity",
    file: "src/keys/fetch/fetch.ts",
    line: 'if (!nameFits(parts.tag, { ...parts, idKey: key.idKey }, parties)) throw new Fault("NOT_AUTHORIZED");',
    becomes: "",
  },
  "writes a block into its row": {
    rule: "sealed",
    file: "src/keys/links/intake.ts",
    line: "const row = { link: settings.id, run, sequence, own: this.#book.owns(sequence) };",
    becomes:
      "const row = { link: settings.id, run, sequence, own: this.#book.owns(sequence), plain: key.lend((bytes) => Uint8Array.from(bytes)) };",
  },
  "keeps all blocks": {
    rule: "bounded",
    file: "src/keys/links/intake.ts",
    line: "const oldest = this.#book.overflow();",
    becomes: "const oldest: StoredBlock[] = [];",
  },
  "destroys blocks without a word": {
    rule: "accounted",
    file: "src/keys/links/intake.ts",
    line: 'meter.add("blocks_ended", { link, reason }, blocks.length);',
    becomes: "",
  },
  "keeps no copy for the fetch window": {
    rule: "fetchable",
    file: "src/keys/manager/housekeeping.ts",
    line: "await this.#untilDone(() => this.#expire(held, oldestHeld));",
    becomes: "await this.#untilDone(() => this.#expire(held, ages.nowOn() - policy.maxAgeMs));",
  },
  "forgets to give back the keys of key IDs": {
    rule: "balanced",
    file: "src/keys/fetch/received-keys.ts",
    line: "key.idKey[Symbol.dispose]();",
    becomes: "",
  },
  "lets requests wait for ever": {
    rule: "answered",
    file: "src/keys/supply/supply.ts",
    line: "this.#refuse(entry, this.#timeoutFault(demand));",
    becomes: "",
  },
  "dials only once": {
    rule: "live",
    file: "src/kx/redial.ts",
    line: "await pause(clock, waitMs, signal);",
    becomes: "return;",
  },
} as const satisfies Record<string, Break>;

/**
 * From now on the file is loaded with its line changed: call it before anything imports the file.
 * @throws Error when there is no such break, or not exactly one such line
 */
export function breakRule(name: string): void {
  const { file, source } = brokenSource(name);
  registerHooks({
    load: (url, context, next) =>
      url.endsWith(`/${file}`) ? { format: "module-typescript", source, shortCircuit: true } : next(url, context),
  });
}

/** A file with its line changed. @throws Error when there is no such break, or not exactly one such line */
export function brokenSource(name: string): { readonly file: string; readonly source: string } {
  const { file, line, becomes } = breakOf(name);
  const path = fileURLToPath(new URL(`../../${file}`, import.meta.url));
  const lines = readFileSync(path, "utf8").split("\n");
  const found = lines.filter((text) => text.trim() === line).length;
  if (found !== 1) throw new Error(`${file} has ${found} lines that read: ${line}`);
  return { file, source: lines.map((text) => (text.trim() === line ? becomes : text)).join("\n") };
}

function breakOf(name: string): Break {
  for (const [known, row] of Object.entries(BREAKS)) if (known === name) return row;
  throw new Error(`nothing is broken by "${name}"; there are: ${Object.keys(BREAKS).join(" · ")}`);
}
