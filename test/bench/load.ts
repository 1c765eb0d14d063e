// The load generator: connections that keep so many requests in flight, and count answers by their length.

import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import { contextOptions, type TlsMaterial } from "../../src/net/tls/options.ts";

/** Requests of one length, and answers of one length. */
export interface Shape {
  readonly requestBytes: number;
  readonly answerBytes: number;
  /** Lays the next request; false when there is none left. */
  lay(target: Buffer, at: number): boolean;
  /** Looks at one answer of many in full. @throws Error when it is not what was asked for */
  check(answer: Buffer): void;
  /** Whether something is a whole answer of whatever length: what refuses is shorter than what was asked for. */
  isWhole?(answer: Buffer): boolean;
}

export interface Target {
  readonly port: number;
  readonly tls: TlsMaterial;
}

export interface Load {
  readonly shape: Shape;
  /** Requests in flight on each connection. */
  readonly depth: number;
  readonly warmMs: number;
  readonly measureMs: number;
  /** CPU seconds of the server so far. */
  readonly cpu: () => number;
  /** The same of its main thread. */
  readonly mainCpu: () => number;
}

/** How busy the two ends were, as parts of one core. */
export interface Busy {
  readonly server: number;
  readonly generator: number;
}

export interface Outcome {
  readonly perSecond: number;
  /** CPU time of the server per answer, all its threads together. */
  readonly cpuMicros: number;
  /** All answers, those of the warm-up included. */
  readonly answers: number;
  /** The main thread of the server, and the generator's; absent where they cannot be told apart. */
  readonly busy?: Busy;
  /** Milliseconds from request to answer, sorted; only with one request in flight on one connection. */
  readonly latencies: Float64Array;
}

/** Full checks: of the first answer and one in so many chunks. */
const CHECK_EVERY = 256;
const DRAIN_MS = 10_000;

type IsWhole = (answer: Buffer) => boolean;

/** One request and its answer, of a length that is not known yet. */
export async function askOnce(target: Target, request: Uint8Array, isWhole: IsWhole): Promise<Buffer> {
  for await (const answer of answers(target, request, isWhole)) return answer;
  throw new Error("there was no answer");
}

/** The answers to one request that is asked again and again, as long as they are wanted. */
export async function* answers(target: Target, request: Uint8Array, isWhole: IsWhole): AsyncGenerator<Buffer> {
  const socket = await openSocket(target);
  try {
    for (;;) {
      socket.write(request);
      let answer: Buffer = Buffer.alloc(0);
      while (!isWhole(answer)) {
        const [chunk] = await once(socket, "data", { signal: AbortSignal.timeout(DRAIN_MS) });
        answer = Buffer.concat([answer, chunk]);
      }
      yield answer;
    }
  } finally {
    socket.destroy();
  }
}

/** A connection as applications have it. */
export async function openSocket({ port, tls }: Target): Promise<TLSSocket> {
  const options = { ...contextOptions({ tls }, ["X25519MLKEM768"]), host: "127.0.0.1", port };
  const socket = connect({ ...options, checkServerIdentity: () => undefined });
  socket.setNoDelay(true);
  await once(socket, "secureConnect");
  return socket;
}

interface Connection {
  readonly socket: TLSSocket;
  readonly requests: Buffer;
  /** Requests without their whole answer. */
  open: number;
  /** Bytes of the answer that has begun to arrive. */
  partial: number;
  chunks: number;
}

export class Clients implements Disposable {
  readonly #connections: Connection[] = [];
  #received: (connection: Connection, chunk: Buffer) => void = () => {};
  #failed: (error: Error) => void = () => {};

  /** Connections that stay open between rounds. */
  static async connect(target: Target, count: number, largestBatch: number): Promise<Clients> {
    const clients = new Clients();
    for (const socket of await Promise.all(Array.from({ length: count }, () => openSocket(target))))
      clients.#add(socket, largestBatch);
    return clients;
  }

