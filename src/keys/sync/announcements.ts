// What the other KM is told after the state exchange: marks that have moved, serials given and given up, blocks that have arrived.

import { formatRuns, splitRuns } from "../../core/text/runs.ts";
import { type BlockPosition, isAfter, sequencesOf } from "../common/block-position.ts";
import { ANNOUNCE_EVERY, whyTooFar } from "../common/bounds.ts";
import type { Context } from "../common/context.ts";
import { inParts } from "../common/extension-fields.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import type { Peer } from "../peers/peer.ts";
import type { ExtensionEntry, PeerConnection } from "../ports/peers.ts";
import { MAX_LIST_CHARS, MAX_MARKS } from "./state-reader.ts";

/** How long the other KM may take to acknowledge what it is told. */
export const TELL_TIMEOUT_MS = 10_000;
/** Marks and arrivals are told at most 20 times a second. */
const TELL_EVERY_MS = 50;

/** What is told on one connection, some at a time, until it ends. */
export class Announcements {
  readonly #context: Pick<Context, "clock">;
  readonly #peer: Peer;
  readonly #connection: PeerConnection;
  readonly #fail: (sentence: string, thrown: unknown) => void;
  #stop: (() => void) | undefined;
  #telling = false;

  /** `fail`: the other KM does not take them. */
  constructor(
    context: Pick<Context, "clock">,
    peer: Peer,
    connection: PeerConnection,
    fail: (sentence: string, thrown: unknown) => void,
  ) {
    this.#context = context;
    this.#peer = peer;
    this.#connection = connection;
    this.#fail = fail;
  }

  /** Marks or arrivals have moved: they are told with the next that go. Nothing is set when nothing has. */
  soon(): void {
    if (this.#telling || this.#stop !== undefined || !this.#peer.isSynchronised) return;
    if (!this.#hasNews) return;
    this.#stop = this.#context.clock.after(TELL_EVERY_MS, () => {
      this.#stop = undefined;
      void this.#tell();
    });
  }

  get #hasNews(): boolean {
    const { stock, links, hasAbandoned } = this.#peer;
    if (stock.hasMoved || hasAbandoned || stock.nextSerial - 1 - stock.announced >= ANNOUNCE_EVERY) return true;
    return links.some((link) => hasArrivals(link) || hasCaughtUp(link));
  }

  /** The peer knows that serials up to this one were given. */
  #heardOf(given: number): void {
    const { stock } = this.#peer;
    const wasFar = given - stock.announced >= ANNOUNCE_EVERY;
    stock.announced = Math.max(stock.announced, given);
    if (wasFar) this.#peer.relayMore();
  }

  async #tell(): Promise<void> {
    if (this.#peer.connection !== this.#connection) return;
    if (this.#peer.links.some(hasCaughtUp))
      return this.#connection.close("a link's module has caught up with the peer's");
    const { stock } = this.#peer;
    const marks = stock.takeMoved();
    const given = stock.nextSerial - 1;
    const arrivals = this.#peer.links.flatMap(arrivedEntries);
    const givenUp = this.#peer.hasAbandoned ? `${this.#peer.stock.givenUp}` : "";
    this.#peer.hasAbandoned = false;
    const others = [
      ...splitRuns(givenUp, MAX_LIST_CHARS).map((serials) => ({ name: "qkm_given_up", serials })),
      ...arrivals,
    ];
    const isDue = others.length > 0 || given - stock.announced >= ANNOUNCE_EVERY;
    const entries = [...markEntries(marks, given > stock.announced ? given : undefined, isDue), ...others];
    if (entries.length === 0) return;
    this.#telling = true;
    try {
      await this.#connection.tell(entries, TELL_TIMEOUT_MS);
      stock.givenUp.told(givenUp);
      this.#heardOf(given);
    } catch (thrown) {
      this.#peer.hasAbandoned ||= givenUp !== "";
      this.#fail("the peer does not take marks and arrivals", thrown);
    }
    this.#telling = false;
    // What has moved meanwhile.
    this.soon();
  }

  /** Nothing more is told. */
  end(): void {
    this.#stop?.();
  }
}

/** Whether what a peer told of a link is near now to what its module has brought here. */
const hasCaughtUp = ({ disbelieved, highest }: LinkInventory): boolean =>
  disbelieved !== undefined && whyTooFar(highest, disbelieved) === undefined;

/** Whether blocks have become durable here since it was last told. */
const hasArrivals = ({ settled, announcedTo }: LinkInventory): boolean =>
  settled !== undefined && (announcedTo === undefined || isAfter(settled, announcedTo));

/**
 * Marks that have moved, and the highest serial given, if it is news: with whatever is told, since what was told is taken
 * to be known; `isDue`: without marks, too.
 */
function markEntries(
  marks: readonly { readonly serial: number; readonly offset: number }[],
  given: number | undefined,
  isDue: boolean,
): ExtensionEntry[] {
  const [first = [], ...more] = inParts(marks, MAX_MARKS);
  if (first.length === 0 && !(isDue && given !== undefined)) return [];
  return [
    { name: "qkm_marks", marks: first, ...(given !== undefined && { given }) },
    ...more.map((part) => ({ name: "qkm_marks", marks: part })),
  ];
}

/** Blocks told of at a time, so that an entry fits any frame. */
const MAX_ARRIVALS = 500;

/** What has arrived since it was last told, run by run: which of the peer's blocks we hold between two places. */
function arrivedEntries(link: LinkInventory): ExtensionEntry[] {
  const { settled: last, announcedTo } = link;
  if (last === undefined || !hasArrivals(link)) return [];
  const fresh = [...link.copies()]
    .filter((block) => announcedTo === undefined || isAfter(block, announcedTo))
    .slice(0, MAX_ARRIVALS);
  const settled = (fresh.length === MAX_ARRIVALS ? fresh.at(-1) : undefined) ?? last;
  const passed = [...(announcedTo ? [announcedTo] : []), ...fresh, settled].map(({ run }) => run);
  link.announcedTo = settled;
  return [...new Set(passed)].map((run) => arrivedEntry(link, run, fresh, { settled, announcedTo }));
}

function arrivedEntry(
  link: LinkInventory,
  run: number,
  fresh: readonly BlockPosition[],
  { settled, announcedTo }: { readonly settled: BlockPosition; readonly announcedTo: BlockPosition | undefined },
): ExtensionEntry {
  const from = announcedTo?.run === run ? announcedTo.sequence + 1 : 0;
  // A run that is over brings nothing more.
  const to = run === settled.run ? settled.sequence : Number.MAX_SAFE_INTEGER;
  return { name: "qkm_arrived", link: link.settings.id, run, from, to, blocks: formatRuns(sequencesOf(fresh, run)) };
}
