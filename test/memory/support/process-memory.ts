// The memory of another process, copied while it stands still.

import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { eventually } from "../../system/support/eventually.ts";

const PAGE = 4096;
/** Longest piece; the next one overlaps it. */
const PIECE = 1 << 22;
const OVERLAP = 256;

export interface Region {
  readonly start: number;
  readonly end: number;
  /** As in /proc/PID/maps: `rw-p`, for example. */
  readonly access: string;
  /** The file, `[heap]`, `[stack]`, …; empty for memory without a name. */
  readonly path: string;
  /** Pinned by mlock. */
  readonly locked: boolean;
}

/** Pages of one region, one after the other. */
export interface Piece {
  readonly region: Region;
  readonly address: number;
  readonly bytes: Buffer;
}

/** All that the process has in memory or in swap, but for the files of programs. @throws Error when the kernel does not let us look */
export async function copyOf(pid: number): Promise<readonly Piece[]> {
  process.kill(pid, "SIGSTOP");
  try {
    await eventually("the process stands still", () => stateOf(pid) === "T");
    using memory = new ProcessMemory(pid);
    return [...memory.pieces()];
  } finally {
    process.kill(pid, "SIGCONT");
  }
}

/** Why this process may not read that one's memory, if so: the reason to skip a test. */
export function obstacleTo(pid: number): string | undefined {
  try {
    using memory = new ProcessMemory(pid);
    for (const _ of memory.pieces()) return undefined;
    return `no page of process ${pid} can be read`;
  } catch (thrown) {
    return `the kernel does not let us look at process ${pid}: ${thrown}`;
  }
}

function stateOf(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  return stat.slice(stat.lastIndexOf(")") + 2)[0];
}

const HEAD = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \S+ *(.*)$/;

/** Those of which anything is in memory or in swap that does not lie in a program's file as it is. */
function regionsOf(pid: number): Region[] {
  const parts = readFileSync(`/proc/${pid}/smaps`, "utf8").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return parts.flatMap((part) => {
    const [, start = "", end = "", access = "", path = ""] = HEAD.exec(part.slice(0, part.indexOf("\n"))) ?? [];
    const isProgram = /^r-[x-]p/.test(access) && path.startsWith("/") && /^Anonymous: *0 /m.test(part);
    if (isProgram || !/^(?:Rss|Swap): *[1-9]/m.test(part)) return [];
    const locked = /^VmFlags:.* lo\b/m.test(part);
    return [{ start: Number.parseInt(start, 16), end: Number.parseInt(end, 16), access, path, locked }];
  });
}

class ProcessMemory implements Disposable {
  readonly #regions: readonly Region[];
  readonly #memory: number;
  readonly #pages: number;

  constructor(pid: number) {
    this.#regions = regionsOf(pid);
    this.#memory = openSync(`/proc/${pid}/mem`, "r");
    this.#pages = openSync(`/proc/${pid}/pagemap`, "r");
  }

  *pieces(): Iterable<Piece> {
    for (const region of this.#regions) {
      for (const { start, end } of this.#present(region)) {
        for (let address = start; address < end; address += PIECE) {
          const bytes = this.#read(address, Math.min(end - address, PIECE + OVERLAP));
          if (bytes.length > 0) yield { region, address, bytes };
        }
      }
    }
  }

  /** The kernel's own pages, such as [vvar], refuse. */
  #read(address: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    try {
      return bytes.subarray(0, readSync(this.#memory, bytes, 0, length, address));
    } catch {
      return bytes.subarray(0, 0);
    }
  }

  *#present({ start, end }: Region): Iterable<{ readonly start: number; readonly end: number }> {
    const entries = Buffer.alloc(((end - start) / PAGE) * 8);
    readSync(this.#pages, entries, 0, entries.length, (start / PAGE) * 8);
    let run: number | undefined;
    for (let page = 0; page * 8 < entries.length; page++) {
      // The two highest bits of an entry: present, swapped.
      const there = ((entries[page * 8 + 7] ?? 0) & 0xc0) !== 0;
      if (there) run ??= start + page * PAGE;
      if (there || run === undefined) continue;
      yield { start: run, end: start + page * PAGE };
      run = undefined;
    }
    if (run !== undefined) yield { start: run, end };
  }

  [Symbol.dispose](): void {
    closeSync(this.#memory);
    closeSync(this.#pages);
  }
}
