// The `etsi004` driver: a vendor's box that gives key streams over ETSI GS QKD 004. This end opens a stream for the blocks that
// it owns, and joins the one that the other end has opened for its own: so no index is ever taken by both. A block is one
// chunk, or as many as fill it where a box gives smaller ones; its name says which: `<Key_stream_ID>:<index>:<chunks>`.

import { Fault } from "../../src/core/fault.ts";
import type { Secret } from "../../src/core/memory/secret.ts";
import type { BlockOffer, BoxOptions, BoxPorts, KeyBox, OpenBox } from "../../src/device/key-box.ts";
import type { SourceStatus } from "../../src/device/key-source.ts";
import {
  closeRequest,
  getKeyRequest,
  type OpenReply,
  openRequest,
  readKeyReply,
  readOpenReply,
} from "../../src/etsi004/client-messages.ts";
import { STATUS } from "../../src/etsi004/messages.ts";
import { BoxFault } from "../common/box-tls.ts";
import { BoxWork } from "../common/box-work.ts";
import { StreamClient } from "./client.ts";

/** How long the box may take over a call, which it is told. */
const TIMEOUT_MS = 2000;
/** Key that nobody took in so long is erased at the boxes. */
const TTL_S = 3600;
const COMPLETE_WITHIN_MS = 5000;
const MOST_INDEX = 2 ** 31;
/** Streams of the other end that are remembered; it opens another after each of its starts. */
const MOST_JOINED = 4;

interface OpenStream {
  readonly id: string;
  readonly chunkBytes: number;
}

/** Chunks of a stream that make a block. */
interface BlockPlace {
  readonly id: string;
  readonly index: number;
  readonly chunks: number;
}

/** Resolves at once. */
export const openEtsi004KeyBox: OpenBox = async (options, ports) => new Etsi004Box(options, ports);

class Etsi004Box implements KeyBox {
  readonly #options: BoxOptions;
  readonly #work: BoxWork;
  readonly #clients: { readonly offer: StreamClient; readonly fetch: StreamClient };
  #own: (OpenStream & { next: number }) | undefined;
  readonly #joined = new Map<string, OpenStream>();

  constructor(options: BoxOptions, ports: BoxPorts) {
    this.#options = options;
    this.#work = new BoxWork(options, ports);
    this.#clients = { offer: new StreamClient(options, ports), fetch: new StreamClient(options, ports) };
  }

  status(): SourceStatus {
    return this.#work.state.read();
  }

