// What a key relay that leaves a node names of its link blocks, and whether the node's disk says that it is used.

import { isAfter } from "../../src/keys/common/block-position.ts";
import type { BlockId } from "../../src/vault/vault.ts";
import { HEADER_BYTES } from "./liar.ts";
import type { SimNode } from "./node.ts";

interface Named {
  readonly block: string;
  readonly isUsed: boolean;
}

interface PadText {
  readonly link: string;
  readonly run: number;
  readonly sequence: number;
  readonly offset: number;
  readonly length: number;
}

interface RelayText {
  readonly keys: readonly {
    readonly key_extension?: {
      readonly protection?: { readonly scheme: string; readonly pads?: readonly PadText[] } & Partial<PadText>;
    };
  }[];
}

export function namedBy(node: SimNode, frame: Buffer): readonly Named[] {
  const { keys } = JSON.parse(frame.toString("utf8", HEADER_BYTES)) as RelayText;
  return keys.flatMap(({ key_extension }) => {
    const { protection } = key_extension ?? {};
    if (protection === undefined) return [];
    if (protection.pads !== undefined) return protection.pads.map((pad) => namedPad(node, pad));
    const block = `link:${protection.link}:${protection.run}:${protection.sequence}` as BlockId;
    return [{ block, isUsed: node.machine.row("block", block) === undefined }];
  });
}

/** The mark of the link's pads lies behind it, or its block is off the disk. */
function namedPad({ machine }: SimNode, { link, run, sequence, offset, length }: PadText): Named {
  const block = `link:${link}:${run}:${sequence}`;
  const row = machine.row("pad", link);
  const mark = { run: Number(row?.ownRun ?? -1), sequence: Number(row?.ownSequence ?? -1) };
  const isSame = mark.run === run && mark.sequence === sequence;
  const isUsed = isAfter(mark, { run, sequence }) || (isSame && Number(row?.ownOffset) >= offset + length);
  return { block, isUsed };
}
