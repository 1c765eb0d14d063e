// A copy of a node's store, of the same start and epoch, that is put back: nothing but its peers can tell (design 7).
//
//     kept ──────── uses, each with who could have seen it ────────> put back
//                                                                       │ the first connection with each peer
//                              it has seen some of it: all that the two share is destroyed, and nothing is used again
//                              it has seen nothing: the ledger forgets these uses, for nobody knows of them
//
// What no other KM can see (keys within one KM, and of strict peers, what was fetched) is forgotten at once.

import type { KmId } from "../../src/core/ids.ts";
import type { BlockId, Range, Row } from "../../src/vault/vault.ts";
import type { Ledger } from "./ledger.ts";
import type { SimNode } from "./node.ts";

/** What a peer has seen of a use. `alone`: this is not used again, for it knows; `all`: nothing that the two share is. */
type Seen = "no" | "alone" | "all";

/** Something used while a copy was kept. */
interface Use {
  /** Whether the copy on the disk calls it used: marks run ahead. Asked when it is put back. */
  isCopied(): boolean;
  seen(): Seen;
  /** Nobody remembers it. */
  forget(): void;
}

type ByPeer = Map<SimNode | undefined, Use[]>;

export class Copies {
  readonly #ledger: Ledger;
  readonly #nodes = new Map<string, SimNode>();
  /** Of nodes of which a copy is kept: what they have used since, by who could see it. */
  readonly #kept = new Map<SimNode, ByPeer>();
  /** Of nodes whose copy was put back: what was not yet held against what each peer has seen. */
  readonly #pending = new Map<SimNode, ByPeer>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  kept(node: SimNode): void {
    this.#kept.set(node, new Map());
  }

  isKept(node: SimNode): boolean {
    return this.#kept.has(node);
  }

  /** The copy is of an earlier start, or not wanted: the token's counter would tell. */
  dropped(node: SimNode): void {
    this.#kept.delete(node);
  }

  /** A node that may be the peer of others. */
  enter(node: SimNode): void {
    this.#nodes.set(node.id, node);
  }

  emitted(node: SimNode, block: string, range: Range): void {
    if (!this.#kept.has(node)) return;
    const { peer = "", serial } = node.machine.rowOf("source", block as BlockId) ?? {};
    const forget = (): void => this.#ledger.forgetEmitted(node, block, range);
    this.#used(node, String(peer), { ...carved(node, String(peer), Number(serial), range), forget });
  }

  /** `forgotten` is told when nobody knows of it. */
  supplied(
    node: SimNode,
    {
      peer,
      serial,
      stream,
      id,
    }: { readonly peer: SimNode; readonly serial: number; readonly stream: string; readonly id: string },
    range: Range,
    forgotten: () => void,
  ): void {
    if (!this.#kept.has(node)) return;
    const forget = (): void => {
      this.#ledger.forgetSupplied(stream, range, id);
      forgotten();
    };
    this.#used(node, peer.id, { ...carved(node, peer.id, serial, range), forget });
  }

  tagged(node: SimNode, block: string, which: "hop" | "end"): void {
    if (!this.#kept.has(node)) return;
    const place = placeOf(block);
    const forget = (): void => this.#ledger.forgetTag(node, block, which);
    this.#used(node, place && acrossFrom(node, place.link), {
      isCopied: NEVER,
      seen: (at) => (place === undefined ? "no" : hasUsedCopy(at, place)),
      forget,
    });
  }

  /** Under pads of this node something leaves. */
  padded(node: SimNode, block: string, range: Range): void {
    const place = this.#kept.has(node) ? placeOf(block) : undefined;
    if (place === undefined) return;
    const forget = (): void => this.#ledger.forgetPad(node, block, range);
    const { peer, serial } = node.machine.rowOf("source", block as BlockId) ?? {};
    if (peer !== undefined) {
      // Key of the pool is a pad, too, for keys that several applications get.
      this.#used(node, String(peer), { ...carved(node, String(peer), Number(serial), range), forget });
      return;
    }
    const end = range.offset + range.length;
    this.#used(node, acrossFrom(node, place.link), {
      isCopied: () => isBefore(place, end, node.machine.row("pad", place.link)),
      seen: (at) => hasSeenPads(at, place, end),
      forget,
    });
  }

  /** What nobody else ever knows: that a key was fetched, or which key of a strict peer was supplied. */
  unseen(node: SimNode, forget: () => void): void {
    if (this.#kept.has(node)) this.#used(node, undefined, { isCopied: NEVER, seen: () => "no", forget });
  }

  /** `peer`: the only other KM that could see it. */
  #used(node: SimNode, peer: string | undefined, use: Omit<Use, "seen"> & { seen(at: SimNode): Seen }): void {
    const at = peer === node.id || node.isStrict((peer ?? "") as KmId) ? undefined : this.#nodes.get(peer ?? "");
    addTo(this.#kept.get(node), at, [{ ...use, seen: () => (at === undefined ? "no" : use.seen(at)) }]);
  }

  /** The copy is on the disk. */
  putBack(node: SimNode): void {
    const uses = this.#kept.get(node) ?? new Map<SimNode | undefined, Use[]>();
    this.#kept.delete(node);
    const pending: ByPeer = this.#pending.get(node) ?? new Map();
    for (const [peer, all] of uses) {
      const again = all.filter((use) => !use.isCopied());
      if (peer !== undefined) addTo(pending, peer, again);
      else for (const use of again) use.forget();
    }
    this.#pending.set(node, pending);
  }

  /** Two nodes connect: each hears what the other has seen of it. Returns how often a copy was, or was not, seen through. */
  connected(node: SimNode, peer: SimNode): readonly ("seen" | "unseen")[] {
    return [this.#judge(node, peer), this.#judge(peer, node)].filter((verdict) => verdict !== undefined);
  }

  #judge(node: SimNode, peer: SimNode): "seen" | "unseen" | undefined {
    const uses = this.#pending.get(node)?.get(peer);
    if (uses === undefined || peer.km === undefined) return undefined;
    this.#pending.get(node)?.delete(peer);
    const seen = uses.map((use) => use.seen());
    if (seen.includes("all")) return "seen";
    for (const [index, use] of uses.entries()) if (seen[index] === "no") use.forget();
    return "unseen";
  }
}

