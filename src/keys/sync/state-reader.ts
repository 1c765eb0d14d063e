// Reads the state that another KM tells, each entry once, as it comes: bounded, and nothing kept but what is shared.

import { Fault } from "../../core/fault.ts";
import { RunSet } from "../../core/text/runs.ts";
import type { BlockPosition, PadMark } from "../common/block-position.ts";
import { outOfBounds } from "../common/bounds.ts";
import { integer, malformed, runs, text } from "../common/extension-fields.ts";
import { MAX_SERIAL } from "../common/key-id.ts";
import type { ExtensionEntry } from "../ports/peers.ts";

/** Of one list within an entry, so that an entry fits any frame. */
export const MAX_LIST_CHARS = 8000;

/** Marks of one state at most. */
export const MAX_MARKS = 400;
/** A state as a whole; marks count as runs. */
const MOST = { bytes: 4 * 1024 * 1024, runs: 65_536, entries: 10_000 };
/** Links told of that are none of ours: the other end may be configured with more than this one, but not with any number. */
const MOST_FOREIGN = 64;
/** Runs of its module that are told of one link: each is looked up in a table of its own. */
export const MOST_MODULE_RUNS = 1_000;

/** How far a KMA-key was carved at its source. */
export interface Mark {
  readonly serial: number;
  /** Bytes: everything before it may have been supplied. */
  readonly offset: number;
}

/** What the other end says of one link. */
export interface LinkState {
  readonly share: string;
  readonly blockBytes: number;
  /** Of our blocks it keeps so many and some more; what a KM of an earlier version keeps is not known. */
  readonly keepBlocks: number | undefined;
  readonly highest: BlockPosition | undefined;
  /** How far it has used its blocks as pads for us, and how far it has seen us use ours. */
  readonly pads: PadMark | undefined;
  readonly seen: PadMark | undefined;
  /** Which of our blocks it holds. */
  holds(position: BlockPosition): boolean;
  /** The last of them, at most so many, ascending. */
  held(most: number): readonly BlockPosition[];
  /** The furthest positions that it tells of: of each run one at least. */
  furthest(): Iterable<BlockPosition>;
}

/** What the other end says of everything that is shared with us. */
export interface PeerState {
  readonly links: ReadonlyMap<string, LinkState>;
  /** Links that it tells of and that are none of ours. */
  readonly foreign: readonly string[];
  /** As source towards us. */
  readonly given: number;
  readonly proved: number;
  readonly givenUp: string;
  readonly marks: readonly Mark[];
  /** As destination of ours: the highest serial accepted, what is held, and our marks as witnessed. */
  readonly accepted: number;
  isHeld(serial: number): boolean;
  isSpent(serial: number): boolean;
  readonly witnessed: readonly Mark[];
  /** How long it has held the oldest of ours, in seconds, by serial; nothing from a KM of an earlier version. */
  readonly aged: ReadonlyMap<number, number>;
}

type Given = Pick<PeerState, "given" | "proved" | "givenUp">;

/** What has come since `begin`. */
class Draft {
  readonly links = new Map<string, ReadLink>();
  readonly foreign = new Set<string>();
  given: Given | undefined;
  accepted: number | undefined;
  readonly marks = new Map<number, number>();
  readonly witnessed = new Map<number, number>();
  readonly aged = new Map<number, number>();
  readonly held = new RunSet();
  readonly spent = new RunSet();
}

/** Gathers the entries of one connection until the last has come. */
export class StateReader {
  readonly #shared: ReadonlySet<string>;
  #draft = new Draft();
  /** Of the whole connection: what is told again is not read again for nothing. */
  readonly #left = { ...MOST };

  /** `shared`: the links with the KM that tells. */
  constructor(shared: Iterable<string>) {
    this.#shared = new Set(shared);
  }

