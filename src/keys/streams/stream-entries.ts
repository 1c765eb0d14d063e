// What two KMs tell each other of a stream, as entries of an extension (Q.4163 0x1103).
//
//   {"name":"qkm_stream","stream_ID":"…","event":"open","initiator":"…","target":"…","qos":{…}}
//   … "event":"joined" | "closed"
//   … "event":"claim","index":7                                  may I give it first?  BUSY: it is ours
//   … "event":"named","index":7,"key_IDs":["…"],"age_ms":9,"hops":0   these are its keys
//   … "event":"free","index":7                                   nothing came of it

import type { Fault } from "../../core/fault.ts";
import { type AppId, appId } from "../../core/ids.ts";
import { integer, malformed, text } from "../common/extension-fields.ts";
import type { ExtensionEntry } from "../ports/peers.ts";
import type { ChunkFacts, StreamId, StreamQos } from "../ports/streams.ts";
import { MAX_CHUNK_BYTES } from "./stream-rules.ts";

const NAME = "qkm_stream";
const ID = /^[0-9a-f]{32}$/;
const MAX_INDEX = 2 ** 32 - 1;
const MAX_KEYS = 64;

/** What the other KM is told when a stream is opened. */
export interface OpenEvent {
  readonly id: StreamId;
  readonly event: "open";
  readonly initiator: AppId;
  readonly target: AppId;
  readonly qos: StreamQos;
}

interface EndEvent<Name extends "joined" | "closed"> {
  readonly id: StreamId;
  readonly event: Name;
}

interface ClaimEvent<Name extends "claim" | "free"> {
  readonly id: StreamId;
  readonly event: Name;
  readonly index: number;
}

/** What the other KM is told when a chunk got its key. */
export interface NamedEvent {
  readonly id: StreamId;
  readonly event: "named";
  readonly index: number;
  readonly keyIds: readonly string[];
  readonly facts: ChunkFacts;
}

/** What becomes of an index. */
export type IndexEvent = ClaimEvent<"claim"> | ClaimEvent<"free"> | NamedEvent;

/** What KMs tell each other of a stream. */
export type StreamEvent = OpenEvent | EndEvent<"joined"> | EndEvent<"closed"> | IndexEvent;

/** The event as an extension entry of a Kx message. */
export function entryOf(told: StreamEvent): ExtensionEntry {
  const head = { name: NAME, stream_ID: told.id, event: told.event };
  if (told.event === "open") return { ...head, initiator: told.initiator, target: told.target, qos: told.qos };
  if (told.event === "named") {
    const { index, keyIds, facts } = told;
    return { ...head, index, key_IDs: keyIds, age_ms: facts.ageMs, hops: facts.hops };
  }
  return "index" in told ? { ...head, index: told.index } : head;
}

/** Undefined for an entry of another name. @throws Fault MALFORMED_REQUEST */
export function readStreamEvent(entry: ExtensionEntry): StreamEvent | undefined {
  if (entry.name !== NAME) return undefined;
  const id = text(entry, "stream_ID");
  if (!ID.test(id)) throw malformed(entry, "stream_ID");
  const event = text(entry, "event");
  switch (event) {
    case "open":
      return {
        id,
        event,
        initiator: appId(text(entry, "initiator")),
        target: appId(text(entry, "target")),
        qos: qosIn(entry),
      };
    case "joined":
    case "closed":
      return { id, event };
    case "claim":
    case "free":
      return { id, event, index: indexIn(entry) };
    case "named": {
      const facts = { ageMs: integer(entry, "age_ms"), hops: integer(entry, "hops") };
      return { id, event, index: indexIn(entry), keyIds: keyIdsIn(entry), facts };
    }
    default:
      throw malformed(entry, "event");
  }
}

function indexIn(entry: ExtensionEntry): number {
  const index = integer(entry, "index");
  if (index > MAX_INDEX) throw malformed(entry, "index");
  return index;
}

function keyIdsIn(entry: ExtensionEntry): readonly string[] {
  const ids: unknown = entry.key_IDs;
  const wrong = (): Fault => malformed(entry, "key_IDs");
  if (!Array.isArray(ids) || ids.length === 0 || ids.length > MAX_KEYS) throw wrong();
  return ids.map((id: unknown) => {
    if (typeof id !== "string" || id.length !== 36) throw wrong();
    return id;
  });
}

const NUMBERS = ["chunkBytes", "maxBps", "minBps", "jitterBps", "priority", "timeoutMs", "ttlS"] as const;

function qosIn(entry: ExtensionEntry): StreamQos {
  const qos: unknown = entry.qos;
  if (typeof qos !== "object" || qos === null) throw malformed(entry, "qos");
  const members = { name: entry.name, ...qos };
  const [chunkBytes, maxBps, minBps, jitterBps, priority, timeoutMs, ttlS] = NUMBERS.map((name) =>
    integer(members, name),
  );
  if (!chunkBytes || chunkBytes > MAX_CHUNK_BYTES || !timeoutMs || !ttlS) throw malformed(entry, "qos");
  const rates = { maxBps: maxBps ?? 0, minBps: minBps ?? 0, jitterBps: jitterBps ?? 0, priority: priority ?? 0 };
  return { chunkBytes, ...rates, timeoutMs, ttlS, withFacts: Reflect.get(qos, "withFacts") === true };
}
