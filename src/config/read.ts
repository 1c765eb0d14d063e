// Reads the configuration of a node: text to one frozen typed value, or every complaint at once.

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import type { NodeConfig } from "../config.ts";
import { type Complain, checkFiles, checkRelations, type Known } from "./checks.ts";
import { lineFinder, type Path } from "./lines.ts";
import { type ConfigMerge, mergeConfig } from "./reload.ts";
import { SCHEMA, type Written } from "./schema.ts";
import { configOf } from "./typed.ts";

/** One thing that is wrong: where in the file, and what to do. */
export interface Complaint {
  readonly line: number;
  /** Such as `links[0].port`; empty when the text is no TOML. */
  readonly key: string;
  readonly sentence: string;
}

/** Everything that is wrong with a configuration, a line each: `file:line: key: sentence`. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly complaints: readonly Complaint[];

  constructor(file: string, complaints: readonly Complaint[]) {
    const line = (one: Complaint) => [`${file}:${one.line}`, ...(one.key ? [one.key] : []), one.sentence].join(": ");
    super(complaints.map(line).join("\n"));
    this.complaints = complaints;
  }
}

/**
 * Reads a configuration without looking at the files that it names. `file` is its path, to which others are relative.
 * @throws ConfigError with every complaint, in the order of lines
 */
export function parseConfig(text: string, file: string, known: Known = {}): NodeConfig {
  return read(text, file, ({ config }, complain) => checkRelations(config, known, complain)).config;
}

/** Reads a configuration file and looks at the files that it names. @throws ConfigError with every complaint */
export const loadConfig = (path: string, known: Known = {}): NodeConfig => readConfig(path, known).config;

/** A configuration, and the values of its file with every default, from which it was made. */
export interface ReadConfig {
  readonly config: NodeConfig;
  readonly written: Written;
}

/** The same with what stands in the file. @throws ConfigError with every complaint */
export function readConfig(path: string, known: Known = {}): ReadConfig {
  return read(textOf(path), path, (made, complain) => checkAll(made, known, complain));
}

/** What runs after a reload of a file that says `next`, and what it changes. @throws ConfigError when it does not fit together */
export function reloaded(path: string, running: Written, next: Written, known: Known = {}): ReadConfig & ConfigMerge {
  const merge = mergeConfig(running, next);
  const lineOf = lineFinder(textOf(path));
  const complaints: Complaint[] = [];
  const config = configOf(merge.written, resolve(path));
  checkAll({ config, written: merge.written }, known, (at, sentence) =>
    complaints.push({ line: lineOf(at), key: keyOf(at), sentence }),
  );
  if (complaints.length === 0) return { ...merge, config: deepFreeze(config) };
  // The file itself is right: what is not taken before the next start is in the way of what would be.
  const rest = merge.changes.filter(({ isTaken }) => !isTaken).map(({ key }) => key);
  const [first] = complaints;
  throw new ConfigError(path, [
    ...complaints,
    { line: first?.line ?? 1, key: "", sentence: `this needs a restart, with: ${rest.join(", ")}` },
  ]);
}

function checkAll({ config, written }: ReadConfig, known: Known, complain: Complain): void {
  checkRelations(config, known, complain);
  checkFiles(written, dirname(config.file), complain);
  for (const { table, key, sentence } of known.materials?.(config) ?? []) complain([table, key], sentence);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ConfigError(path, [{ line: 1, key: "", sentence: `the file cannot be read (${why})` }]);
  }
}

function read(text: string, file: string, check: (made: ReadConfig, complain: Complain) => void): ReadConfig {
  const lineOf = lineFinder(text);
  const complaints: Complaint[] = [];
  const complain = (path: Path, sentence: string) =>
    complaints.push({ line: lineOf(path), key: keyOf(path), sentence });

  const toml = tomlOf(text, file);
  const { issues = [] } = v.safeParse(SCHEMA, toml);
  for (const issue of issues) complain(pathOf(issue), sentenceOf(issue));
  const rest = v.safeParse(SCHEMA, without(toml, issues));
  if (rest.success) {
    const doubtful = new Set(issues.filter((issue) => !isUnknownName(issue)).map((issue) => pathOf(issue)[0]));
    const config = configOf(rest.output, resolve(file));
    check({ config, written: rest.output }, (path, sentence) => {
      if (!doubtful.has(path[0])) complain(path, sentence);
    });
    if (complaints.length === 0) return { config: deepFreeze(config), written: rest.output };
  }
  throw new ConfigError(
    file,
    complaints.toSorted((a, b) => a.line - b.line),
  );
}

/** A copy without the keys that are wrong, so that the rest can be checked too. */
function without(toml: unknown, issues: readonly Issue[]): unknown {
  const copy = structuredClone(toml);
  for (const issue of issues) {
    const key = issue.path?.findLast((item) => typeof item.key === "string");
    const path = pathOf(issue);
    const parent = path.slice(0, path.lastIndexOf(String(key?.key))).reduce<unknown>(member, copy);
    if (key && typeof parent === "object" && parent !== null) Reflect.deleteProperty(parent, String(key.key));
  }
  return copy;
}

const member = (of: unknown, key: string | number): unknown =>
  typeof of === "object" && of !== null ? Reflect.get(of, key) : undefined;

function tomlOf(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const sentence = `${error.message.split("\n")[0]} (column ${error.column})`;
    throw new ConfigError(file, [{ line: error.line, key: "", sentence }]);
  }
}

type Issue = v.InferIssue<typeof SCHEMA>;

const pathOf = (issue: Issue): Path =>
  (issue.path ?? []).map(({ key }) => (typeof key === "number" ? key : String(key)));

const keyOf = (path: Path): string =>
  path.map((part, at) => (typeof part === "number" ? `[${part}]` : at === 0 ? part : `.${part}`)).join("");

const isUnknownName = (issue: Issue): boolean => issue.type === "strict_object" && issue.expected === "never";

function sentenceOf(issue: Issue): string {
  if (isUnknownName(issue)) return "this name is not known; see docs/configuration.md";
  if (issue.received === "undefined") return "is missing";
  return issue.type === "strict_object" ? "must be a table" : issue.message;
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === "object" && part !== null) deepFreeze(part);
  return Object.freeze(value);
}