  /** The whole state when `entry`, of `size` characters, was its last part. @throws Fault MALFORMED_REQUEST, OUT_OF_BOUNDS */
  take(entry: ExtensionEntry, size = sizeOf(entry)): PeerState | undefined {
    this.#spend("entries", 1);
    this.#spend("bytes", size);
    switch (entry.part) {
      case "begin":
        this.#draft = new Draft();
        return undefined;
      case "link":
        return this.#link(entry);
      case "holds":
        return this.#holds(entry);
      case "given":
        this.#draft.given = once(entry, this.#draft.given, readGiven(entry));
        return undefined;
      case "accepted":
        this.#draft.accepted = once(entry, this.#draft.accepted, serial(entry, "accepted"));
        return undefined;
      case "marks":
        return this.#marks(readMarks(entry), entry, this.#draft.marks);
      case "witnessed":
        return this.#marks(readMarks(entry), entry, this.#draft.witnessed);
      case "aged":
        return this.#marks(readAges(entry), entry, this.#draft.aged);
      case "held":
        return this.#runs(entry, "serials", this.#draft.held);
      case "spent":
        return this.#runs(entry, "serials", this.#draft.spent);
      case "end":
        return finished(this.#taken());
      default:
        return undefined;
    }
  }

  /** What has come; the connection, which may live for months, keeps none of it. */
  #taken(): Draft {
    const draft = this.#draft;
    this.#draft = new Draft();
    return draft;
  }

  /** @throws Fault OUT_OF_BOUNDS */
  #spend(what: keyof typeof MOST, amount: number): void {
    this.#left[what] -= amount;
    if (this.#left[what] < 0) throw outOfBounds(`a state has more than ${MOST[what]} ${what}`);
  }

  #link(entry: ExtensionEntry): undefined {
    const link = text(entry, "link");
    const { links, foreign } = this.#draft;
    if (links.has(link) || foreign.has(link)) throw repeated(entry);
    if (this.#shared.has(link)) links.set(link, new ReadLink(entry));
    else foreign.add(link);
    if (foreign.size > MOST_FOREIGN) throw outOfBounds(`a state has more than ${MOST_FOREIGN} links that are none`);
  }

  #holds(entry: ExtensionEntry): undefined {
    const name = text(entry, "link");
    const link = this.#draft.links.get(name);
    if (link !== undefined) return this.#runs(entry, "blocks", link.blocksOf(integer(entry, "run")));
    if (!this.#draft.foreign.has(name)) throw malformed(entry, "link");
  }

  #runs(entry: ExtensionEntry, member: string, into: RunSet): undefined {
    const found = runs(entry, member);
    this.#spend("runs", found.length);
    if (!into.add(found)) throw malformed(entry, member);
  }

  #marks(found: readonly Mark[], entry: ExtensionEntry, into: Map<number, number>): undefined {
    this.#spend("runs", found.length);
    for (const mark of found) {
      if (into.has(mark.serial)) throw repeated(entry);
      into.set(mark.serial, mark.offset);
    }
  }
}

/** Characters of an entry as it came, about. */
export const sizeOf = (entry: ExtensionEntry): number => JSON.stringify(entry).length;

const repeated = (entry: ExtensionEntry): Fault =>
  new Fault("MALFORMED_REQUEST", { text: `${entry.name} tells the same twice in its part "${String(entry.part)}"` });

/** @throws Fault MALFORMED_REQUEST */
function once<T>(entry: ExtensionEntry, before: T | undefined, now: T): T {
  if (before !== undefined) throw repeated(entry);
  return now;
}

/** @throws Fault MALFORMED_REQUEST */
function finished({ links, foreign, given, accepted, ...draft }: Draft): PeerState {
  const missing = (part: string) => new Fault("MALFORMED_REQUEST", { text: `qkm_state lacks its part "${part}"` });
  if (given === undefined) throw missing("given");
  if (accepted === undefined) throw missing("accepted");
  return {
    links,
    foreign: [...foreign],
    ...given,
    marks: marksOf(draft.marks),
    accepted,
    isHeld: draft.held.has,
    isSpent: draft.spent.has,
    witnessed: marksOf(draft.witnessed),
    aged: draft.aged,
  };
}

