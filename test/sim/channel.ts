// One end of a simulated authenticated connection: bytes arrive late, in order, chopped at any place, or never.

import type { Channel, ChannelHandler } from "../../src/net/channel.ts";

/** What carries the bytes of a channel. */
export interface Carrier {
  /** Runs `run` later, in the order of the calls for one end. */
  soon(end: SimChannel, ms: number, what: string, run: () => void): void;
  /** The time until what is written now arrives, and in how many bytes at a time. */
  travel(from: SimChannel): { readonly ms: number; readonly chunkBytes: number };
  /** How long the write stays unfinished, in ms. */
  writeMs(from: SimChannel): number;
  /** What of a write travels: a lying node changes it. */
  changed(from: SimChannel, bytes: Buffer): readonly Buffer[];
}

/**
 * When the kernel at one end knows that the other is gone without a word: its probes are not answered, or a machine that is back
 * resets what it does not know. Peers of the extended dialect find out before.
 */
const PROBED_MS = 60_000;

type Arrival = { readonly bytes: Buffer } | { readonly closed: string };

export class SimChannel implements Channel {
  /** The KM at the other end. */
  readonly id: string;
  /** The KM at this end. */
  readonly here: string;
  readonly certificate = "CN=simulated";
  readonly group = "X25519MLKEM768";
  /** What the other end said in its hello. */
  serverName = "";
  readonly #carrier: Carrier;
  #other: SimChannel | undefined;
  #handler: ChannelHandler | undefined;
  readonly #arrived: Arrival[] = [];
  #writing = false;
  #closing = false;
  #ended = false;

  constructor(here: string, there: string, carrier: Carrier) {
    this.here = here;
    this.id = there;
    this.#carrier = carrier;
  }

  static pair(a: string, b: string, carrier: Carrier): readonly [SimChannel, SimChannel] {
    const pair = [new SimChannel(a, b, carrier), new SimChannel(b, a, carrier)] as const;
    pair[0].#other = pair[1];
    pair[1].#other = pair[0];
    return pair;
  }

  get writing(): boolean {
    return this.#writing;
  }

  get isOver(): boolean {
    return this.#ended;
  }

  start(handler: ChannelHandler): void {
    this.#handler = handler;
    this.#carrier.soon(this, 0, "starts to read", () => this.#deliver());
  }

  write(bytes: Uint8Array): void {
    if (this.#writing) throw new Error("a write is unfinished");
    if (this.#closing || this.#ended) throw new Error("the channel is closed");
    this.#writing = true;
    for (const part of this.#carrier.changed(this, Buffer.from(bytes))) this.#send({ bytes: part });
    const ms = this.#carrier.writeMs(this);
    if (ms === 0) queueMicrotask(() => this.#finish());
    else this.#carrier.soon(this, ms, "write ends", () => this.#finish());
  }

  #send(arrival: Arrival): void {
    const other = this.#other;
    if (other === undefined) return;
    const { ms, chunkBytes } = this.#carrier.travel(this);
    const what = "bytes" in arrival ? `receives ${arrival.bytes.length} bytes` : "hears of the end";
    this.#carrier.soon(other, ms, `${what} from ${this.here}`, () => other.#arrive(arrival, chunkBytes));
  }

  /** Bytes that the end at `here` never sent, as if it had. */
  inject(bytes: Buffer): void {
    if (!this.#ended && !this.#closing) this.#send({ bytes });
  }

  close(reason: string): void {
    if (this.#closing || this.#ended) return;
    this.#closing = true;
    this.#carrier.soon(this, 0, "closes", () => {
      this.#send({ closed: "closed by the peer" });
      this.end(reason);
    });
  }

  /** The process at this end is gone: it hears nothing more. The other end learns it, at once if anybody can tell. */
  die(isTold: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#handler = undefined;
    const other = this.#other;
    if (isTold) this.#send({ closed: "reset by the peer" });
    else if (other !== undefined) {
      const gone = (): void => other.end("no answer to the probes of TCP");
      this.#carrier.soon(other, PROBED_MS, "hears of the end", gone);
    }
  }

  /** The connection breaks here and now. */
  end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#arrived.length = 0;
    this.#handler?.closed(reason);
  }

  #arrive(arrival: Arrival, chunkBytes: number): void {
    if (this.#ended) return;
    if ("bytes" in arrival) {
      const { bytes } = arrival;
      for (let at = 0; at < bytes.length; at += chunkBytes)
        this.#arrived.push({ bytes: bytes.subarray(at, at + chunkBytes) });
    } else this.#arrived.push(arrival);
    this.#deliver();
  }

  #finish(): void {
    if (this.#ended) return;
    this.#writing = false;
    this.#handler?.drained();
    this.#deliver();
  }

  #deliver(): void {
    while (this.#handler !== undefined && !this.#writing && !this.#ended) {
      const arrival = this.#arrived.shift();
      if (arrival === undefined) return;
      if ("closed" in arrival) {
        this.end(arrival.closed);
        return;
      }
      const lent = Buffer.from(arrival.bytes);
      this.#handler.received(lent);
      lent.fill(0xee);
    }
  }
}
