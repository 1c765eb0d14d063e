// One key stream as a KM of one of its two applications knows it: who takes part, and which indexes are whose.
//
//   the end of an application:   absent ──OPEN_CONNECT──> joined ──CLOSE──> closed
//
//   an index at that end:   free ──asked here first──> asking ──the other KM has its key IDs──> used
//                             └────asked there first──> named ──fetched by its key IDs────────> used

import type { Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { ChunkFacts, StreamId, StreamQos } from "../ports/streams.ts";
import { IndexRuns } from "./index-runs.ts";

/** The keys at an index that the other application was given. */
export interface NamedChunk {
  readonly keyIds: readonly string[];
  readonly facts: ChunkFacts;
  /** When the other KM named them, on the monotonic clock. */
  readonly namedAt: number;
}

/** One application's end. At the other KM's only its state is known here. */
export class StreamEnd {
  readonly app: AppId;
  state: "absent" | "joined" | "closed" = "absent";
  /** Not asked here yet. */
  readonly named = new Map<number, NamedChunk>();
  /** Asked here first; not named to the other KM yet. */
  readonly asking = new Set<number>();
  readonly used = new IndexRuns();
  /** Requests that wait for what becomes of an index. */
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();

  constructor(app: AppId) {
    this.app = app;
  }

  isFree(index: number): boolean {
    return !this.named.has(index) && !this.asking.has(index) && !this.used.has(index);
  }

  /** Resolves when something has become of the index, or nobody asks any more. @throws Fault when the stream has ended */
  changed(index: number): Promise<void> {
    const known = this.#waiting.get(index) ?? Promise.withResolvers<void>();
    this.#waiting.set(index, known);
    return known.promise;
  }

  /** Whoever waits for this index looks again. */
  wake(index: number): void {
    const waiting = this.#waiting.get(index);
    this.#waiting.delete(index);
    waiting?.resolve();
  }

  /** Requests that wait for an index. */
  get waiting(): number {
    return this.#waiting.size;
  }

  failAll(fault: Fault): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { promise, reject } of all) {
      // Perhaps nobody waits any more.
      promise.catch(() => {});
      reject(fault);
    }
  }
}

/** One stream at one of its two ends (ETSI GS QKD 004). */
export class Stream {
  readonly id: StreamId;
  /** Where the other application is at home; this KM when both are at home here. */
  readonly peer: KmId;
  readonly ends: readonly [StreamEnd, StreamEnd];
  qos: StreamQos;
  /** Indexes that the other KM may give first, at the KM that decides it. */
  readonly claims = new Set<number>();
  /** When it was last used, on the monotonic clock. */
  usedAt = 0;
  readonly #joining = new Set<() => void>();

  constructor(id: StreamId, peer: KmId, apps: readonly [AppId, AppId], qos: StreamQos) {
    this.id = id;
    this.peer = peer;
    this.ends = [new StreamEnd(apps[0]), new StreamEnd(apps[1])];
    this.qos = qos;
  }

  endOf(app: AppId): StreamEnd | undefined {
    return this.ends.find((end) => end.app === app);
  }

  /** The end of the other application. */
  otherOf(app: AppId): StreamEnd {
    const [one, other] = this.ends;
    return one.app === app ? other : one;
  }

  isBetween(one: AppId, other: AppId): boolean {
    return this.endOf(one) !== undefined && this.otherOf(one).app === other && one !== other;
  }

  /** `then` is called at the next `joined`. The function returned ends that. */
  onJoined(then: () => void): () => void {
    this.#joining.add(then);
    return () => void this.#joining.delete(then);
  }

  joined(end: StreamEnd): void {
    end.state = "joined";
    const all = [...this.#joining];
    this.#joining.clear();
    for (const then of all) then();
  }
}
