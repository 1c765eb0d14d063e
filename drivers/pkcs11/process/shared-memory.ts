// Memory that two processes share, locked in both: key bytes cross to the process of the token in it, and nowhere else.
//
// A pipe would leave them in the kernel's buffers, a message in two heaps. The memory is anonymous (a memfd), so that no
// file system sees it; the child gets its descriptor when it is started, and maps the same pages.

import { Fault } from "../../../src/core/fault.ts";
import { type Libc, loadLibc } from "../../../src/core/memory/libc.ts";

/** Jobs that can be under way at once. */
export const PLACES = 4;
/** The longest plaintext of one job, with the tag's room that tokens want when they open. */
export const LONGEST_BYTES = 32_768 + 64;
const PLACE_BYTES = 2 * LONGEST_BYTES;
const PAGE_BYTES = 4096;
/** Of one region: 65 pages. */
const REGION_BYTES = Math.ceil((PLACES * PLACE_BYTES) / PAGE_BYTES) * PAGE_BYTES;

// <sys/mman.h>, <sys/prctl.h>; the same on all Linux processors that Node runs on.
const MFD_CLOEXEC = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const MADV_DONTDUMP = 16;
const PR_SET_PDEATHSIG = 1;

/** What one job works on. `plain` is key and is zeroed after the job; `sealed` is not secret. */
export interface Place {
  readonly plain: Buffer;
  readonly sealed: Buffer;
}

/** A region of shared, locked memory, cut into places. */
export interface Region {
  readonly fd: number;
  readonly places: readonly Place[];
  zero(): void;
}

/** Whether memory that cannot be locked may be used. */
export interface RegionOptions {
  /** On a development board: memory that cannot be locked is used all the same. */
  readonly allowUnlocked: boolean;
}

// Regions are never unmapped, since a view that somebody kept would then end the process: they are used again.
const idle: Region[] = [];

/** A zeroed region for one child. @throws Fault MEMORY_NOT_LOCKED */
export function borrowRegion(options: RegionOptions): Region {
  const known = idle.pop();
  if (known !== undefined) return known;
  const { functions, ffi } = libc();
  const name = Buffer.from("qkm-token\0");
  const fd = functions.memfd_create(ffi.getRawPointer(name), MFD_CLOEXEC);
  if (fd < 0 || functions.ftruncate(fd, BigInt(REGION_BYTES)) !== 0) throw unusable("cannot be made");
  return mapRegion(fd, options);
}

/** Gives it back; whoever used it has ended. */
export function returnRegion(region: Region): void {
  region.zero();
  idle.push(region);
}

/** The region behind a descriptor that was inherited. @throws Fault MEMORY_NOT_LOCKED */
export function mapRegion(fd: number, { allowUnlocked }: RegionOptions): Region {
  const { functions, ffi } = libc();
  const bytes = BigInt(REGION_BYTES);
  const address = functions.mmap(0n, bytes, PROT_READ_WRITE, MAP_SHARED, fd, 0n);
  if (address === MAP_FAILED) throw unusable("cannot be mapped");
  functions.madvise(address, bytes, MADV_DONTDUMP);
  if (functions.mlock(address, bytes) !== 0 && !allowUnlocked) {
    throw unusable("cannot be locked: raise the limit (ulimit -l, LimitMEMLOCK=)");
  }
  const memory = Buffer.from(ffi.toArrayBuffer(address, REGION_BYTES, false));
  const cut = (at: number): Buffer => memory.subarray(at, at + LONGEST_BYTES);
  const places = Array.from({ length: PLACES }, (_, index) => {
    return { plain: cut(index * PLACE_BYTES), sealed: cut(index * PLACE_BYTES + LONGEST_BYTES) };
  });
  return { fd, places, zero: () => void memory.fill(0) };
}

/** Has the kernel end this process when its parent ends, even while it hangs in a module. */
export function dieWithParent(): void {
  libc().functions.prctl(PR_SET_PDEATHSIG, 9n, 0n, 0n, 0n);
}

const unusable = (what: string): Fault =>
  new Fault("MEMORY_NOT_LOCKED", {
    text: `${REGION_BYTES} bytes shared with the process of the token: memory ${what}`,
  });

const FUNCTIONS = {
  memfd_create: { arguments: ["pointer", "u32"], return: "i32" },
  ftruncate: { arguments: ["i32", "i64"], return: "i32" },
  mmap: { arguments: ["pointer", "u64", "i32", "i32", "i32", "i64"], return: "pointer" },
  mlock: { arguments: ["pointer", "u64"], return: "i32" },
  madvise: { arguments: ["pointer", "u64", "i32"], return: "i32" },
  prctl: { arguments: ["i32", "u64", "u64", "u64", "u64"], return: "i32" },
} as const;

let loaded: Libc<typeof FUNCTIONS> | undefined;

function libc(): Libc<typeof FUNCTIONS> {
  loaded ??= loadLibc(FUNCTIONS);
  return loaded;
}
