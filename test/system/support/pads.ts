// Every pad that the KMs of a network have used, as their logs tell at level debug, and whether one was used twice.

import type { Km } from "./km.ts";

/** A range of a link block, in bytes. */
interface Pad {
  readonly link: string;
  readonly run: number;
  readonly sequence: number;
  readonly offset: number;
  readonly length: number;
}

/** All pads of all relays that were sent, over all starts. */
export const padsOf = (kms: readonly Km[]): Pad[] =>
  kms.flatMap((km) =>
    km
      .logLines()
      .flatMap(({ pads }) => (Array.isArray(pads) ? (pads as readonly Pad[]).map((pad) => ({ ...pad })) : [])),
  );

/** Ranges that overlap another of the same block, as text. */
export function usedTwice(pads: readonly Pad[]): string[] {
  const blocks = Map.groupBy(pads, ({ link, run, sequence }) => `${link}:${run}:${sequence}`);
  return [...blocks].flatMap(([block, ranges]) => {
    const sorted = ranges.toSorted((one, other) => one.offset - other.offset);
    return sorted.flatMap(({ offset, length }, at) => {
      const next = sorted[at + 1];
      return next !== undefined && next.offset < offset + length ? [`${block} from ${next.offset}`] : [];
    });
  });
}
