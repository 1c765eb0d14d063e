// What befalls a store's file: each way in which disks and people damage one.

import { readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";

const PAGE = 4096;
const LEAF = 2;
const LARGE = 1;

const rewritten = (file: string, change: (bytes: Buffer) => void): void => {
  const bytes = readFileSync(file);
  change(bytes);
  writeFileSync(file, bytes);
};

/** Leaves that say of each block's record that it has 2 GiB: no page is wrong, and whoever reads one dies of it. */
function lengthen(bytes: Buffer): void {
  for (let at = 2 * PAGE; at + PAGE <= bytes.length; at += PAGE) {
    if (bytes.readUInt16LE(at + 18) !== LEAF || bytes.readBigUInt64LE(at) !== BigInt(at / PAGE)) continue;
    for (let entry = 0; entry < bytes.readUInt16LE(at + 20); entry += 2) {
      const node = at + 24 + bytes.readUInt16LE(at + 24 + entry);
      if (node + 8 < bytes.length && (bytes.readUInt16LE(node + 4) & LARGE) !== 0)
        bytes.writeUInt32LE(0x7fff_ffff, node);
    }
  }
}

export const DAMAGE = {
  "cut to its half": (file: string) => truncateSync(file, Math.floor(statSync(file).size / 2 / PAGE) * PAGE),
  "with both meta pages overwritten": (file: string) => rewritten(file, (bytes) => bytes.fill(0, 0, 2 * PAGE)),
  "with every page but the meta pages overwritten": (file: string) =>
    rewritten(file, (bytes) => bytes.fill(0xa5, 2 * PAGE)),
  "with records that reach beyond its end": (file: string) => rewritten(file, lengthen),
} as const;
