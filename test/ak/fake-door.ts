// A key manager of the tests: grants keys whose bytes the test can work out, at once or when it is told to.

import { Fault } from "../../src/core/fault.ts";
import type { Answer, FetchRequest, Grant, KeyDoor, KeySizes, SupplyRequest } from "../../src/keys/ports/keys.ts";
import { encodeBase64 } from "../../src/wire/base64.ts";

export const SIZES: KeySizes = {
  defaultBits: 256,
  minBits: 64,
  maxBits: 32_704,
  maxKeys: (sizeBits) => Math.floor(65_495 / (59 + Math.ceil(sizeBits / 24) * 4)),
};

/** The bytes of key `index` of the grant with that number. */
export const keyBytes = (grant: number, index: number, bytes: number): Buffer =>
  Buffer.alloc(bytes, Buffer.from([grant, index, 0xa5, 0xff, 0x3f]));

/** Its ID: well-formed, of that length. */
export function keyIdOf(grant: number, index: number, bytes: number): string {
  const length = bytes.toString(16).padStart(3, "0");
  const low = (8 + (Number.parseInt(length.slice(2), 16) >> 2)).toString(16);
  const rest = ((Number.parseInt(length.slice(2), 16) & 3) << 2).toString(16);
  const tail = (grant * 0x1_0000 + index).toString(16).padStart(12, "0");
  return `00000000-0500-8c${length.slice(0, 2)}-${low}${rest}00-${tail}`;
}

export class FakeGrant implements Grant {
  readonly number: number;
  readonly sizes: readonly number[];
  readonly written = new Set<number>();
  disposals = 0;

  constructor(number: number, sizes: readonly number[]) {
    this.number = number;
    this.sizes = sizes;
  }

  get count(): number {
    return this.sizes.length;
  }

  size(index: number): number {
    return this.sizes[index] ?? 0;
  }

  writeId(index: number, target: Uint8Array, at: number): number {
    return at + Buffer.from(keyIdOf(this.number, index, this.size(index))).copy(target, at);
  }

  writeKey(index: number, target: Uint8Array, at: number): number {
    if (this.disposals > 0 || this.written.has(index)) throw new Error("a key is written once, before dispose");
    this.written.add(index);
    return encodeBase64(keyBytes(this.number, index, this.size(index)), 0, this.size(index), target, at);
  }

  [Symbol.dispose](): void {
    this.disposals += 1;
  }
}

type Asked = SupplyRequest | FetchRequest;

/** A request that the test answers. */
export interface Held {
  readonly request: Asked;
  readonly answer: Answer;
  givenUp: boolean;
}

export class FakeDoor implements KeyDoor {
  readonly sizes = SIZES;
  readonly asked: Asked[] = [];
  readonly grants: FakeGrant[] = [];
  readonly held: Held[] = [];
  /** What happens to a request: granted at once, unless a test says otherwise. */
  meet: (request: Asked, answer: Answer) => void = (request, answer) => answer.granted(this.grantFor(request));

  supply(request: SupplyRequest, answer: Answer): () => void {
    return this.#take(request, answer);
  }

  fetch(request: FetchRequest, answer: Answer): () => void {
    return this.#take(request, answer);
  }

  status(): never {
    throw new Fault("UNKNOWN_APPLICATION");
  }

  /** Keeps requests in `held` from now on. */
  hold(): void {
    this.meet = () => {};
  }

  grantFor(request: Asked): FakeGrant {
    const sizes =
      "keyIds" in request ? request.keyIds.map(() => 32) : Array<number>(request.count).fill(request.sizeBits / 8);
    const grant = new FakeGrant(this.grants.length, sizes);
    this.grants.push(grant);
    return grant;
  }

  #take(request: Asked, answer: Answer): () => void {
    const held = { request, answer, givenUp: false };
    this.asked.push(request);
    this.held.push(held);
    this.meet(request, answer);
    return () => {
      held.givenUp = true;
    };
  }
}
