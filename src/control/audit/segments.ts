// The segments of the audit log on the disk: appended to, with room kept ahead, the oldest removed when there are too many.
//
//   segment: | batches …  | zeros: room that the file system has given us already |

import { promises as fs, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../../core/fault.ts";
import { type Limit, limitNow } from "../../core/limits.ts";
import { readSegment, type Segment, segmentName, segmentsOf } from "./folder.ts";
import { type Seal, whyBroken } from "./format.ts";

type File = Awaited<ReturnType<typeof fs.open>>;

/** How much room the audit log has, and in which pieces. */
export interface SegmentOptions {
  readonly dir: string;
  /** Of all segments together; the room kept ahead may come on top. */
  readonly maxBytes: Limit;
  /** What goes when there is more: the oldest segments, or nothing, and then nothing more is taken. */
  readonly keep: "newest" | "all";
}

/** What was found at the start. */
export interface Found {
  /** The last seal; undefined when the log begins now. */
  readonly last: Seal | undefined;
  /** Lines of the newest segment, by batches. */
  readonly tail: readonly Uint8Array[];
  /** The seals of the newest segment, by their sequence. */
  readonly seals: ReadonlyMap<number, string>;
  /** Bytes behind the last seal that were cut off. */
  readonly cut: number;
  readonly file: string;
  /** Why the newest segment is not as it was written, if so. */
  readonly broken: string | undefined;
}

const NOTHING_FOUND: Found = { last: undefined, tail: [], seals: new Map(), cut: 0, file: "", broken: undefined };

/** Sequences of the first and the last seal of what is there no more. */
export interface Removed {
  readonly first: number;
  readonly last: number;
}

/** Room kept ahead: below `least` nothing new is begun, and what was begun still fits. */
const ROOM = { least: 192 * 1024, step: 384 * 1024 };
const SEGMENTS = { parts: 16, leastBytes: 256 * 1024, mostBytes: 16 * 1024 * 1024 };

const unavailable = (text: string, cause?: unknown): Fault => new Fault("AUDIT_UNAVAILABLE", { text, cause });
const codeOf = (thrown: unknown): string => String((thrown as NodeJS.ErrnoException).code ?? thrown);

/** The files of the audit log: appended, synced, and removed from the oldest on when there is no room. */
export class Segments implements AsyncDisposable {
  readonly #options: SegmentOptions;
  readonly #segmentBytes: number;
  /** Oldest first, without the open one. */
  readonly #closed: (Segment & { readonly bytes: number; readonly last: number })[] = [];
  #file: File | undefined;
  #open: Segment | undefined;
  /** Where the next batch goes, and how far the file is filled with zeros. */
  #end = 0;
  #filled = 0;
  /** The open segment takes no more: it was changed by others. */
  #isSpoilt = false;

  private constructor(options: SegmentOptions) {
    this.#options = options;
    const { parts, leastBytes, mostBytes } = SEGMENTS;
    this.#segmentBytes = Math.min(Math.max(Math.floor(limitNow(options.maxBytes) / parts), leastBytes), mostBytes);
  }

  /** Reads the newest segment, and cuts off what no seal covers. @throws Error when the folder cannot be used */
  static async open(options: SegmentOptions): Promise<{ readonly segments: Segments; readonly found: Found }> {
    mkdirSync(options.dir, { recursive: true, mode: 0o700 });
    const segments = new Segments(options);
    return { segments, found: await segments.#load() };
  }

  async #load(): Promise<Found> {
    const { dir } = this.#options;
    const all = segmentsOf(dir);
    for (const [at, segment] of all.slice(0, -1).entries()) {
      const last = (all[at + 1]?.first ?? 1) - 1;
      this.#closed.push({ ...segment, bytes: statSync(join(dir, segment.file)).size, last });
    }
    const newest = all.at(-1);
    if (newest === undefined) return NOTHING_FOUND;
    const { batches, end, rest } = readSegment(dir, newest);
    const broken = batches.map((batch, at) => whyBroken(batch, batches[at - 1]?.seal)).find((why) => why !== undefined);
    this.#open = newest;
    this.#end = end;
    this.#isSpoilt = broken !== undefined;
    this.#file = await fs.open(join(dir, newest.file), "r+");
    // What lies behind the end of a changed segment is left as it is: it may be evidence.
    if (broken === undefined) await this.#file.truncate(end);
    this.#filled = (await this.#file.stat()).size;
    const last = batches.at(-1)?.seal ?? (await this.#lastBefore());
    const seals = new Map(batches.map(({ seal }) => [seal.seal, seal.hash]));
    const tail = batches.map(({ lines }) => lines);
    return { last, tail, seals, cut: broken === undefined ? rest : 0, file: newest.file, broken };
  }

  /** The last seal of the segment before, when the newest has none yet. */
  async #lastBefore(): Promise<Seal | undefined> {
    const before = this.#closed.at(-1);
    return before && readSegment(this.#options.dir, before).batches.at(-1)?.seal;
  }

  /** Bytes of all segments. */
  get bytes(): number {
    return this.#closed.reduce((sum, { bytes }) => sum + bytes, this.#end);
  }

  /**
   * Writes a batch behind the last and waits until it is on the disk. The same may be tried again after a failure.
   * @returns the sequences that were removed for it, if any
   * @throws Fault AUDIT_UNAVAILABLE
   */
  async append(batch: Buffer, sequence: number): Promise<Removed | undefined> {
    try {
      const isFull = this.#end > 0 && this.#end + batch.length > this.#segmentBytes;
      if (this.#file === undefined || isFull || this.#isSpoilt) await this.#begin(sequence);
      await this.#write(batch);
    } catch (thrown) {
      if (thrown instanceof Fault) throw thrown;
      throw unavailable(`the audit log cannot be written: ${codeOf(thrown)}`, thrown);
    }
    return await this.#removeOldest();
  }

  async #write(batch: Buffer): Promise<void> {
    const file = this.#file;
    if (file === undefined) throw new Error("no segment is open");
    for (let at = 0; at < batch.length; ) {
      const { bytesWritten } = await file.write(batch, at, batch.length - at, this.#end + at);
      at += bytesWritten;
    }
    await file.datasync();
    this.#end += batch.length;
    this.#filled = Math.max(this.#filled, this.#end);
  }

  /** The next segment, with room ahead. Without room the open one goes on, as long as it has some. */
  async #begin(sequence: number): Promise<void> {
    const { dir } = this.#options;
    const segment = { file: segmentName(sequence), first: sequence };
    const path = join(dir, segment.file);
    const file = await fs.open(path, "w", 0o600);
    const filled = await fill(file, 0, ROOM.step);
    const hasRoom = filled === ROOM.step || this.#file === undefined || this.#isSpoilt;
    if (!hasRoom) {
      await file.close();
      await fs.rm(path);
      return;
    }
    await this.#close(sequence - 1);
    await syncFolder(dir);
    this.#file = file;
    this.#open = segment;
    this.#end = 0;
    this.#filled = filled;
    this.#isSpoilt = false;
  }

  /** The open segment is over, without the zeros behind it. */
  async #close(last: number): Promise<void> {
    if (this.#file === undefined || this.#open === undefined) return;
    if (!this.#isSpoilt) await this.#file.truncate(this.#end);
    await this.#file.close();
    this.#closed.push({ ...this.#open, bytes: this.#end, last });
    this.#file = undefined;
  }

  async #removeOldest(): Promise<Removed | undefined> {
    const { dir, keep, maxBytes } = this.#options;
    const removed: Removed[] = [];
    while (keep === "newest" && this.bytes > limitNow(maxBytes)) {
      const oldest = this.#closed.shift();
      if (oldest === undefined) break;
      // Whatever cannot be removed now goes at the next start.
      await fs.rm(join(dir, oldest.file), { force: true }).catch(() => {});
      removed.push(oldest);
    }
    return spanOf(removed);
  }

  /** Segments that somebody moved away. @returns the sequences, if any */
  moved(): Removed | undefined {
    const { dir } = this.#options;
    const gone: Removed[] = [];
    for (let oldest = this.#closed[0]; oldest !== undefined; oldest = this.#closed[0]) {
      if (statSync(join(dir, oldest.file), { throwIfNoEntry: false }) !== undefined) break;
      gone.push(oldest);
      this.#closed.shift();
    }
    return spanOf(gone);
  }

  /** Takes room ahead. @returns why there is none, if so */
  async reserve(): Promise<Fault | undefined> {
    const { keep, maxBytes, dir } = this.#options;
    if (keep === "all" && this.bytes + ROOM.least > limitNow(maxBytes)) {
      return unavailable(`the audit log has ${this.bytes} bytes, as many as max_bytes allows: move old segments away`);
    }
    if (this.#file === undefined || this.#isSpoilt || this.#filled - this.#end >= ROOM.least) return undefined;
    this.#filled = await fill(this.#file, this.#filled, this.#end + ROOM.step);
    if (this.#filled - this.#end >= ROOM.least) return undefined;
    return unavailable(`the disk of the audit log (${dir}) is full: make room`);
  }

  /** Without the zeros behind the last batch. */
  async [Symbol.asyncDispose](): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    if (!this.#isSpoilt) await file.truncate(this.#end).catch(() => {});
    await file.close();
  }
}

function spanOf(removed: readonly Removed[]): Removed | undefined {
  const [first, last] = [removed[0], removed.at(-1)];
  return first && last && { first: first.first, last: last.last };
}

/** Writes zeros as far as there is room; returns how far. */
async function fill(file: File, from: number, to: number): Promise<number> {
  let filled = from;
  try {
    while (filled < to) {
      const { bytesWritten } = await file.write(new Uint8Array(to - filled), 0, to - filled, filled);
      if (bytesWritten === 0) break;
      filled += bytesWritten;
    }
  } catch {
    // As far as it goes: the caller looks at how far that is.
  }
  return filled;
}

/** A new name in a folder is on the disk when the folder is. */
async function syncFolder(dir: string): Promise<void> {
  const folder = await fs.open(dir, "r");
  await folder.sync().finally(() => folder.close());
}
