// A command of the console as data, and how what a person types becomes one: words may be cut short as long as one fits.

import { mayAct, type Role } from "../operators.ts";
import type { Session } from "../session.ts";
import { cut } from "../terminal/text.ts";

/** Of what was typed, in a refusal. */
const SHOWN = 32;

/** A word that the operator fills in. */
export interface Argument {
  readonly name: string;
  readonly about: string;
  readonly optional?: true;
  /** What it may be, when that is known beforehand: may be cut short like a word. */
  readonly choice?: readonly string[];
  /** What it may be on this node, for completion. */
  readonly names?: (session: Session) => Promise<readonly string[]>;
}

/** A command of the console: how it is typed, who may, what it does. */
export interface Command {
  readonly words: readonly string[];
  readonly args: readonly Argument[];
  /** Who may give it. */
  readonly role: Role;
  /** A line for the list of commands. */
  readonly about: string;
  /** Further sentences for its own help. */
  readonly more?: string;
  /** It changes the node: who gave it goes to the audit log before it is done, or, where that is urgent, if it can. */
  readonly changes?: true | "urgent";
  /** `args` as typed, choices in full; an optional one that was not typed is absent. */
  readonly run: (session: Session, args: readonly string[]) => Promise<void>;
}

/** What a typed line means, or why it means nothing and what could come next. */
export type Understood =
  | { readonly command: Command; readonly args: readonly string[] }
  | { readonly problem: string; readonly next: readonly string[] };

/** Such as `link down LINK`. */
export const usageOf = ({ words, args }: Command): string =>
  [...words, ...args.map(({ name, optional }) => (optional ? `[${name}]` : name))].join(" ");

/** The words of a line, without the blanks between them. */
export const tokensOf = (line: string): string[] => line.split(/\s+/).filter((token) => token !== "");

const fitting = (names: readonly string[], typed: string): readonly string[] =>
  names.includes(typed) ? [typed] : names.filter((name) => name.startsWith(typed));

/** The words that may come at a place after those before it. */
const wordsAt = (commands: readonly Command[], at: number): string[] => [
  ...new Set(commands.flatMap(({ words }) => words[at] ?? [])),
];

interface Narrowed {
  /** Commands that begin with what was typed. */
  readonly left: readonly Command[];
  /** How many of the tokens are words of theirs. */
  readonly words: number;
  /** The token that is none or several. */
  readonly problem?: string;
  readonly next?: readonly string[];
}

function narrow(commands: readonly Command[], tokens: readonly string[]): Narrowed {
  let left = commands;
  for (const [at, token] of tokens.entries()) {
    const names = wordsAt(left, at);
    if (names.length === 0) return { left, words: at };
    const found = fitting(names, token);
    const [name] = found;
    if (name === undefined) return { left, words: at, problem: `unknown: ${cut(token, SHOWN)}`, next: names };
    if (found.length > 1) return { left, words: at, problem: `${cut(token, SHOWN)} may be ${found.join(", ")}` };
    left = left.filter(({ words }) => words[at] === name);
  }
  return { left, words: tokens.length };
}

/** The command that was typed, or why it is none and what may come instead. */
export function understood(commands: readonly Command[], tokens: readonly string[]): Understood {
  const { left, words, problem, next = [] } = narrow(commands, tokens);
  if (problem !== undefined) return { problem, next };
  const whole = left.find((command) => command.words.length === words);
  if (whole === undefined) return { problem: "incomplete", next: wordsAt(left, words) };
  return withArgs(whole, tokens.slice(words));
}

function withArgs(command: Command, given: readonly string[]): Understood {
  const { args } = command;
  const problem = (sentence: string): Understood => ({ problem: sentence, next: [usageOf(command)] });
  const missing = args.slice(given.length).find(({ optional }) => !optional);
  if (missing !== undefined) return problem(`${missing.name} is missing`);
  if (given.length > args.length) return problem(`too much: ${cut(given.slice(args.length).join(" "), SHOWN)}`);
  const found = given.map((text, at) => {
    const choice = args[at]?.choice;
    return choice === undefined ? [text] : fitting(choice, text);
  });
  const wrong = found.findIndex((one) => one.length !== 1);
  if (wrong >= 0) return problem(`${cut(given[wrong] ?? "", SHOWN)} is none of ${args[wrong]?.choice?.join(", ")}`);
  return { command, args: found.flat() };
}

/** What may come next after whole tokens: words, choices and names of this node. */
export async function following(session: Session, tokens: readonly string[]): Promise<readonly string[]> {
  const { left, words, problem } = narrow(session.commands, tokens);
  if (problem !== undefined) return [];
  const names = words === tokens.length ? wordsAt(left, words) : [];
  const argument = left.find((command) => command.words.length === words)?.args[tokens.length - words];
  const values = argument?.choice ?? (await argument?.names?.(session).catch(() => [])) ?? [];
  return [...names, ...values];
}

/** For the line editor: the ways to go on with the last token of a line. */
export async function completed(session: Session, line: string): Promise<[found: string[], typed: string]> {
  const tokens = tokensOf(line);
  const typed = line === "" || line.endsWith(" ") ? "" : (tokens.pop() ?? "");
  const found = (await following(session, tokens)).filter((name) => name.startsWith(typed));
  return [found.map((name) => `${name} `), typed];
}

/** Those that somebody of this role may give. */
export const allowedTo = (role: Role, commands: readonly Command[]): readonly Command[] =>
  commands.filter((command) => mayAct(role, command.role));
