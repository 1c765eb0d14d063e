// Stands before the key streams of a key manager whose books are not read yet: refuses until they are.

import { Fault } from "../../core/fault.ts";
import type {
  ChunkAnswer,
  ChunkRequest,
  StreamAnswer,
  StreamDoor,
  StreamQos,
  StreamRequest,
} from "../ports/streams.ts";

/** Stands for the streams until the key manager is open; refuses until then. */
export class StreamGate implements StreamDoor {
  #streams: StreamDoor | undefined;

  /** From now on `streams` answers. */
  open(streams: StreamDoor): void {
    this.#streams = streams;
  }

  openStream(request: StreamRequest, answer: StreamAnswer): () => void {
    if (this.#streams !== undefined) return this.#streams.openStream(request, answer);
    answer.refused(unavailable());
    return () => {};
  }

  chunk(request: ChunkRequest, answer: ChunkAnswer): () => void {
    if (this.#streams !== undefined) return this.#streams.chunk(request, answer);
    answer.refused(unavailable());
    return () => {};
  }

  streamQos(...asked: Parameters<StreamDoor["streamQos"]>): StreamQos {
    if (this.#streams === undefined) throw unavailable();
    return this.#streams.streamQos(...asked);
  }

  closeStream(...asked: Parameters<StreamDoor["closeStream"]>): void {
    if (this.#streams === undefined) throw unavailable();
    this.#streams.closeStream(...asked);
  }
}

const unavailable = (): Fault => new Fault("HSM_UNAVAILABLE", { retryAfterMs: 1000 });
