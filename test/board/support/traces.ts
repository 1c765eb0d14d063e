// Looks for keys that were handed out in what an appliance has on its disk and in its memory.

import { createReadStream, rmSync } from "node:fs";
import { join } from "node:path";
import { seededKey } from "../../../drivers/simulator/material.ts";
import { Secrets } from "../../memory/support/secrets.ts";
import type { HandedKey } from "../../system/support/doors.ts";
import type { Appliance } from "./appliance.ts";

/** A file is read in such pieces; each begins with the end of the one before. */
const PIECE = 16 << 20;
const OVERLAP = 4_096;
const MOST_NAMED = 20;

export interface Traces {
  /** Where bytes of a key lie. */
  readonly keys: readonly string[];
  /** How often the text was found that must be there, so that the search is known to see. */
  readonly witness: number;
  readonly bytes: number;
}

/** XSAVE's area (Intel SDM 1, 13.4): where the registers lie in it, MXCSR as Linux sets it but for its flags, and its mask. */
const [XMM_AT, YMM_END, MXCSR_AT, MASK_AT] = [160, 832, 24, 28];
const MXCSR = 0x1f80;
const MASKS = new Set([0xffff, 0x2ffff]);
/** What is looked at before a hit is no longer: nearer to the beginning of a piece, a hit was seen at the end of the one before. */
const MOST_BEFORE = 1_024;

/** Where the kernel keeps the vector registers of a thread that does not run: what was in them last is no copy of ours. */
export function isInSavedRegisters(memory: Buffer, at: number): boolean {
  for (let area = at - XMM_AT; area >= Math.max(0, at - YMM_END + 8); area -= 8) {
    const isMxcsr = (memory.readUInt32LE(area + MXCSR_AT) & ~0x3f) === MXCSR;
    if (isMxcsr && MASKS.has(memory.readUInt32LE(area + MASK_AT))) return true;
  }
  return false;
}

/** Every key raw, in base64 and in hex, but for what lies at places that are excepted. */
export async function tracesIn(
  file: string,
  keys: readonly HandedKey[],
  witness: string,
  isExcepted: (bytes: Buffer, at: number) => boolean = () => false,
): Promise<Traces> {
  const secrets = new Secrets();
  for (const { id, key } of keys) secrets.addKey(`key ${id}`, key);
  const found: string[] = [];
  let [seen, bytes, before] = [0, 0, Buffer.alloc(0)];
  for await (const chunk of createReadStream(file, { highWaterMark: PIECE })) {
    const fresh: Buffer = chunk;
    const piece = Buffer.concat([before, fresh]);
    const from = bytes - before.length;
    const seenBefore = before.length - MOST_BEFORE;
    secrets.needles.find(piece, ({ secret, spelling }, offset, at) => {
      if (at < seenBefore || isExcepted(piece, at)) return;
      if (found.length < MOST_NAMED)
        found.push(`${secrets.name(secret)} from ${offset} on, ${spelling}, at ${from + at}`);
    });
    for (let at = piece.indexOf(witness); at >= 0; at = piece.indexOf(witness, at + 1)) seen += 1;
    bytes += fresh.length;
    before = piece.subarray(-OVERLAP);
  }
  return { keys: [...new Set(found)], witness: seen, bytes };
}

/** All memory of a machine that runs, in a file that is gone afterwards. It stands still meanwhile. */
export async function tracesInMemory(
  appliance: Appliance,
  { dir, keys, witness }: { readonly dir: string; readonly keys: readonly HandedKey[]; readonly witness: string },
): Promise<Traces> {
  const file = join(dir, `${appliance.id}.memory`);
  try {
    await appliance.guest.qmp.ask("dump-guest-memory", { paging: false, protocol: `file:${file}` });
    return await tracesIn(file, keys, witness, isInSavedRegisters);
  } finally {
    rmSync(file, { force: true });
  }
}

interface MadeBlocks {
  readonly seed: string;
  readonly run: number;
  /** How many, from the first on. */
  readonly blocks: number;
  readonly blockBytes: number;
}

/** Keys of which no byte is of blocks that a module of this seed has made: the machine that simulates it has those. */
export function notOf(keys: readonly HandedKey[], { seed, run, blocks, blockBytes }: MadeBlocks): readonly HandedKey[] {
  const make = seededKey(seed);
  const all = Buffer.concat(Array.from({ length: blocks }, (_, sequence) => make(run, sequence, blockBytes)));
  return keys.filter(({ key }) => !all.includes(key));
}
