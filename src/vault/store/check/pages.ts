// The pages of LMDB's file: read by ordinary reads, each of them in one place of one tree.

import { readSync } from "node:fs";
import { DamagedStore } from "./damaged-store.ts";

// mdb.c: MDB_page_header, MDB_db, MDB_node, MDB_ovpage; all little-endian on our processors.
const HEADER_BYTES = 24;
const AT_FLAGS = 18;
const AT_LOWER = 20;
const AT_UPPER = 22;
const PAGE = { branch: 1, leaf: 2 } as const;
const NODE_BYTES = 8;
const NODE = { large: 1, tree: 2 } as const;
const ROOT_IN_TREE = 40;
const TREE_BYTES = 48;
const LARGE_BYTES = 24;

/** The root of a tree that is empty. */
export const NO_PAGE = 0xffff_ffff_ffff_ffffn;

/** A value in a leaf: in the leaf itself, or in pages of its own. */
interface Value {
  readonly bytes: number;
  /** Of the file. */
  readonly at: number;
}

/** The pages of one file, and which of them are in use. */
export class Pages {
  readonly #file: number;
  readonly #fileBytes: number;
  readonly #pageBytes: number;
  readonly #inUse: Uint8Array;

  constructor(file: number, fileBytes: number, pageBytes: number) {
    this.#file = file;
    this.#fileBytes = fileBytes;
    this.#pageBytes = pageBytes;
    this.#inUse = new Uint8Array(Math.floor(fileBytes / pageBytes));
  }

  /** Whether a tree that was walked has it. */
  isInUse(page: bigint): boolean {
    return this.#inUse[Number(page)] === 1;
  }

  /** Reads a tree, and the trees in its values. @returns where its own values are @throws DamagedStore, RangeError */
  walk(root: bigint): Value[] {
    const values: Value[] = [];
    const waiting = [root].filter((page) => page !== NO_PAGE);
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      const page = this.#read(at);
      const isLeaf = flagsOf(page) === PAGE.leaf;
      for (const offset of offsetsOf(page)) {
        const node = page.subarray(offset);
        const [low, kind] = [node.readUInt32LE(0), node.readUInt16LE(4)];
        if (!isLeaf) {
          waiting.push(BigInt(low) | (BigInt(kind) << 32n));
          continue;
        }
        values.push(this.#value(node, low, Number(at) * this.#pageBytes + offset));
        const child = (kind & NODE.tree) === 0 ? NO_PAGE : treeIn(node, low);
        if (child !== NO_PAGE) waiting.push(child);
      }
    }
    return values;
  }

  /** @throws DamagedStore */
  read({ bytes, at }: Value): Buffer {
    const value = at + bytes > this.#fileBytes ? undefined : Buffer.alloc(bytes);
    if (value === undefined || readSync(this.#file, value, 0, bytes, at) !== bytes) {
      throw new DamagedStore(`the file ends before what byte ${at} begins`);
    }
    return value;
  }

  #read(at: bigint): Buffer {
    this.#take(at, 1n);
    const page = this.read({ bytes: this.#pageBytes, at: Number(at) * this.#pageBytes });
    const flags = flagsOf(page);
    if (page.readBigUInt64LE(0) !== at || (flags !== PAGE.branch && flags !== PAGE.leaf)) {
      throw new DamagedStore(`page ${at} is not as it was written`);
    }
    return page;
  }

  /** `at`: of the node in the file. */
  #value(node: Buffer, bytes: number, at: number): Value {
    const inNode = NODE_BYTES + node.readUInt16LE(6);
    const isLarge = (node.readUInt16LE(4) & NODE.large) !== 0;
    if (inNode + (isLarge ? LARGE_BYTES : bytes) > node.length) throw new RangeError("a value goes beyond its page");
    if (!isLarge) return { bytes, at: at + inNode };
    const first = node.readBigUInt64LE(inNode);
    this.#take(first, node.readBigUInt64LE(inNode + 16));
    return { bytes, at: Number(first) * this.#pageBytes + HEADER_BYTES };
  }

  #take(first: bigint, count: bigint): void {
    const all = BigInt(this.#inUse.length);
    if (first < 2n || count > all || first + count > all) {
      throw new DamagedStore(`pages ${first} to ${first + count - 1n} are wanted, and the file ends at ${all}`);
    }
    const pages = this.#inUse.subarray(Number(first), Number(first + count));
    if (pages.includes(1)) throw new DamagedStore(`pages ${first} to ${first + count - 1n} are in two places`);
    pages.fill(1);
  }
}

const flagsOf = (page: Buffer): number => page.readUInt16LE(AT_FLAGS) & (PAGE.branch | PAGE.leaf);

/** Where its nodes begin. @throws DamagedStore, RangeError */
function* offsetsOf(page: Buffer): Iterable<number> {
  const [lower, upper] = [page.readUInt16LE(AT_LOWER), page.readUInt16LE(AT_UPPER)];
  if (lower > upper || upper > page.length - HEADER_BYTES) {
    throw new DamagedStore(`page ${page.readBigUInt64LE(0)} is not as it was written`);
  }
  for (let entry = 0; entry < lower; entry += 2) yield page.readUInt16LE(HEADER_BYTES + entry) + HEADER_BYTES;
}

/** The root of the tree that a leaf's node holds, or NO_PAGE. @throws RangeError */
function treeIn(node: Buffer, bytes: number): bigint {
  if (bytes !== TREE_BYTES) throw new RangeError("a tree is not as it was written");
  return node.readBigUInt64LE(NODE_BYTES + node.readUInt16LE(6) + ROOT_IN_TREE);
}
