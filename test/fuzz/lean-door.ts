// A key manager behind doors under fire: answers at once, keeps nothing, and knows how many grants are open.

import { Fault } from "../../src/core/fault.ts";
import type { AppId, KmId } from "../../src/core/ids.ts";
import type { BorderAck, BorderArrival, BorderDoor, BorderVoid } from "../../src/keys/ports/borders.ts";
import type { Answer, FetchRequest, Grant, KeyDoor, SupplyRequest } from "../../src/keys/ports/keys.ts";
import type { SessionAnswer, SessionDoor } from "../../src/keys/ports/sessions.ts";
import type {
  ChunkAnswer,
  ChunkRequest,
  StreamAnswer,
  StreamDoor,
  StreamQos,
  StreamRequest,
} from "../../src/keys/ports/streams.ts";
import { fakeGrant } from "../etsi014/fake-door.ts";

export const KSID = "0123456789ab4def8123456789abcdef";
const QOS: StreamQos = {
  ...{ chunkBytes: 64, maxBps: 0, minBps: 0, jitterBps: 0, priority: 0, timeoutMs: 1000, ttlS: 60 },
  withFacts: true,
};
/** Bytes of a key that is fetched. */
const FETCHED = 32;

export class LeanDoor implements KeyDoor, SessionDoor, StreamDoor, BorderDoor {
  readonly sizes = { defaultBits: 256, minBits: 64, maxBits: 32_704, maxKeys: () => 8 };
  /** Requests that reached it. */
  asked = 0;
  openGrants = 0;
  openLines = 0;

  #grant(sizes: readonly number[]): Grant {
    const grant = fakeGrant(sizes);
    this.openGrants++;
    let isOpen = true;
    return {
      count: grant.count,
      size: grant.size,
      writeId: grant.writeId,
      writeKey: grant.writeKey,
      [Symbol.dispose]: () => {
        if (isOpen) this.openGrants--;
        isOpen = false;
      },
    };
  }

  /** Each third is refused. */
  #answer(answer: Answer, sizes: readonly number[]): () => void {
    this.asked++;
    if (this.asked % 3 === 0) answer.refused(new Fault("INSUFFICIENT_KEYS", { retryAfterMs: 1000 }));
    else answer.granted(this.#grant(sizes));
    return () => {};
  }

  supply({ count, sizeBits }: SupplyRequest, answer: Answer): () => void {
    return this.#answer(answer, new Array<number>(count).fill(sizeBits / 8));
  }

  fetch({ keyIds }: FetchRequest, answer: Answer): () => void {
    return this.#answer(
      answer,
      keyIds.slice(0, 8).map(() => FETCHED),
    );
  }

  status(_app: AppId, other: AppId) {
    this.asked++;
    if (other !== "app-b1") throw new Fault("UNKNOWN_APPLICATION");
    return { sourceKm: "km-a" as KmId, targetKm: "km-b" as KmId, storedKeys: 1, maxStoredKeys: 2, sizes: this.sizes };
  }

  attach(): () => void {
    this.openLines++;
    return () => void this.openLines--;
  }

  createSession(_request: unknown, answer: SessionAnswer): () => void {
    this.asked++;
    answer.refused(new Fault("APP_UNAVAILABLE"));
    return () => {};
  }

  sessionKeys(_request: unknown, answer: Answer): () => void {
    return this.#answer(answer, [FETCHED]);
  }

  openStream({ id }: StreamRequest, answer: StreamAnswer): () => void {
    this.asked++;
    answer.opened(id ?? KSID, QOS, true);
    return () => {};
  }

  chunk(_request: ChunkRequest, answer: ChunkAnswer): () => void {
    this.asked++;
    answer.granted(this.#grant([QOS.chunkBytes]), QOS.chunkBytes, { ageMs: 1, hops: 0 });
    return () => {};
  }

  streamQos(_app: AppId, id: string): StreamQos {
    if (id !== KSID) throw new Fault("SESSION_UNKNOWN");
    return QOS;
  }

  closeStream(_app: AppId, id: string): void {
    this.asked++;
    if (id !== KSID) throw new Fault("SESSION_UNKNOWN");
  }

  async arrived(_border: KmId, { keys, initiator, target }: BorderArrival): Promise<readonly BorderAck[]> {
    return this.#told({ initiator, target, keyIds: keys.map(({ keyId }) => keyId) });
  }

  async voided(_border: KmId, { keyIds, initiator, target }: BorderVoid): Promise<readonly BorderAck[]> {
    return this.#told({ initiator, target, keyIds });
  }

  async acknowledged(): Promise<void> {
    this.asked++;
  }

  /** Each third is refused. */
  #told(ack: Pick<BorderAck, "initiator" | "target" | "keyIds">): readonly BorderAck[] {
    this.asked++;
    if (this.asked % 3 === 0) throw new Fault("STORE_FULL");
    return [{ ...ack, outcome: "relayed", message: "" }];
  }
}
