// What a KM lost by a kill, as its log tells, held against what was supplied before and after.

import { FIRST_OFFSET } from "../../../src/keys/common/key-id.ts";
import type { Km } from "./km.ts";
import type { Oracle, SuppliedRange } from "./oracle.ts";

/** An open KMA-key found at a start: carving goes on at the mark. */
interface Mark {
  readonly destination: string;
  readonly serial: number;
  readonly mark: number;
  readonly atMostBytes: number;
}

export interface Losses {
  /** Of each open KMA-key: the bytes between the last one supplied and the mark. */
  readonly lost: readonly (Mark & { readonly bytes: number })[];
  /** Bytes that the log counts as lost at this start, the reserved KMA-keys included. */
  readonly counted: number;
}

export class LossBook {
  readonly #oracle: Oracle;
  /** Every mark at which carving went on, by source, destination and serial. */
  readonly #marks = new Map<string, Set<number>>();

  constructor(oracle: Oracle) {
    this.#oracle = oracle;
  }

  /** Reads what the last start of a KM has logged from this byte on, before it has supplied anything. */
  note(km: Km, fromByte: number): Losses {
    const lines = km.logLines(fromByte);
    const marks = lines
      .filter(({ atMostBytes }) => atMostBytes !== undefined)
      .map((line): Mark => {
        const { peer, serial, mark, atMostBytes } = line;
        return {
          destination: String(peer),
          serial: Number(serial),
          mark: Number(mark),
          atMostBytes: Number(atMostBytes),
        };
      });
    for (const { destination, serial, mark } of marks) this.#marksOf(km.id, destination, serial).add(mark);
    const dropped = lines.filter(({ reason }) => reason === "lost_at_restart").map(({ bytes }) => Number(bytes));
    return {
      lost: marks.map((one) => ({ ...one, bytes: one.mark - this.#suppliedUpTo(km.id, one) })),
      counted: sum([...marks.map(({ atMostBytes }) => atMostBytes), ...dropped]),
    };
  }

  #marksOf(source: string, destination: string, serial: number): Set<number> {
    const name = `${source} ${destination} ${serial}`;
    const marks = this.#marks.get(name) ?? new Set();
    this.#marks.set(name, marks);
    return marks;
  }

  /** The end of what was supplied below a mark. */
  #suppliedUpTo(source: string, { destination, serial, mark }: Mark): number {
    const ends = this.#oracle.ranges(source, destination, serial).map(({ end }) => end);
    return Math.max(FIRST_OFFSET, ...ends.filter((end) => end <= mark));
  }

  /** Bytes between two supplied keys of one KMA-key: up to a mark, and elsewhere. */
  gaps(source: string, destination: string): { readonly atMarks: number; readonly elsewhere: number } {
    const gaps = { atMarks: 0, elsewhere: 0 };
    for (const serial of this.#oracle.serials(source, destination)) {
      const marks = this.#marksOf(source, destination, serial);
      for (const { start, end } of gapsBetween(this.#oracle.ranges(source, destination, serial))) {
        gaps[marks.has(end) ? "atMarks" : "elsewhere"] += end - start;
      }
    }
    return gaps;
  }
}

function gapsBetween(ranges: readonly SuppliedRange[]): SuppliedRange[] {
  const ordered = [...ranges].sort((a, b) => a.start - b.start);
  return ordered
    .map(({ start }, index) => ({ start: ordered[index - 1]?.end ?? FIRST_OFFSET, end: start }))
    .filter(({ start, end }) => end > start);
}

export const sum = (amounts: Iterable<number>): number => [...amounts].reduce((total, amount) => total + amount, 0);
