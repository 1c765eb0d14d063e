// Key streams for tests of the door: they remember what they were asked, and answer as they are told.

import { Fault } from "../../src/core/fault.ts";
import type {
  ChunkAnswer,
  ChunkRequest,
  StreamAnswer,
  StreamDoor,
  StreamQos,
  StreamRequest,
} from "../../src/keys/ports/streams.ts";
import { type FakeGrant, fakeGrant, fakeKey } from "../etsi014/fake-door.ts";

export const ID = "0123456789ab4def8123456789abcdef";

export class FakeStreams implements StreamDoor {
  readonly opened: StreamRequest[] = [];
  readonly asked: ChunkRequest[] = [];
  readonly closed: string[] = [];
  readonly grants: FakeGrant[] = [];
  givenUp = 0;
  qos: StreamQos = {
    ...{ chunkBytes: 32, maxBps: 1000, minBps: 0, jitterBps: 0, priority: 0, timeoutMs: 2000, ttlS: 60 },
    withFacts: true,
  };
  isJoined = true;
  offer: StreamQos | undefined;
  /** Sizes in bytes of the keys that a chunk is made of; `wait` answers nothing. */
  answers: "wait" | Fault | readonly number[] = [32];

  openStream(request: StreamRequest, answer: StreamAnswer): () => void {
    this.opened.push(request);
    if (this.answers instanceof Fault) answer.refused(this.answers, this.offer);
    else if (this.answers !== "wait") answer.opened(request.id ?? ID, this.qos, this.isJoined);
    return () => void this.givenUp++;
  }

  chunk(request: ChunkRequest, answer: ChunkAnswer): () => void {
    this.asked.push(request);
    const { answers } = this;
    if (answers instanceof Fault) answer.refused(answers);
    else if (answers !== "wait") {
      const grant = fakeGrant(answers);
      this.grants.push(grant);
      answer.granted(grant, this.qos.chunkBytes, { ageMs: 12, hops: 1 });
    }
    return () => void this.givenUp++;
  }

  streamQos(_app: string, id: string): StreamQos {
    if (id !== ID) throw new Fault("SESSION_UNKNOWN");
    return this.qos;
  }

  closeStream(_app: string, id: string): void {
    if (id !== ID) throw new Fault("SESSION_UNKNOWN");
    this.closed.push(id);
  }

  /** The chunk that keys of these sizes make. */
  static chunkOf(sizes: readonly number[], bytes: number): Buffer {
    return Buffer.concat(sizes.map((size, index) => fakeKey(index, size))).subarray(0, bytes);
  }
}
