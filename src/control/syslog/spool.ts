// Syslog frames on their way, on the disk: a queue of files within a bound, the oldest of which goes first when it is full.
//
//   append ──> waiting (memory) ──> 000007.frames … 000009.frames ──> peek, advance
//
// What was sent is known to the frame while the process lives, and at an orderly stop. After a kill the oldest file is sent
// again from its beginning: twice rather than not at all. Files are not flushed: a machine that loses power loses seconds.

import { mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Limit, limitNow } from "../../core/limits.ts";
import type { Meter } from "../../core/ports.ts";
import { wholeFrames } from "./format.ts";

/** Bytes that wait for the disk. */
const MOST_WAITING = 1 << 20;
/** Files in a full spool, about. */
const PARTS = 16;
const CHUNK_BYTES = 65_536;
const SENT = "sent";

interface Segment {
  readonly number: number;
  bytes: number;
  frames: number;
}

/** Records that wait for the syslog server, in files of a bounded folder; what finds no room is counted as lost. */
export class Spool {
  readonly #dir: string;
  readonly #maxBytes: Limit;
  readonly #meter: Meter;
  readonly #segments: Segment[];
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  /** Bytes of the oldest file that were sent, and frames. */
  #sent: { bytes: number; frames: number };
  #listener: () => void = () => {};

  private constructor(options: SpoolOptions, segments: Segment[], sent: { bytes: number; frames: number }) {
    this.#dir = options.dir;
    this.#maxBytes = options.maxBytes;
    this.#meter = options.meter;
    this.#segments = segments;
    this.#sent = sent;
  }

  /** Finds what an earlier process has left. @throws Error when the folder cannot be used */
  static async open(options: SpoolOptions): Promise<Spool> {
    const { dir } = options;
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const segments: Segment[] = [];
    for (const name of (await readdir(dir)).toSorted()) {
      const number = Number(/^(\d{6,12})\.frames$/.exec(name)?.[1] ?? Number.NaN);
      if (Number.isNaN(number)) continue;
      const { end, count } = wholeFrames(await readFile(join(dir, name)));
      segments.push({ number, bytes: end, frames: count });
    }
    // The end of the last file may be half a frame, where the process was killed: nothing is added to it.
    const last = segments.at(-1);
    if (last !== undefined) segments.push({ number: last.number + 1, bytes: 0, frames: 0 });
    const [first] = segments;
    const left = await readFile(join(dir, SENT), "latin1").catch(() => "");
    const [number, bytes = 0, frames = 0] = left.split(" ").map(Number);
    await rm(join(dir, SENT), { force: true });
    const isKnown = first !== undefined && number === first.number && bytes <= first.bytes && frames <= first.frames;
    return new Spool(options, segments, isKnown ? { bytes, frames } : { bytes: 0, frames: 0 });
  }

