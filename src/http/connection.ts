// One connection of an HTTP door: its requests one after the other, and their answers in the same order.
//
//   bytes ──RequestReader──> requests ──queue──> one exchange at a time ──handler──> answer, written in pieces ──> the next

import type { Fault } from "../core/fault.ts";
import type { AppId } from "../core/ids.ts";
import type { Grant } from "../keys/ports/keys.ts";
import type { ChannelHandler, PausableChannel } from "../net/channel.ts";
import { BODY_BYTES } from "./body.ts";
import type { BodyStore } from "./body-store.ts";
import { Exchange, type KeyFormat } from "./exchange.ts";
import type { Head, Headers } from "./head.ts";
import { BadRequest, type RequestHead } from "./request-head.ts";
import { RequestReader } from "./request-reader.ts";

/** Serves one request; the next of the same connection comes when its answer is out. Must not throw. */
export type Handler = (exchange: Exchange) => void;

/** How long what may take. Milliseconds. */
export interface ConnectionLimits {
  /** For a whole head; also for the first byte of a connection. */
  readonly headersTimeout: number;
  /** For a whole request. */
  readonly requestTimeout: number;
  /** For the next request of an idle connection. */
  readonly keepAliveTimeout: number;
  /** For the client to take an answer. */
  readonly answerTimeout: number;
}

/** What the connections of a door share. */
export interface Shared {
  readonly handle: Handler;
  readonly limits: ConnectionLimits;
  readonly head: Head;
  /** Locked memory in which an answer with keys is written, or a piece of it: zero again when it is encrypted. */
  readonly memory: Uint8Array;
  /** True when connections are to end with the answer under way. */
  readonly closing: () => boolean;
  /** Gives `then` room for a body: at once when there is some, else later. */
  store(then: (store: BodyStore) => void): void;
  /** Counts a connection that is ended for what it sent, or for how. */
  refused(reason: string): void;
  gone(connection: HttpConnection): void;
}

/** Requests that may wait behind an unfinished one on a connection. */
const MOST_PIPELINED = 64;
/** Bytes of their bodies together. */
const MOST_WAITING_BYTES = BODY_BYTES;
const NOTHING = new Uint8Array(0);
const CONTINUE = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n", "latin1");

/** One connection whose other end is known. */
export class HttpConnection implements ChannelHandler {
  readonly app: AppId;
  readonly turnedAway: Fault | undefined;
  readonly #channel: PausableChannel;
  readonly #shared: Shared;
  readonly #reader: RequestReader;
  readonly #queue: Exchange[] = [];
  #waitingBytes = 0;
  /** The request that is served or answered. */
  #current: Exchange | undefined;
  /** Keys under way, if any: how they are written, and which is next. */
  #grant: Grant | undefined;
  #layout: KeyFormat | undefined;
  #nextKey = 0;
  /** What came behind requests that are still to be answered. */
  #broken: BadRequest | undefined;
  #state: "fresh" | "idle" | "begun" | "serving" | "answering" | "ending" | "ended" = "fresh";
  /** When the state began in which the other end has to do something; on `performance.now()`. */
  #sinceMs = performance.now();