  offer(into: Secret): Promise<BlockOffer> {
    return this.#work.noted(async () => {
      if (this.#own === undefined || this.#own.next > MOST_INDEX) {
        this.#own = { ...(await this.#open(this.#clients.offer)), next: 0 };
      }
      const { id, chunkBytes, next: index } = this.#own;
      const chunks = Math.ceil(into.length / chunkBytes);
      this.#own.next += chunks;
      const place = { id, index, chunks };
      return { names: [`${id}:${index}:${chunks}`], complete: () => this.#complete(place, chunkBytes, into) };
    });
  }

  /** The other end has joined the stream by now: boxes give no key before. */
  async #complete(place: BlockPlace, chunkBytes: number, into: Secret): Promise<void> {
    try {
      await this.#work.noted(() =>
        this.#read(this.#clients.offer, { ...place, chunkBytes, withinMs: COMPLETE_WITHIN_MS }, into),
      );
    } catch (thrown) {
      // The stream may have ended with the box: the next block begins another.
      if (this.#own?.id === place.id) this.#own = undefined;
      throw thrown;
    }
  }

  fetch(names: readonly string[], into: Secret, withinMs: number): Promise<void> {
    return this.#work.noted(async () => {
      const place = placeIn(names);
      const until = this.#work.now + withinMs;
      const { chunkBytes } = this.#joined.get(place.id) ?? (await this.#join(place.id, withinMs));
      if (place.chunks !== Math.ceil(into.length / chunkBytes)) {
        throw new Fault("MALFORMED_REQUEST", { text: `${place.chunks} chunks of ${chunkBytes} bytes are no block` });
      }
      const left = until - this.#work.now;
      try {
        await this.#read(this.#clients.fetch, { ...place, chunkBytes, withinMs: left }, into);
      } catch (thrown) {
        this.#joined.delete(place.id);
        throw thrown;
      }
    });
  }

  async #join(id: string, withinMs: number): Promise<OpenStream> {
    const stream = await this.#work.again(withinMs, () => this.#open(this.#clients.fetch, id));
    this.#joined.set(id, stream);
    for (const old of this.#joined.keys()) {
      if (this.#joined.size <= MOST_JOINED) break;
      this.#joined.delete(old);
      await this.#clients.fetch.call(
        { service: "close", frame: closeRequest(this.#options.wire, old), withinMs: TIMEOUT_MS },
        () => {},
      );
    }
    return stream;
  }

  /** @throws Fault */
  async #open(client: StreamClient, id?: string): Promise<OpenStream> {
    const { blockBytes } = this.#options;
    const first = await this.#ask(client, blockBytes, id);
    // A counter-proposal is taken, if it has chunks of which a block can be made.
    const smaller = first.stream?.chunkBytes ?? 0;
    const isOffer = first.status === STATUS.qosNotMet && smaller > 0 && smaller < blockBytes;
    const { status, stream } = isOffer ? await this.#ask(client, smaller, id) : first;
    if (status !== STATUS.ok && status !== STATUS.alone) throw refusal(status, "OPEN_CONNECT");
    if (stream === undefined || stream.chunkBytes === 0 || stream.chunkBytes > blockBytes) {
      throw new BoxFault("box-answers-wrong", `the box opens a stream with chunks of ${stream?.chunkBytes} bytes`);
    }
    return stream;
  }

  #ask(client: StreamClient, chunkBytes: number, id: string | undefined): Promise<OpenReply> {
    const { wire, local: source, remote: destination } = this.#options;
    const rates = { maxBps: 0, minBps: 0, jitterBps: 0, priority: 0 };
    const qos = { chunkBytes, ...rates, timeoutMs: TIMEOUT_MS, ttlS: TTL_S };
    const frame = openRequest(wire, { source, destination, qos, ...(id !== undefined && { id }) });
    return client.call({ service: "open", frame, withinMs: TIMEOUT_MS }, (payload) => readOpenReply(payload, wire));
  }

  async #read(
    client: StreamClient,
    {
      id,
      index,
      chunks,
      chunkBytes,
      withinMs,
    }: BlockPlace & { readonly chunkBytes: number; readonly withinMs: number },
    into: Secret,
  ): Promise<void> {
    const until = this.#work.now + withinMs;
    for (let chunk = 0; chunk < chunks; chunk++) {
      await this.#work.again(until - this.#work.now, () =>
        this.#getKey(client, { id, index: index + chunk }, (key) => {
          if (key.length !== chunkBytes) {
            throw new BoxFault("box-answers-wrong", `a chunk of the box has ${key.length} bytes, not ${chunkBytes}`);
          }
          const start = chunk * chunkBytes;
          into.lend((bytes) => bytes.set(key.subarray(0, Math.min(chunkBytes, bytes.length - start)), start));
        }),
      );
    }
  }

  #getKey(
    client: StreamClient,
    { id, index }: { readonly id: string; readonly index: number },
    use: (key: Uint8Array) => void,
  ): Promise<void> {
    const { wire } = this.#options;
    const call = { service: "getKey", frame: getKeyRequest(wire, id, index), withinMs: TIMEOUT_MS } as const;
    return client.call(call, (payload) => {
      const { status, key } = readKeyReply(payload, wire, index);
      if (status !== STATUS.ok) throw refusal(status, "GET_KEY");
      use(key);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#work[Symbol.dispose]();
    this.#clients.offer[Symbol.dispose]();
    this.#clients.fetch[Symbol.dispose]();
  }
}

/** @throws Fault MALFORMED_REQUEST */
function placeIn(names: readonly string[]): BlockPlace {
  const [, id, index, chunks] =
    /^([0-9a-f]{32}):(\d{1,10}):(\d{1,4})$/.exec(names.length === 1 ? `${names[0]}` : "") ?? [];
  if (id === undefined) throw new Fault("MALFORMED_REQUEST", { text: "the key is not named as one of a key stream" });
  return { id, index: Number(index), chunks: Number(chunks) };
}

/** What a status other than success means. */
function refusal(status: number, what: string): Fault {
  const text = `the box answers status ${status} to ${what}`;
  if (status === STATUS.insufficientKey || status === STATUS.timeout) return new Fault("INSUFFICIENT_KEYS", { text });
  if (status === STATUS.peerNotConnected) return new Fault("KEY_NOT_FOUND", { text });
  return new BoxFault("box-refuses", text);
}