const marksOf = (marks: ReadonlyMap<number, number>): Mark[] =>
  [...marks].map(([serial, offset]) => ({ serial, offset }));

function readGiven(entry: ExtensionEntry): Given {
  runs(entry, "given_up");
  return { given: serial(entry, "given"), proved: serial(entry, "proved"), givenUp: text(entry, "given_up") };
}

class ReadLink implements LinkState {
  readonly share: string;
  readonly blockBytes: number;
  readonly keepBlocks: number | undefined;
  readonly highest: BlockPosition | undefined;
  readonly pads: PadMark | undefined;
  readonly seen: PadMark | undefined;
  /** Held blocks, by run. */
  readonly #blocks = new Map<number, RunSet>();

  /** @throws Fault MALFORMED_REQUEST */
  constructor(entry: ExtensionEntry) {
    this.share = text(entry, "share");
    this.blockBytes = integer(entry, "block_bytes");
    this.keepBlocks = entry.keep === undefined ? undefined : integer(entry, "keep");
    const { run } = entry;
    this.highest = run === undefined ? undefined : { run: integer(entry, "run"), sequence: integer(entry, "highest") };
    this.pads = readPads(entry, "pad", this.blockBytes);
    this.seen = readPads(entry, "seen", this.blockBytes);
  }

  /** Where held blocks of one run of the module are gathered. @throws Fault OUT_OF_BOUNDS */
  blocksOf(run: number): RunSet {
    const known = this.#blocks.get(run);
    if (known !== undefined) return known;
    if (this.#blocks.size === MOST_MODULE_RUNS)
      throw outOfBounds(`a state has more than ${MOST_MODULE_RUNS} runs of the module of one link`);
    const blocks = new RunSet();
    this.#blocks.set(run, blocks);
    return blocks;
  }

  holds({ run, sequence }: BlockPosition): boolean {
    return this.#blocks.get(run)?.has(sequence) ?? false;
  }

  held(most: number): readonly BlockPosition[] {
    const held: BlockPosition[] = [];
    for (const run of [...this.#blocks.keys()].sort((a, b) => b - a)) {
      const last = this.#blocks.get(run)?.last(most - held.length) ?? [];
      for (const sequence of last.reverse()) held.push({ run, sequence });
      if (held.length >= most) break;
    }
    return held.reverse();
  }

  *furthest(): Iterable<BlockPosition> {
    for (const told of [this.highest, this.pads, this.seen]) if (told !== undefined) yield told;
    for (const [run, { highest }] of this.#blocks) yield { run, sequence: highest ?? 0 };
  }
}

function readPads(item: ExtensionEntry, name: "pad" | "seen", blockBytes: number): PadMark | undefined {
  if (item[`${name}_run`] === undefined) return undefined;
  const of = (part: string): number => integer(item, `${name}_${part}`);
  const mark = { run: of("run"), sequence: of("sequence"), offset: of("offset") };
  if (mark.offset > blockBytes) throw malformed(item, `${name}_offset`);
  return mark;
}

/** The `marks` of an entry. @throws Fault MALFORMED_REQUEST */
export function readMarks(item: ExtensionEntry): Mark[] {
  return numbersOf(item, "marks", "offset");
}

/** The `ages` of an entry, seconds as their offsets. @throws Fault MALFORMED_REQUEST */
const readAges = (item: ExtensionEntry): Mark[] => numbersOf(item, "ages", "s");

function numbersOf(item: ExtensionEntry, member: string, number: string): Mark[] {
  const list = item[member];
  if (!Array.isArray(list)) throw malformed(item, member);
  return list.map((one: unknown) => {
    if (typeof one !== "object" || one === null) throw malformed(item, member);
    const fields: ExtensionEntry = { name: item.name, ...one };
    return { serial: integer(fields, "serial"), offset: integer(fields, number) };
  });
}

/** A serial that was given. @throws Fault MALFORMED_REQUEST */
export function serial(item: ExtensionEntry, member: string): number {
  const value = integer(item, member);
  if (value > MAX_SERIAL) throw malformed(item, member);
  return value;
}