  #add(socket: TLSSocket, largestBatch: number): void {
    const connection = { socket, requests: Buffer.alloc(largestBatch), open: 0, partial: 0, chunks: 0 };
    this.#connections.push(connection);
    socket.on("data", (chunk: Buffer) => this.#received(connection, chunk));
    socket.on("error", (error) => this.#failed(error));
    socket.on("close", () => this.#failed(new Error("the server closed a connection")));
  }

  /** One round. @throws Error when a connection ends or an answer is wrong */
  async run(load: Load): Promise<Outcome> {
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const round = new Round(load, this.#connections, resolve);
    const late = new Error("answers stopped coming: look whether the stock is spent, and at the KM's log");
    const deadline = setTimeout(() => reject(late), load.warmMs + load.measureMs + DRAIN_MS);
    this.#failed = reject;
    this.#received = (connection, chunk) => {
      try {
        round.received(connection, chunk);
      } catch (thrown) {
        reject(thrown);
      }
    };
    round.begin();
    return await promise.finally(() => clearTimeout(deadline));
  }

  [Symbol.dispose](): void {
    this.#failed = () => {};
    for (const { socket } of this.#connections) socket.destroy();
  }
}

interface Mark {
  readonly at: number;
  readonly answers: number;
  readonly cpu: number;
  readonly mainCpu: number;
  readonly ownCpu: number;
}

const MICROS_PER_S = 1e6;

/** CPU seconds of this process so far. */
export function ownSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / MICROS_PER_S;
}

class Round {
  readonly #load: Load;
  readonly #connections: readonly Connection[];
  readonly #resolve: (outcome: Outcome) => void;
  readonly #latencies: number[] = [];
  readonly #timed: boolean;
  #answers = 0;
  #open = 0;
  #sentAt = 0;
  #warm: Mark | undefined;
  #end: Mark | undefined;
  #exhausted = false;

  constructor(load: Load, connections: readonly Connection[], resolve: (outcome: Outcome) => void) {
    this.#load = load;
    this.#connections = connections;
    this.#resolve = resolve;
    this.#timed = load.depth === 1 && connections.length === 1;
  }

  begin(): void {
    const { depth, warmMs, measureMs } = this.#load;
    setTimeout(() => {
      this.#warm = this.#mark();
    }, warmMs);
    setTimeout(() => this.#finish(), warmMs + measureMs);
    for (const connection of this.#connections) this.#send(connection, depth);
  }

  #mark(): Mark {
    return {
      at: performance.now(),
      answers: this.#answers,
      cpu: this.#load.cpu(),
      mainCpu: this.#load.mainCpu(),
      ownCpu: ownSeconds(),
    };
  }

  #finish(): void {
    this.#end ??= this.#mark();
    if (this.#open === 0) this.#done();
  }

  #done(): void {
    const { answers, at, cpu, mainCpu, ownCpu } = this.#end ?? this.#mark();
    const warm = this.#warm;
    if (warm === undefined) throw new Error("the requests were spent before the measurement began");
    const counted = answers - warm.answers;
    const seconds = (at - warm.at) / 1000;
    this.#resolve({
      perSecond: counted / seconds,
      cpuMicros: ((cpu - warm.cpu) / counted) * 1e6,
      answers: this.#answers,
      busy: { server: (mainCpu - warm.mainCpu) / seconds, generator: (ownCpu - warm.ownCpu) / seconds },
      latencies: Float64Array.from(this.#latencies).sort(),
    });
  }

  received(connection: Connection, chunk: Buffer): void {
    const { answerBytes } = this.#load.shape;
    if (connection.partial === 0 && connection.chunks++ % CHECK_EVERY === 0 && chunk.length >= answerBytes) {
      this.#load.shape.check(chunk.subarray(0, answerBytes));
    }
    const { check, isWhole } = this.#load.shape;
    if (connection.partial === 0 && chunk.length < answerBytes && isWhole?.(chunk)) check(chunk);
    const bytes = connection.partial + chunk.length;
    const whole = Math.floor(bytes / answerBytes);
    connection.partial = bytes - whole * answerBytes;
    if (whole === 0) return;
    if (whole > connection.open) throw new Error("there are more answers than requests");
    connection.open -= whole;
    this.#open -= whole;
    this.#answers += whole;
    if (this.#timed && this.#warm !== undefined) this.#latencies.push(performance.now() - this.#sentAt);
    if (this.#end === undefined && !this.#exhausted) this.#send(connection, whole);
    if (this.#exhausted && this.#open === 0) this.#finish();
    else if (this.#end !== undefined && this.#open === 0) this.#done();
  }

  #send(connection: Connection, count: number): void {
    const { shape } = this.#load;
    const { requests, socket } = connection;
    let laid = 0;
    while (laid < count && shape.lay(requests, laid * shape.requestBytes)) laid += 1;
    this.#exhausted ||= laid < count;
    if (laid === 0) return;
    connection.open += laid;
    this.#open += laid;
    if (this.#timed) this.#sentAt = performance.now();
    // TLS has encrypted what it was given when `write` returns, unless an older write is unfinished: a copy then.
    const bytes = requests.subarray(0, laid * shape.requestBytes);
    socket.write(socket.writableLength === 0 ? bytes : Buffer.from(bytes));
  }
}
