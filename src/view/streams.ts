// The event streams of open pages (text/event-stream): a snapshot to each, twice a second.

import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { NetworkState } from "./network-state.ts";
import { STEP_MS } from "./timeline.ts";

const TICK_MS = 500;
const MOST_STREAMS = 16;
/** A page that does not read gets no more until it has. */
const MOST_WAITING = 1 << 20;

interface Stream {
  readonly response: ServerResponse;
  readonly socket: Socket;
  relays: number;
  faults: number;
}

/** Keeps the state looked at, whether a page is open or not. */
export class Streams implements Disposable {
  readonly #state: NetworkState;
  readonly #open = new Set<Stream>();
  readonly #timer: NodeJS.Timeout;
  #steppedAt = Number.NEGATIVE_INFINITY;

  constructor(state: NetworkState) {
    this.#state = state;
    this.#timer = setInterval(() => this.#tick(Date.now()), TICK_MS);
  }

  /** The first snapshot goes out at once. */
  open(response: ServerResponse, socket: Socket, headers: OutgoingHttpHeaders): void {
    if (this.#open.size >= MOST_STREAMS) {
      response.writeHead(503, headers).end("too many pages are open\n");
      return;
    }
    response.writeHead(200, { ...headers, "Content-Type": "text/event-stream" });
    const stream = { response, socket, relays: 0, faults: 0 };
    this.#open.add(stream);
    response.once("close", () => this.#open.delete(stream));
    this.#send(stream);
  }

  #tick(nowMs: number): void {
    this.#state.refresh(nowMs);
    if (nowMs - this.#steppedAt >= STEP_MS) {
      this.#steppedAt = nowMs;
      this.#state.step(nowMs);
    }
    for (const stream of this.#open) this.#send(stream);
  }

  #send(stream: Stream): void {
    const { response, socket } = stream;
    if (response.writableLength + socket.writableLength > MOST_WAITING) return;
    const snapshot = this.#state.snapshot(stream.relays, stream.faults);
    stream.relays = snapshot.relays.at(-1)?.number ?? stream.relays;
    stream.faults = snapshot.faults.at(-1)?.number ?? stream.faults;
    response.write(`data: ${JSON.stringify(snapshot)}\n\n`);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const { response } of this.#open) response.destroy();
  }
}
