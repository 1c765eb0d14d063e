// Key streams: what ETSI GS QKD 004 asks of the key manager.

import type { Fault } from "../../core/fault.ts";
import type { AppId } from "../../core/ids.ts";
import type { Grant } from "./keys.ts";

/** ETSI GS QKD 004: what a key stream is to be like; 0 where the key manager may choose. */
export interface StreamQos {
  /** Bytes of the key at each index. */
  readonly chunkBytes: number;
  readonly maxBps: number;
  readonly minBps: number;
  readonly jitterBps: number;
  readonly priority: number;
  /** How long a call may take. */
  readonly timeoutMs: number;
  /** After so long key that nobody took is erased. */
  readonly ttlS: number;
  /** Whether key comes with what is known of it. */
  readonly withFacts: boolean;
}

/** A stream's name (`Key_stream_ID`): 32 lower-case hexadecimal digits. */
export type StreamId = string;

/** OPEN_CONNECT. */
export interface StreamRequest {
  /** Who asks, by its certificate; homed at this KM. */
  readonly app: AppId;
  readonly other: AppId;
  /** Undefined when this KM is to choose it. */
  readonly id: StreamId | undefined;
  readonly qos: StreamQos;
}

/** Exactly one of the two is called, once. */
export interface StreamAnswer {
  /** `qos` as it is registered; `isJoined`: the other application has opened the stream too. */
  opened(id: StreamId, qos: StreamQos, isJoined: boolean): void;
  /** `offer`: the nearest that can be had, when the wish was the reason. */
  refused(fault: Fault, offer?: StreamQos): void;
}

/** GET_KEY. */
export interface ChunkRequest {
  /** Who asks, by its certificate. */
  readonly app: AppId;
  readonly id: StreamId;
  readonly index: number;
}

/** What is known of the key at an index. */
export interface ChunkFacts {
  /** Since the relay of its KMA-key began. */
  readonly ageMs: number;
  /** Key managers between the two ends. */
  readonly hops: number;
}

/** Exactly one of the two is called, once. */
export interface ChunkAnswer {
  /** The chunk: the keys of the grant one after the other, of which the first `bytes` bytes count. */
  granted(grant: Grant, bytes: number, facts: ChunkFacts): void;
  refused(fault: Fault): void;
}

/** What etsi004 sees of the key manager. A stream that is not this application's is unknown to it. */
export interface StreamDoor {
  /** The functions returned give the request up (the client is gone); harmless after the answer. */
  openStream(request: StreamRequest, answer: StreamAnswer): () => void;
  chunk(request: ChunkRequest, answer: ChunkAnswer): () => void;
  /** As it is registered. @throws Fault SESSION_UNKNOWN */
  streamQos(app: AppId, id: StreamId): StreamQos;
  /** @throws Fault SESSION_UNKNOWN */
  closeStream(app: AppId, id: StreamId): void;
}
