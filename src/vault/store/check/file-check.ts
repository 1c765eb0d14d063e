// Whether LMDB's file can be mapped: a page that is looked for behind its end would end the process with SIGBUS.
//
// LMDB has no checksums and believes every page number that it reads. So before it maps the file, its two meta pages and
// the pages of its trees are read by ordinary reads. That tells a file that was cut or overwritten. A flipped bit in a value is
// not noticed here: a record has a tag of its own.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";

// mdb.c: MDB_page_header, MDB_meta behind it, MDB_db, MDB_node, MDB_ovpage; all little-endian on our processors.
const HEADER_BYTES = 24;
const META_BYTES = 168;
const AT_FLAGS = 18;
const AT_LOWER = 20;
const AT_UPPER = 22;
const META = { magic: 24, version: 28, pageBytes: 48, freeRoot: 88, mainRoot: 136, transaction: 152 } as const;
const MAGIC = 0xbeef_c0de;
const VERSION = 2;
const PAGE = { branch: 1, leaf: 2, meta: 8 } as const;
const NODE_BYTES = 8;
const NODE = { large: 1, tree: 2 } as const;
const ROOT_IN_TREE = 40;
const TREE_BYTES = 48;
const LARGE_BYTES = 24;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;

/** The file is not as LMDB writes it; the message says where. */
export class DamagedStore extends Error {
  override readonly name = "DamagedStore";
}

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
  const { pageBytes, roots } = second.transaction > first.transaction ? second : first;
  const pages = Math.floor(size / pageBytes);
  const waiting = roots.filter((root) => root !== NO_PAGE);
  const seen = new Set<bigint>();
  const page = Buffer.alloc(pageBytes);
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    if (at < 2n || at >= BigInt(pages)) throw new DamagedStore(`page ${at} is wanted, and the file ends at ${pages}`);
    if (seen.has(at)) throw new DamagedStore(`page ${at} is in two places`);
    seen.add(at);
    if (readSync(file, page, 0, pageBytes, Number(at) * pageBytes) !== pageBytes || page.readBigUInt64LE(0) !== at) {
      throw new DamagedStore(`page ${at} is not as it was written`);
    }
    for (const next of pagesUnder(page, BigInt(pages))) waiting.push(next);
  }
}

interface Meta {
  readonly pageBytes: number;
  readonly transaction: bigint;
  readonly roots: readonly bigint[];
}

function readMeta(file: number, at: number): Meta {
  const page = Buffer.alloc(META_BYTES);
  const whole = readSync(file, page, 0, META_BYTES, at) === META_BYTES;
  const pageBytes = page.readUInt32LE(META.pageBytes);
  const known =
    page.readUInt32LE(META.magic) === MAGIC &&
    (page.readUInt32LE(META.version) & 0xffff) === VERSION &&
    (page.readUInt16LE(AT_FLAGS) & PAGE.meta) !== 0 &&
    [4096, 8192, 16_384, 32_768, 65_536].includes(pageBytes);
  if (!whole || !known) throw new DamagedStore(`its meta page at byte ${at} is not as it was written`);
  const roots = [page.readBigUInt64LE(META.freeRoot), page.readBigUInt64LE(META.mainRoot)];
  return { pageBytes, transaction: page.readBigUInt64LE(META.transaction), roots };
}

/** Pages of trees that this one names. @throws DamagedStore, RangeError */
function* pagesUnder(page: Buffer, pages: bigint): Iterable<bigint> {
  const flags = page.readUInt16LE(AT_FLAGS) & (PAGE.branch | PAGE.leaf);
  const [lower, upper] = [page.readUInt16LE(AT_LOWER), page.readUInt16LE(AT_UPPER)];
  if ((flags !== PAGE.branch && flags !== PAGE.leaf) || lower > upper || upper > page.length - HEADER_BYTES) {
    throw new DamagedStore(`page ${page.readBigUInt64LE(0)} is not as it was written`);
  }
  for (let entry = 0; entry < lower; entry += 2) {
    const node = page.subarray(page.readUInt16LE(HEADER_BYTES + entry) + HEADER_BYTES);
    const [low, kind] = [node.readUInt32LE(0), node.readUInt16LE(4)];
    if (flags === PAGE.branch) yield BigInt(low) | (BigInt(kind) << 32n);
    else {
      const child = treeIn(node, { bytes: low, kind }, pages);
      if (child !== NO_PAGE) yield child;
    }
  }
}

/** The root of the tree that a leaf's node holds, or NO_PAGE. */
function treeIn(
  node: Buffer,
  { bytes, kind }: { readonly bytes: number; readonly kind: number },
  pages: bigint,
): bigint {
  const at = NODE_BYTES + node.readUInt16LE(6);
  const large = (kind & NODE.large) !== 0;
  const inPage = large ? LARGE_BYTES : bytes;
  if (at + inPage > node.length) throw new RangeError("a value goes beyond its page");
  if (large) {
    const [first, count] = [node.readBigUInt64LE(at), node.readBigUInt64LE(at + 16)];
    if (first < 2n || count > pages || first + count > pages) {
      throw new DamagedStore(`pages ${first} to ${first + count} are wanted, and the file ends at ${pages}`);
    }
  }
  if ((kind & NODE.tree) === 0) return NO_PAGE;
  if (bytes !== TREE_BYTES) throw new RangeError("a tree is not as it was written");
  return node.readBigUInt64LE(at + ROOT_IN_TREE);
}