  /** One that is turned away has one answer. */
  constructor(channel: PausableChannel, turnedAway: Fault | undefined, shared: Shared) {
    this.app = channel.id as AppId;
    this.turnedAway = turnedAway;
    this.#channel = channel;
    this.#shared = shared;
    this.#reader = new RequestReader({
      store: (then) => shared.store(then),
      request: (head, body) => this.#request(head, body),
      waits: () => {
        if (this.#current === undefined) channel.write(CONTINUE);
      },
      hold: () => channel.hold(),
      goOn: () => {
        channel.release();
        this.#read(NOTHING);
      },
    });
    channel.start(this);
  }

  received(chunk: Uint8Array): void {
    if (this.#broken === undefined && this.#state !== "ending" && this.#state !== "ended") this.#read(chunk);
  }

  #read(chunk: Uint8Array): void {
    try {
      this.#reader.read(chunk);
    } catch (thrown) {
      if (!(thrown instanceof BadRequest)) throw thrown;
      this.#refuse(thrown);
      return;
    }
    if ((this.#state === "idle" || this.#state === "fresh") && this.#reader.begun !== "nothing") this.#become("begun");
  }

  drained(): void {
    if (this.#state === "ending") this.#end("the answer is out");
    else if (this.#grant !== undefined) this.#sendMore();
    else if (this.#state === "answering") this.#answered();
  }

  closed(): void {
    this.#end("the connection is gone");
    this.#shared.gone(this);
  }

  /** Ends what has taken too long. */
  check(nowMs: number): void {
    const { headersTimeout, requestTimeout, keepAliveTimeout, answerTimeout } = this.#shared.limits;
    const tookMs = nowMs - this.#sinceMs;
    const { begun } = this.#reader;
    if (this.#state === "fresh" || this.#state === "begun") {
      const mostMs = begun === "body" ? requestTimeout : headersTimeout;
      if (tookMs >= mostMs) this.#refuse(new BadRequest("the request took too long", 400, "too slow"));
    } else if (this.#state === "idle") {
      if (tookMs >= keepAliveTimeout) this.#end("it was idle");
    } else if (this.#state === "answering" && tookMs >= answerTimeout) this.#end("the answer was not taken");
  }

  /** Ends when the requests under way are answered. */
  stop(): void {
    if (this.#state === "idle" || this.#state === "fresh") this.#end("the door closes");
  }

  /** Ends now. */
  cutOff(): void {
    this.#end("the door is closed");
  }

  /** Answers without keys. */
  text({ head }: Exchange, status: number, text: string | undefined, more: Headers): void {
    const fields: Record<string, string | number> = { ...more };
    if (text !== undefined) fields["Content-Length"] = Buffer.byteLength(text);
    if (text !== "") fields["Content-Type"] ??= "application/json";
    fields["Cache-Control"] = "no-store";
    const lines = this.#shared.head.text(status, fields, this.#staysOpen(head));
    this.#become("answering");
    this.#channel.write(Buffer.from(head.method === "HEAD" ? lines : lines + (text ?? "")));
  }

  /** Answers with keys: head and first piece, which nearly always is all. @throws what the grant throws; nothing was sent then */
  keys({ head }: Exchange, grant: Grant, layout: KeyFormat): void {
    this.#grant = grant;
    this.#layout = layout;
    this.#nextKey = 0;
    this.#sendPiece(grant, layout, head);
    this.#become("answering");
  }

  #request(head: RequestHead, body: BodyStore | undefined): void {
    const exchange = new Exchange(this, head, body, this);
    if (this.#current === undefined) {
      this.#serve(exchange);
      return;
    }
    this.#waitingBytes += exchange.body?.length ?? 0;
    if (this.#queue.push(exchange) <= MOST_PIPELINED && this.#waitingBytes <= MOST_WAITING_BYTES) return;
    this.#shared.refused("pipelined");
    this.#end("too many requests wait");
  }

  #serve(exchange: Exchange): void {
    this.#current = exchange;
    this.#state = "serving";
    this.#shared.handle(exchange);
    exchange.takeBody()?.release();
  }

  #sendMore(): void {
    const [grant, layout] = [this.#grant, this.#layout];
    if (grant === undefined || layout === undefined) return;
    try {
      this.#sendPiece(grant, layout);
    } catch {
      this.#end("a key could not be written");
    }
  }

  /** All keys that fit the memory, behind the head that begins them. @throws what the grant throws, which is disposed then */
  #sendPiece(grant: Grant, layout: KeyFormat, begins?: RequestHead): void {
    const { memory, head } = this.#shared;
    let end = 0;
    try {
      if (begins !== undefined) end = head.write(memory, layout.totalBytes(grant), this.#staysOpen(begins));
      while (this.#nextKey < grant.count && end + layout.keyBytes(grant, this.#nextKey) <= memory.length) {
        end = layout.writeEntry(grant, this.#nextKey, memory, end);
        this.#nextKey += 1;
      }
      if (end === 0) throw new RangeError("a key does not fit the memory for answers");
    } catch (thrown) {
      memory.fill(0);
      this.#drop();
      throw thrown;
    }
    if (this.#nextKey === grant.count) this.#drop();
    this.#channel.write(memory.subarray(0, end));
    memory.fill(0, 0, end);
  }

  #drop(): void {
    const grant = this.#grant;
    this.#grant = undefined;
    grant?.[Symbol.dispose]();
  }

  #staysOpen({ keepAlive }: RequestHead): boolean {
    return keepAlive && this.turnedAway === undefined && !this.#shared.closing();
  }

  #answered(): void {
    const head = this.#current?.head;
    this.#current = undefined;
    if (head === undefined || !this.#staysOpen(head)) {
      this.#end("the answer is out");
      return;
    }
    const next = this.#queue.shift();
    if (next !== undefined) {
      this.#waitingBytes -= next.body?.length ?? 0;
      this.#serve(next);
    } else if (this.#broken !== undefined) this.#sendRefusal(this.#broken);
    else this.#become(this.#reader.begun === "nothing" ? "idle" : "begun");
  }

  /** Answers what cannot be understood and closes; without an answer when a request before it still waits for its own. */
  #refuse(bad: BadRequest): void {
    this.#shared.refused(bad.reason);
    this.#reader.stop();
    if (this.#state === "answering") this.#broken = bad;
    else if (this.#current !== undefined || this.#channel.writing) this.#end(bad.message);
    else this.#sendRefusal(bad);
  }

  #sendRefusal({ message, status }: BadRequest): void {
    const text = JSON.stringify({ message });
    const fields = { "Content-Type": "application/json", "Content-Length": text.length };
    this.#become("ending");
    this.#channel.write(Buffer.from(this.#shared.head.text(status, fields, false) + text));
  }

  #become(state: "idle" | "begun" | "answering" | "ending"): void {
    this.#state = state;
    this.#sinceMs = performance.now();
  }

  #end(reason: string): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#reader.stop();
    this.#drop();
    for (const exchange of [this.#current, ...this.#queue]) exchange?.gone();
    this.#queue.length = 0;
    this.#current = undefined;
    this.#channel.close(reason);
  }
}
