// What two KMs tell each other when they connect: the entries named `qkm_state` (key-protocol 5), as they are written.

import { formatRuns, splitRuns } from "../../core/text/runs.ts";
import { type PadMark, runsOf, sequencesOf } from "../common/block-position.ts";
import { inParts } from "../common/extension-fields.ts";
import { FIRST_OFFSET } from "../common/key-id.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import type { Peer } from "../peers/peer.ts";
import type { ExtensionEntry } from "../ports/peers.ts";
import { MAX_LIST_CHARS, MAX_MARKS, MOST_MODULE_RUNS } from "./state-reader.ts";

const NAME = "qkm_state";
/** What is told at most, the newest: together below what the other end reads (65,536 runs, marks among them). */
const MOST = { blocks: 40_000, held: 10_000, witnessed: 6_000, spent: 5_000, marks: 4_000, aged: 500 } as const;

/** Our state towards another KM. Notes how far arrivals and serials are told with it. */
export function stateEntries(peer: Peer): ExtensionEntry[] {
  const { links, stock, held } = peer;
  const keys = [...held.keys()];
  const partly = keys.filter(({ witness, length }) => witness > FIRST_OFFSET && witness < length);
  const spent = keys.filter(({ witness, length }) => witness >= length).map(({ serial }) => serial);
  const open = stock.keys().filter((key) => key.state === "open");
  stock.announced = stock.nextSerial - 1;
  return [
    entry("begin", {}),
    ...links.flatMap((link) => linkEntries(link, Math.floor(MOST.blocks / links.length))),
    entry("given", { given: stock.nextSerial - 1, proved: stock.proved, given_up: `${stock.givenUp}` }),
    ...inParts(open.slice(-MOST.marks), MAX_MARKS).map((part) =>
      entry("marks", { marks: part.map(({ serial, carved }) => ({ serial, offset: carved })) }),
    ),
    entry("accepted", { accepted: held.accepted }),
    ...listsOf(held.serials(), MOST.held).map((serials) => entry("held", { serials })),
    ...listsOf(
      spent.sort((a, b) => a - b),
      MOST.spent,
    ).map((serials) => entry("spent", { serials })),
    ...inParts(partly.slice(-MOST.witnessed), MAX_MARKS).map((part) =>
      entry("witnessed", { marks: part.map(({ serial, witness }) => ({ serial, offset: witness })) }),
    ),
    ...inParts(held.ages(MOST.aged), MAX_MARKS).map((ages) => entry("aged", { ages })),
    entry("end", {}),
  ];
}

const entry = (part: string, members: Readonly<Record<string, unknown>>): ExtensionEntry => ({
  name: NAME,
  part,
  ...members,
});

/** Numbers (ascending) as lists that each fit an entry; of more than `mostRuns` runs the last. */
function listsOf(ascending: Iterable<number>, mostRuns: number): string[] {
  const runs = formatRuns(ascending).split(",");
  return splitRuns(runs.slice(-mostRuns).join(","), MAX_LIST_CHARS);
}

function linkEntries(link: LinkInventory, most: number): ExtensionEntry[] {
  const { id, share, blockBytes, keepBlocks } = link.settings;
  const { settled } = link;
  link.announcedTo = settled;
  const copies = [...link.copies()].slice(-most);
  const position = settled ? { run: settled.run, highest: settled.sequence } : {};
  const marks = { ...padMembers("pad", link.pads.mark), ...padMembers("seen", link.padCopies.mark) };
  return [
    entry("link", {
      link: id,
      share: share.join(":"),
      block_bytes: blockBytes,
      keep: keepBlocks,
      ...position,
      ...marks,
    }),
    ...runsOf(copies)
      .slice(-MOST_MODULE_RUNS)
      .flatMap((run) =>
        listsOf(sequencesOf(copies, run), most).map((blocks) => entry("holds", { link: id, run, blocks })),
      ),
  ];
}

const padMembers = (name: "pad" | "seen", mark: PadMark | undefined): Readonly<Record<string, number>> =>
  mark === undefined
    ? {}
    : { [`${name}_run`]: mark.run, [`${name}_sequence`]: mark.sequence, [`${name}_offset`]: mark.offset };
