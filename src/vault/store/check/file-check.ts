// Whether LMDB's file can be mapped: a page that is looked for behind its end would end the process with SIGBUS.
//
// LMDB has no checksums and believes every page number that it reads. So before it maps the file, its two meta pages and
// the pages of its trees are read by ordinary reads. That tells a file that was cut or overwritten. A flipped bit in a value is
// not noticed here: a record has a tag of its own.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { DamagedStore } from "./damaged-store.ts";
import { checkFreeList } from "./free-list.ts";
import { Pages } from "./pages.ts";

// mdb.c: MDB_meta behind a MDB_page_header; all little-endian on our processors.
const META_BYTES = 168;
const AT_FLAGS = 18;
const META_FLAG = 8;
const META = {
  magic: 24,
  version: 28,
  pageBytes: 48,
  freeRoot: 88,
  mainRoot: 136,
  lastPage: 144,
  transaction: 152,
} as const;
const MAGIC = 0xbeef_c0de;
const VERSION = 2;

/**
 * Reads the meta pages and the pages of the trees, a few hundred for thousands of records. A file that is not there or empty
 * is sound: LMDB begins it anew.
 * @throws DamagedStore; Error of the file system
 */
export function checkFile(path: string): void {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return;
    throw thrown;
  }
  try {
    const { size } = fstatSync(file);
    if (size > 0) walk(file, size);
  } catch (thrown) {
    // A node that points out of its page.
    if (thrown instanceof RangeError) throw new DamagedStore("a page is not as it was written", { cause: thrown });
    if ((thrown as NodeJS.ErrnoException).code === "EIO") {
      throw new DamagedStore("the disk cannot read it", { cause: thrown });
    }
    throw thrown;
  } finally {
    closeSync(file);
  }
}

function walk(file: number, size: number): void {
  const first = readMeta(file, 0);
  const second = readMeta(file, first.pageBytes);
  if (second.pageBytes !== first.pageBytes) throw new DamagedStore("its meta pages differ");
  const { pageBytes, freeRoot, mainRoot, lastPage } = second.transaction > first.transaction ? second : first;
  const pages = new Pages(file, size, pageBytes);
  const lists = pages.walk(freeRoot);
  pages.walk(mainRoot);
  for (const list of lists) checkFreeList(pages.read(list), lastPage, (page) => pages.isInUse(page));
}

interface Meta {
  readonly pageBytes: number;
  readonly transaction: bigint;
  readonly freeRoot: bigint;
  readonly mainRoot: bigint;
  /** That was ever used; the file may end before it. */
  readonly lastPage: bigint;
}

function readMeta(file: number, at: number): Meta {
  const page = Buffer.alloc(META_BYTES);
  const whole = readSync(file, page, 0, META_BYTES, at) === META_BYTES;
  const pageBytes = page.readUInt32LE(META.pageBytes);
  const known =
    page.readUInt32LE(META.magic) === MAGIC &&
    (page.readUInt32LE(META.version) & 0xffff) === VERSION &&
    (page.readUInt16LE(AT_FLAGS) & META_FLAG) !== 0 &&
    [4096, 8192, 16_384, 32_768, 65_536].includes(pageBytes);
  if (!whole || !known) throw new DamagedStore(`its meta page at byte ${at} is not as it was written`);
  const number = (offset: number): bigint => page.readBigUInt64LE(offset);
  return {
    pageBytes,
    transaction: number(META.transaction),
    freeRoot: number(META.freeRoot),
    mainRoot: number(META.mainRoot),
    lastPage: number(META.lastPage),
  };
}
