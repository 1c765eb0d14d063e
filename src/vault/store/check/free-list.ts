// Whether LMDB's list of free pages is one: whatever it names is written over, and a wrong length ends the process that writes.
//
// The list is a tree of its own, by transaction. Each value is a list of 8-byte numbers, in the form of the LMDB that we use:
//
//     count │ page │ 0 │ -3 │ page │ page │ 0 │ …       0: an empty slot     -3: three pages from the next number on

import { DamagedStore } from "./damaged-store.ts";

const NUMBER_BYTES = 8;

/**
 * `lastPage`: the last that was ever used. A free page that is in use would be written over.
 * @throws DamagedStore; RangeError when it has no count
 */
export function checkFreeList(list: Buffer, lastPage: bigint, isInUse: (page: bigint) => boolean): void {
  const count = list.readBigUInt64LE(0);
  if (count > BigInt(Math.floor(list.length / NUMBER_BYTES) - 1)) {
    throw new DamagedStore("a list of free pages is longer than its place");
  }
  let pages = 1n;
  for (let at = 1; at <= Number(count); at++) {
    const number = list.readBigInt64LE(at * NUMBER_BYTES);
    if (number < 0n) {
      pages = -number;
      continue;
    }
    const last = number + pages - 1n;
    if (number !== 0n && (number < 2n || last > lastPage)) {
      throw new DamagedStore(`pages ${number} to ${last} are said to be free, and the last is ${lastPage}`);
    }
    for (let page = number; number !== 0n && page <= last; page += 1n) {
      if (isInUse(page)) throw new DamagedStore(`page ${page} is said to be free, and is in use`);
    }
    pages = 1n;
  }
}
