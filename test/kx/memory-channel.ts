// Two ends of an authenticated connection in memory, with chunks as small and writes as slow as a test wants.

import type { Channel, ChannelHandler } from "../../src/net/channel.ts";

export interface MemoryOptions {
  /** Largest chunk that arrives at once. */
  readonly chunkBytes?: number;
}

/** One end: a Channel, and what a test wants to see or break. */
export class MemoryChannel implements Channel {
  readonly id: string;
  readonly certificate = "CN=memory";
  readonly group = "X25519MLKEM768";
  readonly serverName: string = "";
  readonly chunkBytes: number;
  /** Every write as it left. */
  readonly writes: Buffer[] = [];
  /** While true the end has begun, though nobody was told yet: no write is taken. */
  ending = false;
  /** While true no write ends. */
  stuck = false;
  closedBecause: string | undefined;
  #other: MemoryChannel | undefined;
  #handler: ChannelHandler | undefined;
  #arrived: Buffer[] = [];
  #writing = false;
  #ended = false;

  constructor(id: string, options: MemoryOptions) {
    this.id = id;
    this.chunkBytes = options.chunkBytes ?? 16_384;
  }

  join(other: MemoryChannel): void {
    this.#other = other;
  }

  get writing(): boolean {
    return this.#writing;
  }

  start(handler: ChannelHandler): void {
    if (this.#handler !== undefined) throw new Error("started twice");
    this.#handler = handler;
    setImmediate(() => this.#deliver());
  }

  write(bytes: Uint8Array): void {
    if (this.#writing) throw new Error("a write is unfinished");
    if (this.ending || this.#ended) throw new Error("the channel is closed");
    const copy = Buffer.from(bytes);
    this.writes.push(copy);
    this.#writing = true;
    this.#other?.arrive(copy);
    setImmediate(() => this.#finish());
  }

  /** The peer takes the write after all. */
  release(): void {
    this.stuck = false;
    setImmediate(() => this.#finish());
  }

  close(reason: string): void {
    this.ending = true;
    setImmediate(() => {
      this.end(reason);
      this.#other?.end("closed by the peer");
    });
  }

  arrive(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += this.chunkBytes)
      this.#arrived.push(bytes.subarray(at, at + this.chunkBytes));
    setImmediate(() => this.#deliver());
  }

  end(reason: string): void {
    if (this.#ended) return;
    this.#deliver();
    this.#ended = true;
    this.closedBecause = reason;
    this.#handler?.closed(reason);
  }

  #finish(): void {
    if (!this.#writing || this.stuck || this.#ended) return;
    this.#writing = false;
    this.#handler?.drained();
    this.#deliver();
  }

  #deliver(): void {
    while (this.#handler !== undefined && !this.#writing && !this.#ended) {
      const chunk = this.#arrived.shift();
      if (chunk === undefined) return;
      const lent = Buffer.from(chunk);
      this.#handler.received(lent);
      lent.fill(0xee);
    }
  }
}

/** The end at `a` sees the peer `b`, and the other way round. */
export function memoryPair(a: string, b: string, options: MemoryOptions = {}): [MemoryChannel, MemoryChannel] {
  const atA = new MemoryChannel(b, options);
  const atB = new MemoryChannel(a, options);
  atA.join(atB);
  atB.join(atA);
  return [atA, atB];
}
