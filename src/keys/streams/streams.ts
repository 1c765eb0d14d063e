// Key streams (ETSI GS QKD 004) between an application at home here and another: opened, named, read by index, closed.
//
// Two KMs share a stream as they share everything: by key IDs. Whichever application asks for an index first is given
// key that its own KM carves, as soon as the other KM has its IDs; the other application then gets the same key by these
// IDs, as at any door. So no key is held ready for anybody, nothing is used twice, and what was not fetched in time is
// erased. Of two KMs the one whose ID sorts first decides who was first. Streams live in memory: a restart ends them.

import { asFault, Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { ExtensionEntry } from "../ports/peers.ts";
import type {
  ChunkAnswer,
  ChunkRequest,
  StreamAnswer,
  StreamDoor,
  StreamId,
  StreamQos,
  StreamRequest,
} from "../ports/streams.ts";
import { PeerBoots } from "../sessions/peer-boots.ts";
import { Stream, type StreamEnd } from "./stream.ts";
import { StreamChunks } from "./stream-chunks.ts";
import { entryOf, type OpenEvent, readStreamEvent, type StreamEvent } from "./stream-entries.ts";
import type { StreamHost } from "./stream-host.ts";
import { IDLE_MS, MAX_PER_APP, MAX_STREAMS, nearest } from "./stream-rules.ts";

const TELL_TIMEOUT_MS = 5000;
const SWEEP_MS = 1000;
const ID_BYTES = 16;

const unknown = (): Fault => new Fault("SESSION_UNKNOWN", { text: "the key stream is not known here" });
const inUse = (): Fault => new Fault("NOT_AUTHORIZED", { text: "the key stream is in use by others" });

/** All streams of this KM: opened, joined, used, ended. */
export class Streams implements StreamDoor {
  readonly #host: StreamHost;
  readonly #streams = new Map<StreamId, Stream>();
  readonly #chunks: StreamChunks;
  readonly #boots = new PeerBoots();
  #stopSweep: (() => void) | undefined;
  #stopping = false;

  constructor(host: StreamHost) {
    this.#host = host;
    this.#chunks = new StreamChunks(host, {
      notify: (stream, event) => this.#notify(stream, event),
      end: (stream, fault) => this.#end(stream, fault),
    });
  }

  /** Streams open here, and requests for key in them under way. */
  get sizes(): { readonly streams: number; readonly asks: number } {
    return { streams: this.#streams.size, asks: this.#chunks.size };
  }

  openStream(request: StreamRequest, answer: StreamAnswer): () => void {
    let isOpen = true;
    let stopWaiting = (): void => {};
    const once = (then: () => void): void => {
      if (!isOpen) return;
      isOpen = false;
      stopWaiting();
      then();
    };
    const opened = (stream: Stream): void => {
      const { id, qos } = stream;
      const isThere = (): boolean => stream.otherOf(request.app).state === "joined";
      const tell = (): void => once(() => answer.opened(id, qos, isThere()));
      // Who is to be told the ID first cannot be there yet.
      if (isThere() || request.id === undefined) {
        tell();
        return;
      }
      const stopTimer = this.#host.context.clock.after(qos.timeoutMs, tell);
      const stopListening = stream.onJoined(() => {
        if (isThere()) tell();
      });
      stopWaiting = () => {
        stopTimer();
        stopListening();
      };
    };
    this.#open(request).then(
      (outcome) => {
        if (outcome instanceof Stream) opened(outcome);
        else once(() => answer.refused(new Fault("INSUFFICIENT_KEYS", { text: "the wish cannot be met" }), outcome));
      },
      (thrown: unknown) => once(() => answer.refused(asFault(thrown))),
    );
    return () => once(() => {});
  }

  /** A stream, or what could be had instead. @throws Fault */
  async #open({ app, other, id, qos }: StreamRequest): Promise<Stream | StreamQos> {
    this.#checkWorking();
    if (app === other) throw new Fault("MALFORMED_REQUEST", { text: "an application has no stream with itself" });
    const known = id === undefined ? undefined : this.#streams.get(id);
    if (known !== undefined) return await this.#join(known, app, other);
    const peer = this.#host.homeOf(other);
    const met = nearest(qos, this.#means(app, peer));
    if (!met.isMet) return met.qos;
    const stream = this.#admit(new Stream(id ?? this.#newId(), peer, [app, other], met.qos), app);
    stream.joined(this.#endOf(stream, app));
    try {
      await this.#notify(stream, { id: stream.id, event: "open", initiator: app, target: other, qos: stream.qos });
    } catch (thrown) {
      this.#forget(stream, unknown());
      throw thrown;
    }
    const { audit } = this.#host.context;
    audit.note("stream_opened", { stream: stream.id, initiator: app, target: other, peer });
    return stream;
  }

  /** The second application, or one whose connection was lost. @throws Fault */
  async #join(stream: Stream, app: AppId, other: AppId): Promise<Stream> {
    const end = stream.endOf(app);
    if (end === undefined || !stream.isBetween(app, other) || end.state === "closed") throw inUse();
    stream.usedAt = this.#now;
    if (end.state === "joined") return stream;
    await this.#notify(stream, { id: stream.id, event: "joined" });
    stream.joined(end);
    return stream;
  }

  #means(app: AppId, peer: KmId) {
    const { policy } = this.#host.context;
    const promised = [...this.#streams.values()].filter((stream) => stream.peer === peer);
    const taken = promised.reduce((sum, { qos }) => sum + qos.minBps, 0);
    return {
      sizes: this.#host.sizes(peer),
      freeBps: Math.max(0, (this.#host.rateBps(peer) ?? 0) - taken),
      quotaBps: this.#host.quotaBps(app),
      timeoutMs: policy.timeoutMs,
      keptMs: policy.fetchWindowMs,
    };
  }

  /** @throws Fault BUSY */
  #admit(stream: Stream, app: AppId): Stream {
    const ofApp = [...this.#streams.values()].filter((one) => one.endOf(app) !== undefined).length;
    if (ofApp >= MAX_PER_APP) throw new Fault("BUSY", { text: `${app} has ${ofApp} streams, as many as it may` });
    if (this.#streams.size >= MAX_STREAMS) throw new Fault("BUSY", { text: "there are as many streams as may be" });
    stream.usedAt = this.#now;
    this.#streams.set(stream.id, stream);
    this.#stopSweep ??= this.#host.context.clock.after(SWEEP_MS, () => this.#sweep());
    return stream;
  }

  /** A UUID of version 4 (RFC 9562 5.4). */
  #newId(): StreamId {
    const hex = this.#host.context.random.hex(ID_BYTES);
    const variant = "89ab".charAt(Number.parseInt(hex.charAt(16), 16) & 3);
    return `${hex.slice(0, 12)}4${hex.slice(13, 16)}${variant}${hex.slice(17)}`;
  }

  streamQos(app: AppId, id: StreamId): StreamQos {
    return this.#find(app, id).stream.qos;
  }

  chunk(request: ChunkRequest, answer: ChunkAnswer): () => void {
    try {
      this.#checkWorking();
      const { stream, end } = this.#find(request.app, request.id);
      stream.usedAt = this.#now;
      return this.#chunks.request(stream, end, request.index, answer);
    } catch (thrown) {
      answer.refused(asFault(thrown));
      return () => {};
    }
  }

  closeStream(app: AppId, id: StreamId): void {
    const { stream, end } = this.#find(app, id);
    end.state = "closed";
    end.failAll(unknown());
    this.#chunks.erase(stream, end);
    this.#host.context.audit.note("stream_closed", { stream: id, app, peer: stream.peer });
    this.#tell(stream, { id, event: "closed" });
    if (stream.otherOf(app).state !== "joined") this.#forget(stream, unknown());
  }

  /** @throws Fault SESSION_UNKNOWN: one that is closed, or is not this application's, is not there */
  #find(app: AppId, id: StreamId): { readonly stream: Stream; readonly end: StreamEnd } {
    const stream = this.#streams.get(id);
    const end = stream?.endOf(app);
    if (stream === undefined || end?.state !== "joined") throw unknown();
    return { stream, end };
  }

  #endOf(stream: Stream, app: AppId): StreamEnd {
    const end = stream.endOf(app);
    if (end === undefined) throw unknown();
    return end;
  }

  /** What a peer tells, as far as it concerns streams. @throws Fault, which becomes the 0x1104 */
  told(peer: KmId, entries: readonly ExtensionEntry[]): void {
    for (const entry of entries) {
      if (this.#boots.isNew(peer, entry)) this.#endAll(peer);
      const event = readStreamEvent(entry);
      if (event !== undefined) this.#heard(peer, event);
    }
  }

  #heard(peer: KmId, told: StreamEvent): void {
    this.#checkWorking();
    if (told.event === "open") {
      this.#heardOpen(peer, told);
      return;
    }
    const stream = this.#streams.get(told.id);
    if (stream === undefined || stream.peer !== peer) throw unknown();
    const [there, here] = this.#sides(stream);
    if (told.event === "joined") stream.joined(there);
    else if (told.event === "closed") {
      there.state = "closed";
      if (here.state !== "joined") this.#forget(stream, unknown());
    } else this.#chunks.heard(stream, here, told);
  }

  /** The end of the application at the other KM, and the one at home here. */
  #sides(stream: Stream): readonly [StreamEnd, StreamEnd] {
    const [one, other] = stream.ends;
    return this.#host.homeOf(one.app) === stream.peer ? [one, other] : [other, one];
  }

  #heardOpen(peer: KmId, { id, initiator, target, qos }: OpenEvent): void {
    const { context, homeOf } = this.#host;
    if (homeOf(initiator) !== peer || homeOf(target) !== context.self) {
      throw new Fault("UNKNOWN_APPLICATION", { text: "the applications are not at home where they should be" });
    }
    const known = this.#streams.get(id);
    if (known === undefined) {
      const stream = this.#admit(new Stream(id, peer, [initiator, target], qos), target);
      stream.joined(this.#endOf(stream, initiator));
      return;
    }
    // Both opened it at the same time, under an ID that they had agreed on: the first KM's wish holds.
    if (known.peer !== peer || !known.isBetween(initiator, target)) throw inUse();
    if (peer < context.self) known.qos = qos;
    known.joined(this.#endOf(known, initiator));
  }

  /** @throws Fault of the other KM, PEER_UNAVAILABLE */
  async #notify(stream: Stream, event: StreamEvent): Promise<void> {
    if (stream.peer === this.#host.context.self) return;
    const peer = this.#host.peerOf(stream.peer);
    if (peer === undefined) throw new Fault("PEER_UNAVAILABLE", { retryAfterMs: 1000 });
    await peer.tell([entryOf(event)], TELL_TIMEOUT_MS);
  }

  /** Whether it arrives or not. */
  #tell(stream: Stream, event: StreamEvent): void {
    this.#notify(stream, event).catch((thrown: unknown) => {
      const { log } = this.#host.context;
      log.debug({ peer: stream.peer, fault: asFault(thrown).response }, "a peer was not told of a key stream");
    });
  }

  /** The connection to a peer has ended: what it claimed is free again. Streams stay. */
  disconnected(peer: KmId): void {
    for (const stream of this.#streams.values()) if (stream.peer === peer) this.#chunks.release(stream);
  }

  /** Ends the streams of an application that is none here any more, at this end or the other. */
  disown(app: AppId): void {
    for (const stream of [...this.#streams.values()].filter((one) => one.endOf(app) !== undefined)) {
      this.#tell(stream, { id: stream.id, event: "closed" });
      this.#forget(stream, unknown());
    }
  }

  /** Ends a stream that the other KM does not have any more. */
  #end(stream: Stream, fault: Fault): void {
    this.#forget(stream, fault);
  }

  #endAll(peer?: KmId): void {
    for (const stream of [...this.#streams.values()]) {
      if (peer === undefined || stream.peer === peer) this.#forget(stream, unknown());
    }
  }

  #forget(stream: Stream, fault: Fault): void {
    if (!this.#streams.delete(stream.id)) return;
    for (const end of stream.ends) {
      end.state = "closed";
      end.failAll(fault);
      this.#chunks.erase(stream, end);
    }
    if (this.#streams.size > 0) return;
    this.#stopSweep?.();
    this.#stopSweep = undefined;
  }

  /** Erases key that nobody took in time, and ends streams that nobody uses. */
  #sweep(): void {
    const now = this.#now;
    this.#stopSweep = this.#host.context.clock.after(SWEEP_MS, () => this.#sweep());
    for (const stream of [...this.#streams.values()]) {
      for (const end of stream.ends) this.#chunks.erase(stream, end, now - stream.qos.ttlS * 1000);
      if (now - stream.usedAt < Math.max(IDLE_MS, stream.qos.ttlS * 1000)) continue;
      this.#tell(stream, { id: stream.id, event: "closed" });
      this.#forget(stream, unknown());
    }
  }

  get #now(): number {
    return this.#host.context.clock.monotonicMs();
  }

  #checkWorking(): void {
    if (this.#stopping) throw new Fault("STOPPING");
    this.#host.checkWorking();
  }

  /** Ends everything: streams live in memory only. A peer notices at the next start. */
  stop(): void {
    this.#stopping = true;
    for (const stream of this.#streams.values()) this.#tell(stream, { id: stream.id, event: "closed" });
    this.#endAll();
  }
}
