// A key manager for tests of the door: answers when told, and remembers what happened to its grants.

import type { Fault } from "../../src/core/fault.ts";
import { Fault as FaultClass } from "../../src/core/fault.ts";
import type { AppId, KmId } from "../../src/core/ids.ts";
import type { Answer, FetchRequest, Grant, KeyDoor, KeySizes, SupplyRequest } from "../../src/keys/ports/keys.ts";

/** The key ID of key `index` of a fake grant. */
export const fakeId = (index: number): string => `00000000-0000-8000-8000-${String(index).padStart(12, "0")}`;

/** Key `index`: recognisable bytes. */
export const fakeKey = (index: number, bytes: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => (index * 31 + i * 7 + 1) & 0xff));

export interface FakeGrant extends Grant {
  readonly written: number;
  readonly disposed: number;
}

/** A grant of keys of these sizes in bytes. */
export function fakeGrant(sizes: readonly number[]): FakeGrant {
  let written = 0;
  let disposed = 0;
  return {
    count: sizes.length,
    get written() {
      return written;
    },
    get disposed() {
      return disposed;
    },
    size: (index) => sizes[index] ?? 0,
    writeId: (index, target, at) => at + Buffer.from(target.buffer, target.byteOffset).write(fakeId(index), at),
    writeKey(index, target, at) {
      written += 1;
      const text = fakeKey(index, sizes[index] ?? 0).toString("base64");
      return at + Buffer.from(target.buffer, target.byteOffset).write(text, at);
    },
    [Symbol.dispose]: () => {
      disposed += 1;
    },
  };
}

/** One request that the door was asked, waiting until the test or `answerAll` answers. */
export interface Asked {
  readonly request: SupplyRequest | FetchRequest;
  readonly answer: Answer;
  givenUp: number;
}

export class FakeDoor implements KeyDoor {
  readonly sizes: KeySizes = {
    defaultBits: 256,
    minBits: 64,
    maxBits: 32_704,
    maxKeys: (bits) => (bits > 8192 ? 8 : 128),
  };
  readonly asked: Asked[] = [];
  readonly grants: FakeGrant[] = [];
  /** When set, each request is answered at once: with this fault, or with what was asked. */
  answers: "wait" | "grant" | Fault = "grant";
  /** Bytes of each key of a fetch. */
  fetchedBytes = 32;
  stored = 17;
  maxStored = 1000;
  #waiters: (() => void)[] = [];

  supply(request: SupplyRequest, answer: Answer): () => void {
    return this.#ask(request, answer);
  }

  fetch(request: FetchRequest, answer: Answer): () => void {
    return this.#ask(request, answer);
  }

  status(app: AppId, other: AppId) {
    if (other === "nobody") throw new FaultClass("UNKNOWN_APPLICATION");
    const target = app === other ? "km-a" : "km-b";
    return {
      sourceKm: "km-a" as KmId,
      targetKm: target as KmId,
      storedKeys: this.stored,
      maxStoredKeys: this.maxStored,
      sizes: this.sizes,
    };
  }

  /** Resolves when `count` requests have been asked. */
  async askedFor(count: number): Promise<void> {
    while (this.asked.length < count) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Grants request `index` what it asked for. */
  grant(index: number): FakeGrant {
    const asked = this.asked[index];
    if (asked === undefined) throw new Error(`there is no request ${index}`);
    const { request } = asked;
    const sizes =
      "count" in request
        ? new Array<number>(request.count).fill(request.sizeBits / 8)
        : request.keyIds.map(() => this.fetchedBytes);
    const grant = fakeGrant(sizes);
    this.grants.push(grant);
    asked.answer.granted(grant);
    return grant;
  }

  #ask(request: SupplyRequest | FetchRequest, answer: Answer): () => void {
    const asked: Asked = { request, answer, givenUp: 0 };
    this.asked.push(asked);
    if (this.answers === "grant") this.grant(this.asked.length - 1);
    else if (this.answers !== "wait") answer.refused(this.answers);
    for (const waiter of this.#waiters.splice(0)) waiter();
    return () => {
      asked.givenUp += 1;
    };
  }
}
