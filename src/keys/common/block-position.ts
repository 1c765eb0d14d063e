// Places in the stream of a link's blocks, and marks in it.

/** A position in a link's stream of blocks. */
export interface BlockPosition {
  readonly run: number;
  readonly sequence: number;
}

/** A position in a link's stream of bytes. As a mark: everything before it is used, or never will be. */
export interface PadMark extends BlockPosition {
  /** In bytes, up to the length of the block. */
  readonly offset: number;
}

/** Whether `a` comes later in the link's stream than `b`. */
export const isAfter = (a: BlockPosition, b: BlockPosition): boolean =>
  a.run > b.run || (a.run === b.run && a.sequence > b.sequence);

/** Whether both name the same block of a link. */
export const isSamePosition = (a: BlockPosition, b: BlockPosition): boolean =>
  a.run === b.run && a.sequence === b.sequence;

/** Whether `a` lies further in the stream than `b`; no mark at all lies before everything. */
export function isBeyond(a: PadMark | undefined, b: PadMark | undefined): boolean {
  if (a === undefined || b === undefined) return a !== undefined;
  return isAfter(a, b) || (isSamePosition(a, b) && a.offset > b.offset);
}

/** Sequences of the blocks of one run, ascending. */
export function sequencesOf(blocks: Iterable<BlockPosition>, run: number): number[] {
  return [...blocks]
    .filter((block) => block.run === run)
    .map((block) => block.sequence)
    .sort((a, b) => a - b);
}

/** The runs that occur, ascending. */
export const runsOf = (blocks: Iterable<BlockPosition>): number[] =>
  [...new Set([...blocks].map((block) => block.run))].sort((a, b) => a - b);
