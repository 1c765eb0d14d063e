// Bounds what strangers, greedy applications and lying peers can make a KM write: repeated lines of one second are one.
//
//   line ──kind?──> under its allowance: written at once
//                   beyond it: counted; at the end of the second the last of its kind, with `count`

import type { Clock, Log } from "../core/ports.ts";
import type { SettableLog } from "./log.ts";

type Fields = Readonly<Record<string, unknown>>;
type Level = keyof Log;

/** What has been seen of one kind in this second. */
interface Repeats {
  readonly level: Level;
  seen: number;
  /** Not written yet. */
  count: number;
  fields: Fields;
  sentence: string;
}

const WINDOW_MS = 1_000;
/** Kinds of one second; what is of further kinds is one kind together. */
const MOST_KINDS = 256;
/** Lines of one kind that are written at once in a second, where it is not one. */
const ALLOWED = 8;

/**
 * A log that writes lines of one kind together, once a second: refused connections by door, reason and address, alarms by name,
 * peer and link, whatever else a door tells by door, who and sentence. All other lines are written as they come.
 */
export class UnrepeatedLog implements SettableLog, Disposable {
  readonly #log: SettableLog;
  readonly #clock: Clock;
  readonly #kinds = new Map<string, Repeats>();
  #cancel: (() => void) | undefined;

  constructor(log: SettableLog, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  get level(): string {
    return this.#log.level;
  }

  set level(level: string) {
    this.#log.level = level;
  }

  debug(fields: Fields, sentence: string): void {
    this.#log.debug(fields, sentence);
  }

  info(fields: Fields, sentence: string): void {
    this.#note("info", fields, sentence);
  }

  warn(fields: Fields, sentence: string): void {
    this.#note("warn", fields, sentence);
  }

  error(fields: Fields, sentence: string): void {
    this.#note("error", fields, sentence);
  }

  /** Writes what was only counted. */
  [Symbol.dispose](): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#write();
    this.#kinds.clear();
  }

  #note(level: Level, fields: Fields, sentence: string): void {
    const kind = kindOf(fields, sentence);
    if (kind === undefined) {
      this.#log[level](fields, sentence);
      return;
    }
    const repeats = this.#repeats(`${level} ${kind.name}`, { level, fields, sentence });
    repeats.seen += 1;
    if (repeats.seen <= kind.allowed) {
      this.#log[level](fields, sentence);
      return;
    }
    repeats.count += 1;
    repeats.fields = fields;
    repeats.sentence = sentence;
  }

  #repeats(name: string, first: Pick<Repeats, "level" | "fields" | "sentence">): Repeats {
    this.#cancel ??= this.#clock.after(WINDOW_MS, () => this.#next());
    const known = this.#kinds.get(name) ?? (this.#kinds.size < MOST_KINDS ? undefined : this.#kinds.get(OTHERS));
    if (known !== undefined) return known;
    const repeats: Repeats = { ...first, seen: 0, count: 0 };
    this.#kinds.set(this.#kinds.size < MOST_KINDS ? name : OTHERS, repeats);
    return repeats;
  }

  /** The end of a second. A kind that goes on has had its lines for the next one, too. */
  #next(): void {
    this.#cancel = undefined;
    for (const [name, repeats] of this.#kinds) if (repeats.count === 0) this.#kinds.delete(name);
    this.#write();
    if (this.#kinds.size > 0) this.#cancel = this.#clock.after(WINDOW_MS, () => this.#next());
  }

  #write(): void {
    for (const repeats of this.#kinds.values()) {
      const { level, count, fields, sentence } = repeats;
      if (count > 0) this.#log[level](count === 1 ? fields : { ...fields, count }, sentence);
      repeats.count = 0;
    }
  }
}

const OTHERS = "others";

/** Which lines count as one; undefined for those that are always written. */
function kindOf(fields: Fields, sentence: string): { readonly name: string; readonly allowed: number } | undefined {
  const { alarm, peer, link, door, reason, from } = fields;
  if (alarm !== undefined) return { name: `${alarm} ${peer} ${link}`, allowed: 1 };
  if (door === undefined) return undefined;
  if (typeof from === "string" && reason !== undefined) {
    return { name: `${door} ${reason} ${addressIn(from)}`, allowed: 1 };
  }
  const who = peer ?? fields.app ?? fields.id;
  return { name: `${door} ${who} ${sentence.split(":", 1)[0]}`, allowed: ALLOWED };
}

/** Without the port: `address|port`, as listeners write it. */
const addressIn = (from: string): string => from.split("|", 1)[0] ?? "";
