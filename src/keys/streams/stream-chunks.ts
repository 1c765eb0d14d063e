// GET_KEY: who gives the key at an index, its IDs told to the other KM, the key carved here or fetched by these IDs.
//
//   KM whose ID sorts first               the other
//   app asks 7 ── carve ── named 7 ──────────>  (app there fetches 7 by its IDs)
//              <────────────── claim 8 ── app asks 8
//              ── success ─────────────────>   carve
//              <────────────── named 8 ──      (only now the app has it)

import { asFault, Fault } from "../../core/fault.ts";
import { idsOf } from "../common/grant-ids.ts";
import { Quotas } from "../common/quota.ts";
import { keysOf } from "../common/sizes.ts";
import type { Answer, FetchRequest, Grant } from "../ports/keys.ts";
import type { ChunkAnswer, StreamId } from "../ports/streams.ts";
import type { NamedChunk, Stream, StreamEnd } from "./stream.ts";
import type { IndexEvent, NamedEvent, StreamEvent } from "./stream-entries.ts";
import type { StreamHost } from "./stream-host.ts";
import { MAX_ASKING, MAX_NAMED, MAX_RUNS } from "./stream-rules.ts";

/** How the KM at a stream's other end is told. */
interface Notifier {
  /** @throws Fault of the other KM, PEER_UNAVAILABLE */
  notify(stream: Stream, event: StreamEvent): Promise<void>;
  /** The other KM does not know the stream any more. */
  end(stream: Stream, fault: Fault): void;
}

/** A request until it is answered or given up. */
interface Ask {
  readonly stream: Stream;
  readonly end: StreamEnd;
  readonly index: number;
  readonly answer: ChunkAnswer;
  isOpen: boolean;
  /** Ends whatever it waits for. */
  giveUp: () => void;
}

type Named = Pick<NamedEvent, "index" | "keyIds" | "facts">;

/** Thrown through a request whose client is gone. */
class GivenUp extends Error {}

/** The chunks of all streams: carved when an index is asked for, fetched at the other end. */
export class StreamChunks {
  readonly #host: StreamHost;
  readonly #notifier: Notifier;
  readonly #asks = new Set<Ask>();
  readonly #paces = new WeakMap<StreamEnd, Quotas>();

  constructor(host: StreamHost, notifier: Notifier) {
    this.#host = host;
    this.#notifier = notifier;
  }

  get size(): number {
    return this.#asks.size;
  }

  request(stream: Stream, end: StreamEnd, index: number, answer: ChunkAnswer): () => void {
    const ask: Ask = { stream, end, index, answer, isOpen: true, giveUp: () => {} };
    this.#asks.add(ask);
    this.#run(ask).then(
      () => this.#close(ask),
      (thrown: unknown) => {
        const wasOpen = this.#close(ask);
        const fault = asFault(thrown);
        if (wasOpen && !(thrown instanceof GivenUp)) answer.refused(fault);
      },
    );
    return () => {
      if (!this.#close(ask)) return;
      ask.giveUp();
      end.wake(index);
    };
  }

