// Requests of an application under way on one connection, and what becomes of their answers.

import { FAULTS, type FaultCode } from "../core/fault.ts";
import { type Secret, secretOf } from "../core/secret.ts";
import type { Channel } from "../net/channel.ts";
import { decodeBase64 } from "../wire/base64.ts";
import { BufferPool } from "../wire/buffer-pool.ts";
import { encodeFrame, type Frame, FrameError, FrameReader, MAX_MESSAGE_ID } from "../wire/frame.ts";
import { parseKeyPayload } from "../wire/key-payload.ts";
import { check, codeText } from "../wire/message.ts";
import { encodePayload } from "../wire/payload.ts";
import type { JsonObject } from "../wire/types.ts";
import { AK, type KeyResponse } from "./messages.ts";

/** A key and its ID. Disposing it zeroes the key; its memory is the application's own, not locked. */
export interface SuppliedKey extends Disposable {
  readonly keyId: string;
  readonly key: Secret;
}

/** The key manager does not supply. */
export class AkRefusal extends Error {
  override readonly name = "AkRefusal";
  /** A row of the fault table, when the response begins with one. */
  readonly code: FaultCode | undefined;
  readonly response: string;
  /** When the same request may succeed, if the answer tells. */
  readonly retryAfterMs: number | undefined;

  constructor({ response, extension = [] }: Pick<KeyResponse, "response" | "extension">) {
    super(`the key manager does not supply: ${response}`);
    const [code = ""] = response.split(":");
    this.code = Object.hasOwn(FAULTS, code) ? (code as FaultCode) : undefined;
    this.response = response;
    const ms = extension.find((entry) => entry.name === "qkm_retry_after")?.ms;
    this.retryAfterMs = typeof ms === "number" ? ms : undefined;
  }
}

/** Requests on their way at once; more wait here for their turn. */
const MAX_OPEN = 64;

interface Call {
  readonly code: number;
  readonly payload: Uint8Array;
  answered(answer: Promise<readonly SuppliedKey[]>): void;
}

export class Calls {
  /** Resolves when the connection is gone. */
  readonly ended: Promise<void>;
  readonly #channel: Channel;
  readonly #reader = new FrameReader(new BufferPool(1));
  readonly #open = new Map<number, Call>();
  readonly #waiting: Call[] = [];
  #lastId = 0;
  #endedBecause: string | undefined;

  constructor(channel: Channel) {
    this.#channel = channel;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    channel.start({
      received: (chunk) => this.#received(chunk),
      drained: () => this.#send(),
      closed: (reason) => {
        this.#end(reason);
        resolve();
      },
    });
  }

  /** Sends a request that 0x1203 answers. Members that are `undefined` are left out. */
  ask(code: number, payload: JsonObject): Promise<readonly SuppliedKey[]> {
    if (this.#endedBecause !== undefined) return Promise.reject(this.#gone(this.#endedBecause));
    return new Promise((answered) => {
      this.#waiting.push({ code, payload: encodePayload(payload), answered });
      this.#send();
    });
  }

  /** All that may go now, in one write. */
  #send(): void {
    if (this.#channel.writing || this.#endedBecause !== undefined) return;
    const calls = this.#waiting.splice(0, MAX_OPEN - this.#open.size);
    if (calls.length === 0) return;
    const frames = calls.map((call) => {
      const messageId = this.#nextId();
      this.#open.set(messageId, call);
      return encodeFrame(call.code, messageId, call.payload);
    });
    this.#channel.write(Buffer.concat(frames));
  }

  #nextId(): number {
    do this.#lastId = this.#lastId === MAX_MESSAGE_ID ? 0 : this.#lastId + 1;
    while (this.#open.has(this.#lastId));
    return this.#lastId;
  }

  #received(chunk: Uint8Array): void {
    if (this.#endedBecause !== undefined) return;
    try {
      this.#reader.push(chunk, (frame) => this.#answered(frame));
      this.#send();
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      this.#end(reason);
      this.#channel.close(reason);
    }
  }

  /** @throws FrameError when the frame is none that may come here */
  #answered({ code, messageId, payload }: Frame): void {
    if (code !== AK.keyResponse.code) throw new FrameError("unknown_code", `${codeText(code)} answers nothing here`);
    const { json, keys } = parseKeyPayload(payload);
    const call = this.#open.get(messageId);
    if (call === undefined) return;
    this.#open.delete(messageId);
    call.answered(Promise.try(() => suppliedKeys(check(AK.keyResponse, json), keys)));
  }

  #end(reason: string): void {
    if (this.#endedBecause !== undefined) return;
    this.#endedBecause = reason;
    this.#reader.dispose();
    const calls = [...this.#open.values(), ...this.#waiting.splice(0)];
    this.#open.clear();
    for (const call of calls) call.answered(Promise.reject(this.#gone(reason)));
  }

  #gone(reason: string): Error {
    return new Error(`the connection with the key manager has ended: ${reason}`);
  }
}

/** @throws AkRefusal; Fault MALFORMED_REQUEST when a key is not base64 */
function suppliedKeys(response: KeyResponse, letters: readonly Uint8Array[]): readonly SuppliedKey[] {
  if (response.response !== "success") throw new AkRefusal(response);
  using made = new DisposableStack();
  const keys = response.keys.map(({ key_ID }, index) =>
    made.use(suppliedKey(key_ID, letters[index] ?? new Uint8Array(0))),
  );
  made.move();
  return keys;
}

function suppliedKey(keyId: string, letters: Uint8Array): SuppliedKey {
  const bytes = new Uint8Array(Math.ceil(letters.length / 4) * 3);
  const key = secretOf(bytes.subarray(0, decodeBase64(letters, bytes)));
  return { keyId, key, [Symbol.dispose]: () => key[Symbol.dispose]() };
}
