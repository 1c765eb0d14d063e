// Places in the stream of a link's blocks, and marks in it.

/** A place in a link's stream of blocks. */
export interface Place {
  readonly run: number;
  readonly sequence: number;
}

/** A place in a link's stream of bytes. As a mark: everything before it is used, or never will be. */
export interface PadMark extends Place {
  /** In bytes, up to the length of the block. */
  readonly offset: number;
}

export const isAfter = (a: Place, b: Place): boolean => a.run > b.run || (a.run === b.run && a.sequence > b.sequence);

export const isSamePlace = (a: Place, b: Place): boolean => a.run === b.run && a.sequence === b.sequence;

/** Whether `a` lies further in the stream than `b`; no mark at all lies before everything. */
export function isBeyond(a: PadMark | undefined, b: PadMark | undefined): boolean {
  if (a === undefined || b === undefined) return a !== undefined;
  return isAfter(a, b) || (isSamePlace(a, b) && a.offset > b.offset);
}