  #close(ask: Ask): boolean {
    const wasOpen = ask.isOpen;
    ask.isOpen = false;
    this.#asks.delete(ask);
    return wasOpen;
  }

  async #run(ask: Ask): Promise<void> {
    const { stream, end, index } = ask;
    if (end.asking.size + end.waiting >= MAX_ASKING) throw new Fault("BUSY", { retryAfterMs: 1000 });
    await this.#pace(ask);
    while (ask.isOpen) {
      const named = end.named.get(index);
      if (named !== undefined) return await this.#fetch(ask, named);
      this.#check(ask);
      // Before anything is waited for: nobody else may begin with this index.
      end.asking.add(index);
      if (await this.#claim(stream, index).catch((thrown: unknown) => this.#drop(ask, thrown))) {
        return await this.#carve(ask);
      }
      end.asking.delete(index);
      if (!end.named.has(index) && ask.isOpen) await end.changed(index);
    }
  }

  /** @throws Fault KEY_NOT_FOUND, BUSY, APP_UNAVAILABLE */
  #check({ stream, end, index }: Ask): void {
    if (end.state !== "joined") throw new Fault("SESSION_UNKNOWN", { text: "the key stream is closed" });
    if (end.used.has(index)) throw new Fault("KEY_NOT_FOUND", { text: "this index was had before" });
    if (end.asking.has(index)) throw new Fault("BUSY", { text: "this index is being asked for" });
    if (end.used.runs >= MAX_RUNS) throw new Fault("BUSY", { text: "indexes were asked with too many gaps" });
    if (stream.otherOf(end.app).state !== "joined") throw new Fault("APP_UNAVAILABLE");
  }

  /** Waits until the rate agreed on allows a chunk. */
  async #pace(ask: Ask): Promise<void> {
    const { stream, end } = ask;
    const { chunkBytes, maxBps } = stream.qos;
    const bits = 8 * chunkBytes;
    const quota = { bitsPerS: Math.max(1, maxBps), burstBits: Math.max(bits, maxBps) };
    const pace = this.#paces.get(end) ?? new Quotas(this.#host.context.clock, () => quota);
    this.#paces.set(end, pace);
    for (let waitMs = pace.take(end.app, bits); waitMs > 0 && ask.isOpen; waitMs = pace.take(end.app, bits)) {
      await this.#pause(ask, waitMs);
    }
  }

  #pause(ask: Ask, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.#host.context.clock.after(ms, resolve);
      ask.giveUp = () => {
        stop();
        resolve();
      };
    });
  }

  get #self() {
    return this.#host.context.self;
  }

  #decides({ peer }: Stream): boolean {
    return this.#self <= peer;
  }

  /** Whether the index is ours to give. @throws Fault */
  async #claim(stream: Stream, index: number): Promise<boolean> {
    if (this.#decides(stream)) return !stream.claims.has(index);
    try {
      await this.#notifier.notify(stream, { id: stream.id, event: "claim", index });
      return true;
    } catch (thrown) {
      if (asFault(thrown).code === "BUSY") return false;
      throw thrown;
    }
  }

  /** Nothing has come of an index that was asked here: it may be asked again, here or there. */
  #drop({ stream, end, index }: Ask, thrown: unknown): never {
    end.asking.delete(index);
    end.wake(index);
    const fault = asFault(thrown);
    if (fault.code === "SESSION_UNKNOWN") this.#notifier.end(stream, fault);
    this.#notifier.notify(stream, { id: stream.id, event: "free", index }).catch(() => {
      // A claim ends with the connection at the latest.
    });
    throw thrown;
  }

  async #carve(ask: Ask): Promise<void> {
    const { stream, end, index, answer } = ask;
    const { chunkBytes } = stream.qos;
    const grant = await this.#supplied(ask).catch((thrown: unknown) => this.#drop(ask, thrown));
    const keyIds = idsOf(grant);
    const facts = { ageMs: this.#ageMs(stream, keyIds), hops: this.#host.hops(stream.peer) };
    try {
      await this.#name(stream, end, { index, keyIds, facts });
    } catch (thrown) {
      grant[Symbol.dispose]();
      // The other KM may have them all the same: then it refuses any others for this index.
      this.#drop(ask, thrown);
    }
    this.#done(end, index);
    if (this.#close(ask)) answer.granted(grant, chunkBytes, facts);
    else grant[Symbol.dispose]();
  }

  #ageMs(stream: Stream, [keyId = ""]: readonly string[]): number {
    return Math.max(0, Math.round(this.#host.ageMs(stream.peer, keyId)));
  }

  #done(end: StreamEnd, index: number): void {
    end.asking.delete(index);
    end.used.add(index);
    end.wake(index);
  }

  #supplied(ask: Ask): Promise<Grant> {
    const { stream, end } = ask;
    const destination = stream.otherOf(end.app).app;
    const amount = keysOf(stream.qos.chunkBytes, this.#host.sizes(stream.peer));
    return this.#granted(ask, (answer) =>
      this.#host.supply({ door: "etsi004", app: end.app, destination, ...amount }, answer),
    );
  }

  #granted(ask: Ask, begin: (answer: Answer) => () => void): Promise<Grant> {
    return new Promise((resolve, reject) => {
      const giveUp = begin({ granted: resolve, refused: reject });
      ask.giveUp = () => {
        giveUp();
        reject(new GivenUp());
      };
    });
  }

  /** Tells the other end which keys the index has. @throws Fault */
  async #name(stream: Stream, end: StreamEnd, told: Named): Promise<void> {
    if (stream.peer === this.#self) this.#enter(stream.otherOf(end.app), told);
    else await this.#notifier.notify(stream, { id: stream.id, event: "named", ...told });
  }

  /** @throws Fault BUSY */
  #enter(end: StreamEnd, { index, keyIds, facts }: Named): void {
    if (end.named.size >= MAX_NAMED) throw new Fault("BUSY", { text: "the other application takes no key" });
    end.named.set(index, { keyIds, facts, namedAt: this.#host.context.clock.monotonicMs() });
    end.wake(index);
  }

  /** What the other KM tells of an index. `end`: of the application at home here. @throws Fault, which becomes the 0x1104 */
  heard(stream: Stream, end: StreamEnd, told: IndexEvent): void {
    const { index } = told;
    if (told.event === "claim") this.#heardClaim(stream, end, index);
    else if (told.event === "free") {
      stream.claims.delete(index);
      end.wake(index);
    } else {
      const isOurs = this.#decides(stream) ? !stream.claims.has(index) : !end.asking.has(index) && !end.isFree(index);
      if (isOurs || end.used.has(index) || end.named.has(index))
        throw new Fault("KEY_NOT_FOUND", { text: "not its index" });
      this.#enter(end, told);
      stream.claims.delete(index);
    }
  }

  #heardClaim(stream: Stream, end: StreamEnd, index: number): void {
    if (!this.#decides(stream)) throw new Fault("MALFORMED_REQUEST", { text: "the other key manager decides" });
    if (end.named.has(index)) throw new Fault("KEY_NOT_FOUND", { text: "this index was named before" });
    if (end.asking.has(index) || end.used.has(index)) throw new Fault("BUSY", { text: "this index is given here" });
    if (stream.claims.size >= MAX_ASKING && !stream.claims.has(index)) throw new Fault("STORE_FULL");
    stream.claims.add(index);
  }

  /** What the other KM claimed is free again. */
  release(stream: Stream): void {
    const claims = [...stream.claims];
    stream.claims.clear();
    for (const index of claims) for (const end of stream.ends) end.wake(index);
  }

  async #fetch(ask: Ask, { keyIds, facts, namedAt }: NamedChunk): Promise<void> {
    const { stream, end, index, answer } = ask;
    end.named.delete(index);
    end.asking.add(index);
    let grant: Grant;
    try {
      grant = await this.#granted(ask, (then) => this.#host.fetch(this.#fetchOf(stream, end, keyIds), then));
    } catch (thrown) {
      end.asking.delete(index);
      // What can be had later is left as it was; what cannot is done with.
      if (thrown instanceof Fault && thrown.code === "KEY_NOT_FOUND") end.used.add(index);
      else if (end.state === "joined") end.named.set(index, { keyIds, facts, namedAt });
      throw thrown;
    }
    this.#done(end, index);
    const ageMs = facts.ageMs + Math.round(this.#host.context.clock.monotonicMs() - namedAt);
    if (this.#close(ask)) answer.granted(grant, stream.qos.chunkBytes, { ...facts, ageMs });
    else grant[Symbol.dispose]();
  }

  #fetchOf(stream: Stream, { app }: StreamEnd, keyIds: readonly string[]): FetchRequest {
    return { door: "etsi004", app, initiator: stream.otherOf(app).app, keyIds };
  }

  /** Destroys key that was named to an end and that nobody took: what was named up to `until`, or all. */
  erase(stream: Stream, end: StreamEnd, until = Number.POSITIVE_INFINITY): void {
    for (const [index, { keyIds, namedAt }] of end.named) {
      if (namedAt > until) return;
      end.named.delete(index);
      end.used.add(index);
      this.#destroy(stream.id, this.#fetchOf(stream, end, keyIds));
    }
  }

  #destroy(stream: StreamId, request: FetchRequest): void {
    this.#host.fetch(request, {
      granted: (grant) => grant[Symbol.dispose](),
      refused: ({ response }) =>
        this.#host.context.log.debug({ stream, fault: response }, "a chunk could not be erased"),
    });
  }
}
