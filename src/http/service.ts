// HTTP at a door: limits, requests on admitted connections, orderly stop. TLS is the listener's, what requests mean the door's.

import type { Fault } from "../core/fault.ts";
import type { Clock, Meter } from "../core/ports.ts";
import type { PausableChannel } from "../net/channel.ts";
import { LockedBody, PlainBody } from "./body-store.ts";
import { type ConnectionLimits, type Handler, HttpConnection, type Shared } from "./connection.ts";
import { Head } from "./head.ts";
import { Parts } from "./parts.ts";

/** What slow clients meet. Milliseconds. */
export const HTTP_LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 60_000,
  answerTimeout: 10_000,
  /** How often it is looked who is late. */
  checkInterval: 2000,
} as const satisfies ConnectionLimits & { readonly checkInterval: number };

/** Requests under way have this long to end at stop. */
export const DRAIN_MS = 5000;

/** Largest piece of an answer. */
const PIECE_BYTES = 65_536;
/** The head of an answer and one key of the largest size. */
const LEAST_BYTES = 8192;

/** What every HTTP door is given: time, counters, log. */
export interface ServicePorts {
  readonly clock: Clock;
  readonly meter: Meter;
}

/** The door's name and memory. */
export interface ServiceOptions {
  /** As counters name it. */
  readonly door: string;
  /** Where answers with keys are written; where bodies are gathered, when those have keys. */
  readonly memory: Uint8Array;
  /** Keys come in bodies. */
  readonly bringsKeys?: boolean;
}

const lockedStore =
  (parts: Parts): Shared["store"] =>
  (then) =>
    parts.take((part) => then(new LockedBody(part)));

/** Serves connections whose other end was examined. */
export class Service {
  readonly #ports: ServicePorts;
  readonly #shared: Shared;
  readonly #connections = new Set<HttpConnection>();
  readonly #gone = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;

  /** @throws RangeError when the memory is too small */
  constructor({ door, memory, bringsKeys = false }: ServiceOptions, ports: ServicePorts, handle: Handler) {
    if (memory.length < LEAST_BYTES) throw new RangeError(`answers need at least ${LEAST_BYTES} bytes of memory`);
    this.#ports = ports;
    this.#shared = {
      handle,
      limits: HTTP_LIMITS,
      head: new Head(ports.clock, HTTP_LIMITS.keepAliveTimeout),
      memory: memory.subarray(0, bringsKeys ? 0 : PIECE_BYTES),
      closing: () => this.#stopping,
      store: bringsKeys ? lockedStore(new Parts(memory)) : (then) => then(new PlainBody()),
      refused: (reason) => ports.meter.add("frames_refused", { door, reason }),
      gone: (connection) => this.#left(connection),
    };
  }

  /** Takes a connection over, from which nothing was read. One that is turned away has one answer. */
  connected(channel: PausableChannel, turnedAway?: Fault): void {
    const connection = new HttpConnection(channel, turnedAway, this.#shared);
    this.#connections.add(connection);
    this.#timer ??= setInterval(() => this.#check(), HTTP_LIMITS.checkInterval).unref();
    if (this.#stopping) connection.stop();
  }

  /** Ends idle connections, lets requests under way end, and cuts off what is left after `DRAIN_MS`. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const endDeadline = this.#ports.clock.after(DRAIN_MS, () => {
      for (const connection of this.#connections) connection.cutOff();
    });
    for (const connection of this.#connections) connection.stop();
    if (this.#connections.size === 0) this.#gone.resolve();
    await this.#gone.promise;
    endDeadline();
  }

  #left(connection: HttpConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#stopping) this.#gone.resolve();
  }

  #check(): void {
    const nowMs = performance.now();
    for (const connection of this.#connections) connection.check(nowMs);
  }
}
