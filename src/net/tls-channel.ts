// A Channel over a TLS socket: one unfinished write, reading held meanwhile, deadlines.

import type { TLSSocket } from "node:tls";
import { forgetRegistersSoon } from "../core/memory/registers.ts";
import { atEndOfTurn } from "../core/turn.ts";
import type { ChannelHandler, PausableChannel } from "./channel.ts";
import { alertWords } from "./tls/alert-words.ts";
import type { Peer } from "./tls/identity.ts";

/** After `close`, the peer has this long to end its side before the socket is destroyed. */
const LINGER_MS = 1000;

/** A channel over one TLS socket. */
export class TlsChannel implements PausableChannel {
  readonly id: string;
  readonly certificate: string;
  readonly group: string;
  readonly serverName: string;
  readonly #socket: TLSSocket;
  readonly #writeMs: number;
  #handler: ChannelHandler | undefined;
  #writing = false;
  #hasReceived = false;
  #isRefused = false;
  #writes = 0;
  #deadline: NodeJS.Timeout | undefined;
  /** A chunk that waits for the end of the turn, or of an unfinished write: at most one. */
  #held: Uint8Array | undefined;
  /** Reading stopped, for a chunk waits for an unfinished write, or for room. */
  #isPaused = false;
  /** The owner has no room. */
  #isOnHold = false;
  /** Set when the end has begun; nothing is read or written after. */
  #ending: string | undefined;

  constructor(socket: TLSSocket, peer: Peer & { readonly group: string }, writeMs: number) {
    this.id = peer.id;
    this.certificate = peer.certificate;
    this.group = peer.group;
    this.serverName = peer.serverName;
    this.#socket = socket;
    this.#writeMs = writeMs;
    socket.on("error", (error) => {
      const words = alertWords(error);
      this.#isRefused = words !== undefined && !this.#hasReceived;
      this.#destroy(words ?? `the connection broke: ${error.message}`);
    });
    socket.once("end", () => {
      this.#deliverReceived();
      this.close("the peer ended the connection");
      this.#gone();
    });
    socket.once("close", () => this.#gone());
  }

  get writing(): boolean {
    return this.#writing;
  }

  start(handler: ChannelHandler): void {
    if (this.#handler !== undefined) throw new Error("a channel is started once");
    this.#handler = handler;
    if (this.#ending !== undefined || this.#socket.destroyed) process.nextTick(() => this.#gone());
    else this.#socket.on("data", (chunk: Buffer) => this.#received(chunk));
  }

  write(bytes: Uint8Array): void {
    if (this.#writing) throw new Error("a channel has one unfinished write at most");
    if (this.#ending !== undefined) throw new Error(`the channel is closed: ${this.#ending}`);
    this.#writing = true;
    this.#writes += 1;
    this.#deadline ??= this.#watch();
    this.#socket.write(bytes, this.#written);
    forgetRegistersSoon();
  }

  hold(): void {
    this.#isOnHold = true;
  }

  release(): void {
    this.#isOnHold = false;
    this.#readOn();
  }

  close(reason: string): void {
    if (this.#ending !== undefined) return;
    this.#ending = reason;
    this.#dropReceived();
    this.#socket.end();
    this.#socket.resume();
    const linger = setTimeout(() => this.#socket.destroy(), LINGER_MS);
    this.#socket.once("close", () => clearTimeout(linger));
  }

  /**
   * What arrives waits until all sockets of this turn of the event loop are read: then the requests of many connections
   * are handled one after the other, and each client is woken when most answers are there: a seventh less CPU time a key.
   */
  #received(chunk: Uint8Array): void {
    this.#hasReceived = true;
    this.#deliverReceived();
    if (this.#ending !== undefined) {
      chunk.fill(0);
    } else if (this.#held === undefined) {
      this.#held = chunk;
      atEndOfTurn(this.#endTurn);
    } else {
      this.#pause();
      this.#socket.unshift(chunk);
    }
  }

  /**
   * Node tells of the end of a write one turn after it: mostly just now, when the next request is here already. To stop and
   * begin to read again for each request would cost more than to answer it.
   */
  readonly #endTurn = (): void => {
    if ((this.#writing || this.#isOnHold) && this.#held !== undefined) this.#pause();
    else this.#deliverReceived();
  };

  #pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  /** What arrives may be key: the memory that Node gave it is zeroed once it is handled. */
  #deliverReceived(): void {
    const chunk = this.#held;
    if (chunk === undefined || this.#writing || this.#isOnHold || this.#ending !== undefined) return;
    this.#held = undefined;
    try {
      this.#handler?.received(chunk);
    } finally {
      chunk.fill(0);
    }
  }

  readonly #written = (error?: Error | null): void => {
    this.#writing = false;
    if (error || this.#ending !== undefined) return;
    this.#handler?.drained();
    this.#readOn();
  };

  #readOn(): void {
    if (!this.#isPaused || this.#writing || this.#isOnHold || this.#ending !== undefined) return;
    this.#isPaused = false;
    this.#socket.resume();
    this.#deliverReceived();
  }

  /** One timer serves many writes: each time it fires it looks whether the write it saw begin is still unfinished. */
  #watch(): NodeJS.Timeout {
    const seen = this.#writes;
    return setTimeout(() => {
      this.#deadline = undefined;
      if (!this.#writing) return;
      if (this.#writes === seen) this.#destroy(`the peer did not take what was written within ${this.#writeMs} ms`);
      else this.#deadline = this.#watch();
    }, this.#writeMs);
  }

  #destroy(reason: string): void {
    this.#ending ??= reason;
    this.#socket.destroy();
    this.#gone();
  }

  /** The handler hears of an end that is not its own at once, so that it never writes to what is ending. */
  #gone(): void {
    clearTimeout(this.#deadline);
    this.#ending ??= "the connection was lost";
    this.#dropReceived();
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.closed(this.#ending, this.#isRefused);
  }

  #dropReceived(): void {
    this.#held?.fill(0);
    this.#held = undefined;
  }
}
