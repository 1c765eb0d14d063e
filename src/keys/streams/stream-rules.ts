// What streams may be: their limits, and how a wish for quality of service is met (ETSI GS QKD 004).

import { STEP } from "../common/key-id.ts";
import type { KeySizes } from "../ports/keys.ts";
import type { StreamQos } from "../ports/streams.ts";

/** Streams of one application at a time, and of all of them. */
export const MAX_PER_APP = 256;

/** Streams that a KM knows of at most, as the end that opened them or as the other one. */
export const MAX_STREAMS = 4096;
/** A stream that was not used for so long ends. */
export const IDLE_MS = 3_600_000;
/** Indexes of a stream that the other application has had and this one has not. */
export const MAX_NAMED = 1024;
/** Runs of indexes that were used: who asks out of order leaves at most so many gaps. */
export const MAX_RUNS = 1024;
/** Requests of one end of a stream under way. */
export const MAX_ASKING = 64;

const USUAL_CHUNK_BYTES = 32;
/** One answer holds it, and with margin the base64 of the key that is written last. */
export const MAX_CHUNK_BYTES = 32_768;
const LONGEST_TIMEOUT_MS = 600_000;
const U32 = 2 ** 32 - 1;

/** What there is for a stream. */
export interface Means {
  readonly sizes: KeySizes;
  /** What the links bring for it beyond what other streams were promised. */
  readonly freeBps: number;
  /** The quota of the application that asks. */
  readonly quotaBps: number;
  readonly timeoutMs: number;
  /** How long key that was supplied can be fetched by the other. */
  readonly keptMs: number;
}

/** The nearest to a wish that can be had, and whether it meets it. Jitter and priority are nobody's promise. */
export function nearest(wish: StreamQos, means: Means): { readonly qos: StreamQos; readonly isMet: boolean } {
  const chunkBytes = bounded(wish.chunkBytes || USUAL_CHUNK_BYTES, STEP, MAX_CHUNK_BYTES);
  const most = Math.min(U32, means.quotaBps);
  const minBps = Math.min(wish.minBps, Math.floor(means.freeBps), most);
  const maxBps = Math.max(minBps, wish.maxBps === 0 ? most : Math.min(wish.maxBps, most));
  const keptS = Math.max(1, Math.floor(means.keptMs / 1000));
  const qos = {
    ...{ chunkBytes, maxBps, minBps, jitterBps: wish.jitterBps, priority: wish.priority },
    timeoutMs: Math.min(wish.timeoutMs || means.timeoutMs, LONGEST_TIMEOUT_MS),
    ttlS: Math.min(wish.ttlS || keptS, keptS),
    withFacts: wish.withFacts,
  };
  const isAsked = wish.chunkBytes === 0 || wish.chunkBytes === chunkBytes;
  return { qos, isMet: isAsked && minBps === wish.minBps && (wish.maxBps === 0 || wish.maxBps >= wish.minBps) };
}

const bounded = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));
