// What two KMs tell each other when they connect: the entries named `qkm_state` (key-protocol 5), written and read.

import { Fault } from "../../core/fault.ts";
import { formatRuns, inRuns, lastNumbers, type parseRuns, splitRuns } from "../../core/runs.ts";
import type { BlockPosition, PadMark } from "../common/block-position.ts";
import { inParts, integer, malformed, runs, text } from "../common/extension-fields.ts";
import { FIRST_OFFSET, MAX_SERIAL } from "../common/key-id.ts";
import { type LinkInventory, runsOf, sequencesOf } from "../links/link-inventory.ts";
import type { Peer } from "../peers/peer.ts";
import type { ExtensionEntry } from "../ports.ts";

const NAME = "qkm_state";
/** Of one list within an entry, so that an entry fits any frame. */
export const MAX_LIST_CHARS = 8000;
export const MAX_MARKS = 400;

export interface Mark {
  readonly serial: number;
  /** Bytes: everything before it may have been supplied. */
  readonly offset: number;
}

/** What the other end says of one link. */
export interface LinkState {
  readonly share: string;
  readonly blockBytes: number;
  readonly highest: BlockPosition | undefined;
  /** How far it has used its blocks as pads for us, and how far it has seen us use ours. */
  readonly pads: PadMark | undefined;
  readonly seen: PadMark | undefined;
  /** Which of our blocks it holds. */
  holds(position: BlockPosition): boolean;
  /** The last of them, at most so many, ascending. */
  held(most: number): readonly BlockPosition[];
}

/** What the other end says of everything that is shared with us. */
export interface PeerState {
  readonly links: ReadonlyMap<string, LinkState>;
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
}

/** Our state towards another KM. Notes how far arrivals are told with it. */
export function stateEntries(peer: Peer): ExtensionEntry[] {
  const { links, stock, held } = peer;
  const keys = [...held.keys()];
  const partly = keys.filter(({ witness, length }) => witness > FIRST_OFFSET && witness < length);
  const spent = keys.filter(({ witness, length }) => witness >= length).map(({ serial }) => serial);
  return [
    entry("begin", {}),
    ...links.flatMap(linkEntries),
    entry("given", { given: stock.nextSerial - 1, proved: stock.proved, given_up: `${stock.givenUp}` }),
    ...inParts(
      stock.keys().filter((key) => key.state === "open"),
      MAX_MARKS,
    ).map((part) => entry("marks", { marks: part.map(({ serial, carved }) => ({ serial, offset: carved })) })),
    entry("accepted", { accepted: held.accepted }),
    ...splitRuns(formatRuns(held.serials()), MAX_LIST_CHARS).map((serials) => entry("held", { serials })),
    ...splitRuns(formatRuns(spent.sort((a, b) => a - b)), MAX_LIST_CHARS).map((serials) => entry("spent", { serials })),
    ...inParts(partly, MAX_MARKS).map((part) =>
      entry("witnessed", { marks: part.map(({ serial, witness }) => ({ serial, offset: witness })) }),
    ),
    entry("end", {}),
  ];
}

const entry = (part: string, members: Readonly<Record<string, unknown>>): ExtensionEntry => ({
  name: NAME,
  part,
  ...members,
});

function linkEntries(link: LinkInventory): ExtensionEntry[] {
  const { id, share, blockBytes } = link.settings;
  const { settled } = link;
  link.announcedTo = settled;
  const copies = [...link.copies()];
  const position = settled ? { run: settled.run, highest: settled.sequence } : {};
  const marks = { ...padMembers("pad", link.pads.mark), ...padMembers("seen", link.padCopies.mark) };
  return [
    entry("link", { link: id, share: share.join(":"), block_bytes: blockBytes, ...position, ...marks }),
    ...runsOf(copies).flatMap((run) =>
      splitRuns(formatRuns(sequencesOf(copies, run)), MAX_LIST_CHARS).map((blocks) =>
        entry("holds", { link: id, run, blocks }),
      ),
    ),
  ];
}

const padMembers = (name: "pad" | "seen", mark: PadMark | undefined): Readonly<Record<string, number>> =>
  mark === undefined
    ? {}
    : { [`${name}_run`]: mark.run, [`${name}_sequence`]: mark.sequence, [`${name}_offset`]: mark.offset };

