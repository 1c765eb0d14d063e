// Disk space taken in advance, so that a full disk refuses blocks but never a mark or a destruction.

import { closeSync, fstatSync, openSync, writeSync } from "node:fs";

/** What LMDB says of its file. */
export interface FilePages {
  readonly pageBytes: number;
  /** From the beginning of the file to the last page in use. */
  readonly pages: number;
  /** Of these, pages that hold something. */
  readonly used: number;
}

/** Kept for changes that bring no block: even a removal writes new pages before it frees old ones. */
const RESERVE_BYTES = 512 * 1024;
/** The file grows by so much more than is needed now. */
const STEP_BYTES = 256 * 1024;
/** What one change writes beside its values. */
const TREE_BYTES = 64 * 1024;

/**
 *     file: | pages in use, some of them free again | headroom: zeros that the file system has given us already |
 *
 * LMDB writes behind its last page what does not fit its free pages; these bytes are there before it needs them. (File
 * systems that never overwrite in place give no such promise.)
 */
export class Headroom {
  readonly #file: number;
  readonly #pages: () => FilePages;

  constructor(path: string, pages: () => FilePages) {
    this.#file = openSync(path, "r+");
    this.#pages = pages;
    this.takes(0);
  }

  /** Whether values of so many bytes may be written; called while nothing is being written. */
  takes(bytes: number): boolean {
    const needed = bytes + TREE_BYTES;
    const { pageBytes, pages, used } = this.#pages();
    const inUse = pages * pageBytes;
    const size = fstatSync(this.#file).size;
    if (size - inUse >= needed + RESERVE_BYTES) return true;
    const room = this.#extend(size, inUse + needed + RESERVE_BYTES + STEP_BYTES) - inUse;
    if (room >= needed + RESERVE_BYTES) return true;
    // The disk is full: only if it should fit the free pages, and would still fit the headroom.
    return room >= needed + RESERVE_BYTES / 2 && (pages - used) * pageBytes >= 2 * needed;
  }

  close(): void {
    closeSync(this.#file);
  }

  /** Returns how long the file is then. */
  #extend(from: number, to: number): number {
    const zeros = new Uint8Array(Math.max(0, to - from));
    try {
      return from + writeSync(this.#file, zeros, 0, zeros.length, from);
    } catch {
      return from;
    }
  }
}