  /** Bytes on the disk and on their way to it that were not sent. */
  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, this.#waitingBytes) - this.#sent.bytes;
  }

  /** Called when there is something to send. */
  onFrames(listener: () => void): void {
    this.#listener = listener;
  }

  /** Takes one frame; what has no room is lost and counted. */
  append(frame: Buffer): void {
    if (this.#waitingBytes + frame.length > MOST_WAITING) {
      this.#lose(1, "memory");
      return;
    }
    this.#waiting.push(frame);
    this.#waitingBytes += frame.length;
    this.#writing ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#writeAll());
  }

  #lose(frames: number, reason: "memory" | "disk" | "overflow"): void {
    if (frames > 0) this.#meter.add("syslog_lost", { reason }, frames);
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const [frames, bytes] = [this.#waiting, this.#waitingBytes];
      this.#waiting = [];
      try {
        await this.#write(Buffer.concat(frames), frames.length);
      } catch {
        // The disk is full or failing; whoever watches the counter sees it.
        this.#lose(frames.length, "disk");
        await rm(this.#path(this.#segments.at(-1)?.number ?? 0), { force: true }).catch(() => {});
        this.#forgetLast();
      }
      this.#waitingBytes -= bytes;
      this.#listener();
    }
    this.#writing = undefined;
  }

  /** Its file has an end that nobody knows. */
  #forgetLast(): void {
    const last = this.#segments.pop();
    if (last === undefined) return;
    this.#lose(last.frames - (this.#segments.length === 0 ? this.#sent.frames : 0), "disk");
    if (this.#segments.length === 0) this.#sent = { bytes: 0, frames: 0 };
  }

  async #write(bytes: Buffer, frames: number): Promise<void> {
    await this.#makeRoom(bytes.length);
    let last = this.#segments.at(-1);
    if (last === undefined || last.bytes + bytes.length > limitNow(this.#maxBytes) / PARTS) {
      last = { number: (last?.number ?? 0) + 1, bytes: 0, frames: 0 };
      this.#segments.push(last);
    }
    await using file = await open(this.#path(last.number), "a", 0o600);
    await file.appendFile(bytes);
    last.bytes += bytes.length;
    last.frames += frames;
  }

  /** Removes the oldest files until so many bytes fit. */
  async #makeRoom(bytes: number): Promise<void> {
    const stored = () => this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
    while (this.#segments.length > 0 && stored() + bytes > limitNow(this.#maxBytes)) {
      const unsent = (this.#segments[0]?.frames ?? 0) - this.#sent.frames;
      await this.#removeFirst();
      this.#lose(unsent, "overflow");
    }
  }

  async #removeFirst(): Promise<void> {
    const first = this.#segments.shift();
    this.#sent = { bytes: 0, frames: 0 };
    if (first !== undefined) await rm(this.#path(first.number), { force: true });
  }

  #path(number: number): string {
    return join(this.#dir, `${String(number).padStart(6, "0")}.frames`);
  }

  /** The next whole frames to send, 64 KiB at most, and what to call when they were; undefined when there are none. */
  async peek(): Promise<{ readonly bytes: Buffer; readonly sent: () => void } | undefined> {
    const [first] = this.#segments;
    if (first === undefined) return undefined;
    const from = this.#sent.bytes;
    if (from >= first.bytes) {
      // The last file stays: more may be written to it.
      if (this.#segments.length === 1) return undefined;
      await this.#removeFirst();
      return this.peek();
    }
    const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, first.bytes - from));
    await this.#read(first.number, chunk, from);
    // The file may have gone while it was read, to make room.
    if (this.#segments[0] !== first || this.#sent.bytes !== from) return this.peek();
    const { end, count } = wholeFrames(chunk);
    if (end === 0) return undefined;
    return { bytes: chunk.subarray(0, end), sent: () => this.#advance(first, end, count) };
  }

  #advance(segment: Segment, bytes: number, frames: number): void {
    if (this.#segments[0] !== segment) return;
    this.#sent = { bytes: this.#sent.bytes + bytes, frames: this.#sent.frames + frames };
    this.#meter.add("syslog_sent", {}, frames);
  }

  async #read(number: number, into: Buffer, from: number): Promise<void> {
    try {
      await using file = await open(this.#path(number), "r");
      await file.read(into, 0, into.length, from);
    } catch {
      // Removed to make room.
    }
  }

  /** What waits is written, and how far it was sent. */
  async close(): Promise<void> {
    await this.#writing;
    const [first, ...others] = this.#segments;
    if (first === undefined) return;
    if (others.length === 0 && this.#sent.bytes >= first.bytes) return await this.#removeFirst();
    const half = join(this.#dir, `${SENT}.new`);
    await writeFile(half, `${first.number} ${this.#sent.bytes} ${this.#sent.frames}`, { mode: 0o600 });
    await rename(half, join(this.#dir, SENT));
  }
}

/** Where the spool lies and how much it may hold. */
export interface SpoolOptions {
  readonly dir: string;
  /** On the disk. */
  readonly maxBytes: Limit;
  readonly meter: Meter;
}