function addTo(map: ByPeer | undefined, peer: SimNode | undefined, uses: readonly Use[]): void {
  if (map === undefined) return;
  const known = map.get(peer);
  if (known === undefined) map.set(peer, [...uses]);
  else known.push(...uses);
}

const NEVER = (): boolean => false;

/** A range carved off a KMA-key. */
function carved(
  node: SimNode,
  peer: string,
  serial: number,
  range: Range,
): Pick<Use, "isCopied"> & { seen(at: SimNode): Seen } {
  const end = range.offset + range.length;
  const rowOf = () => node.machine.row("source", `${peer}/${serial}`);
  /** In the copy: what was only reserved there is given up at the start, and known to be so. */
  let wasThere = false;
  return {
    isCopied: () => {
      const row = rowOf();
      wasThere = row !== undefined && row.state !== "reserved";
      return wasThere && Number(row?.mark) >= end;
    },
    seen: (at) => {
      // What is too old meanwhile is carved no more; what the peer has no more, the source ends as a gap.
      const key = at.parts?.peers.get(node.id)?.held.get(serial);
      if (key === undefined || (wasThere && rowOf() === undefined)) return "alone";
      // It was told a mark beyond it, or has had a part of it fetched.
      return key.witness >= end || key.isTaken(range) ? "all" : "no";
    },
  };
}

interface Place {
  readonly link: string;
  readonly run: number;
  readonly sequence: number;
}

/** Where a link block lies; undefined for other blocks. */
function placeOf(block: string): Place | undefined {
  const [, link, run, sequence] = /^link:(.+):(\d+):(\d+)$/.exec(block) ?? [];
  return link === undefined ? undefined : { link, run: Number(run), sequence: Number(sequence) };
}

/** The node at the other end of a link. */
const acrossFrom = (node: SimNode, link: string): string | undefined =>
  node.settings.links.find(({ id }) => id === link)?.peer;

/** Whether the other end of a link has used its copy of a block: then this end uses its own no more. */
function hasUsedCopy(peer: SimNode, { link, run, sequence }: Place): Seen {
  const copies = [...(peer.parts?.links.get(link)?.copies() ?? [])];
  return copies.some((copy) => copy.run === run && copy.sequence === sequence) ? "no" : "alone";
}

/** Whether pads up to there have come to the other end. */
function hasSeenPads(peer: SimNode, { link, run, sequence }: Place, end: number): Seen {
  const mark = peer.parts?.links.get(link)?.padCopies.mark;
  if (mark === undefined || mark.run < run) return "no";
  if (mark.run > run || mark.sequence > sequence) return "all";
  return mark.sequence === sequence && mark.offset >= end ? "all" : "no";
}

/** Whether a link's own mark of pads, in its row, is beyond them. */
function isBefore({ run, sequence }: Place, end: number, row: Row | undefined): boolean {
  const [ownRun, ownSequence, ownOffset] = [row?.ownRun, row?.ownSequence, row?.ownOffset].map(Number);
  if (ownRun === undefined || ownSequence === undefined || ownOffset === undefined || Number.isNaN(ownRun))
    return false;
  if (ownRun !== run) return ownRun > run;
  return ownSequence > sequence || (ownSequence === sequence && ownOffset >= end);
}