function readPads(item: ExtensionEntry, name: "pad" | "seen"): PadMark | undefined {
  if (item[`${name}_run`] === undefined) return undefined;
  const [run, sequence, offset] = ["run", "sequence", "offset"].map((part) => integer(item, `${name}_${part}`));
  return { run: run ?? 0, sequence: sequence ?? 0, offset: offset ?? 0 };
}

/** Gathers the entries of one connection until the last has come. */
export class StateReader {
  #entries: ExtensionEntry[] = [];

  /** The whole state when `entry` was its last part. @throws Fault MALFORMED_REQUEST */
  take(entry: ExtensionEntry): PeerState | undefined {
    if (entry.part === "begin") this.#entries = [];
    this.#entries.push(entry);
    if (this.#entries.length > MAX_ENTRIES)
      throw new Fault("MALFORMED_REQUEST", { text: `${NAME} has too many entries` });
    return entry.part === "end" ? readState(this.#entries) : undefined;
  }
}

const MAX_ENTRIES = 10_000;

function readState(entries: readonly ExtensionEntry[]): PeerState {
  const of = (part: string): ExtensionEntry[] => entries.filter((candidate) => candidate.part === part);
  const first = (part: string): ExtensionEntry => {
    const [found] = of(part);
    if (found === undefined) throw new Fault("MALFORMED_REQUEST", { text: `${NAME} lacks its part "${part}"` });
    return found;
  };
  const serialsIn = (part: string) => {
    const tests = of(part).map((item) => inRuns(runs(item, "serials")));
    return (serial: number): boolean => tests.some((test) => test(serial));
  };
  return {
    links: new Map(of("link").map((item) => [text(item, "link"), readLink(item, of("holds"))])),
    given: serial(first("given"), "given"),
    proved: serial(first("given"), "proved"),
    givenUp: abandonedOf(first("given")),
    marks: of("marks").flatMap(readMarks),
    accepted: serial(first("accepted"), "accepted"),
    isHeld: serialsIn("held"),
    isSpent: serialsIn("spent"),
    witnessed: of("witnessed").flatMap(readMarks),
  };
}

function abandonedOf(item: ExtensionEntry): string {
  runs(item, "given_up");
  return text(item, "given_up");
}

const lastOf = (run: number, blocks: ReturnType<typeof parseRuns>, most: number): BlockPosition[] =>
  lastNumbers(blocks, most).map((sequence) => ({ run, sequence }));

function readLink(item: ExtensionEntry, holds: readonly ExtensionEntry[]): LinkState {
  const link = text(item, "link");
  const tests = holds
    .filter((held) => held.link === link)
    .map((held) => ({ run: integer(held, "run"), blocks: runs(held, "blocks"), has: inRuns(runs(held, "blocks")) }));
  return {
    share: text(item, "share"),
    blockBytes: integer(item, "block_bytes"),
    highest: item.run === undefined ? undefined : { run: integer(item, "run"), sequence: integer(item, "highest") },
    pads: readPads(item, "pad"),
    seen: readPads(item, "seen"),
    holds: ({ run, sequence }) => tests.some((test) => test.run === run && test.has(sequence)),
    held: (most) => tests.flatMap(({ run, blocks }) => lastOf(run, blocks, most)).slice(-most),
  };
}

/** The `marks` of an entry. @throws Fault MALFORMED_REQUEST */
export function readMarks(item: ExtensionEntry): Mark[] {
  const marks = item.marks;
  if (!Array.isArray(marks)) throw malformed(item, "marks");
  return marks.map((mark: unknown) => {
    if (typeof mark !== "object" || mark === null) throw malformed(item, "marks");
    const fields: ExtensionEntry = { name: item.name, ...mark };
    return { serial: integer(fields, "serial"), offset: integer(fields, "offset") };
  });
}

/** A serial that was given. @throws Fault MALFORMED_REQUEST */
function serial(item: ExtensionEntry, member: string): number {
  const value = integer(item, member);
  if (value > MAX_SERIAL) throw malformed(item, member);
  return value;
}
