// An application's end of one Ak connection: its requests under way, and what the key manager asks of it.

import { deferred } from "../../core/deferred.ts";
import type { Channel } from "../../net/channel.ts";
import { BufferPool } from "../../wire/buffer-pool.ts";
import { encodeFrame, type Frame, FrameError, FrameReader } from "../../wire/frame.ts";
import { parseKeyPayload } from "../../wire/key-payload.ts";
import { check, codeText, type Message, type PayloadOf } from "../../wire/message.ts";
import { MessageIds } from "../../wire/message-ids.ts";
import { encodePayload, parsePayload } from "../../wire/payload.ts";
import { AK, AK_ANSWERS, type ProactiveSupply, type SessionNotification } from "../messages.ts";
import { AkUnanswered, endedBy } from "./failures.ts";
import { type SuppliedKey, suppliedKeys } from "./supplied-key.ts";

/** The requests of an application (Q.4161 Tables 1, 2, 4 and 8), by their names in the message table. */
export type RequestName = "keyRequest" | "keyRequestWithId" | "sessionCreation" | "sessionKeyRequest";
type AnswerRow<Name extends RequestName> = (typeof AK)[(typeof AK_ANSWERS)[Name]];
/** A request's payload; what is `undefined` is left out. */
export type Asking<Name extends RequestName> = OrUndefined<PayloadOf<(typeof AK)[Name]>>;
type OrUndefined<T> = { readonly [K in keyof T]: object extends Pick<T, K> ? T[K] | undefined : T[K] };

/** An answer with its keys, which whoever gets it disposes; `key` of its own entries is empty. */
export interface Answered<Name extends RequestName> {
  readonly message: PayloadOf<AnswerRow<Name>>;
  readonly keys: readonly SuppliedKey[];
}

/** Where a request of the key manager is answered. */
export interface Reply {
  /** Whether the connection that it came over is open. */
  readonly open: boolean;
  /** `false` when it is not. */
  send(payload: object): boolean;
}

/** What a key manager asks: one reply for a notice, one for each key of a supply. */
export interface KmRequests {
  noticed(message: SessionNotification, reply: Reply): void;
  /** `keys` are the receiver's to dispose. */
  supplied(message: ProactiveSupply, keys: readonly SuppliedKey[], reply: Reply): void;
}

/** Requests on their way at once; more wait here for their turn. A key manager takes 128. */
const MAX_OPEN = 100;
/** Longer than a key manager lets a request wait, if it is not configured otherwise. */
const SILENT_MS = 25_000;

interface Call {
  readonly name: RequestName;
  readonly payload: Uint8Array;
  answered(message: object, letters: readonly Uint8Array[]): void;
  failed(why: unknown): void;
  /** When it was sent; on `performance.now()`. */
  sentAtMs: number | undefined;
}

/** Requests of the key manager without a whole answer: MessageID to answers that are owed. */
type Owed = Map<number, number>;

/** One connection to a key manager. Requests may overlap; answers are matched by MessageID (Q.4161 clause 7). */
export class Dialogue {
  /** Resolves with the reason when the connection is gone. */
  readonly ended: Promise<string>;
  /** The key exchange group. */
  readonly group: string;
  readonly #channel: Channel;
  readonly #requests: KmRequests;
  readonly #silentMs: number;
  readonly #reader = new FrameReader(new BufferPool(1));
  readonly #open = new Map<number, Call>();
  readonly #owed: Owed = new Map();
  readonly #waiting: Call[] = [];
  readonly #replies: Uint8Array[] = [];
  readonly #ids = new MessageIds(this.#open);
  #heardAtMs = performance.now();
  #endedBecause: string | undefined;
  #isRefused = false;
  /** Why the connection ends when nothing is under way any more. */
  #retiresBecause: string | undefined;
  /** Something has come that may be a frame. */
  #isAk = false;

  /** `silentMs`: a connection that brought nothing for so long, while a request waited in vain, is given up. */
  constructor(channel: Channel, requests: KmRequests, silentMs = SILENT_MS) {
    this.#silentMs = silentMs;
    this.group = channel.group;
    this.#channel = channel;
    this.#requests = requests;
    const { promise, resolve } = deferred<string>();
    this.ended = promise;
    channel.start({
      received: (chunk) => this.#received(chunk),
      drained: () => (this.open ? this.#send() : this.#leave()),
      closed: (reason, isRefused = false) => {
        this.#end(reason, isRefused);
        this.#replies.length = 0;
        resolve(this.#endedBecause ?? reason);
      },
    });
  }

  get open(): boolean {
    return this.#endedBecause === undefined;
  }

  /** Sends the replies that wait, and ends the connection. Requests without an answer fail at once. */
  close(reason: string): void {
    this.#end(reason);
    this.#leave();
  }

  /** As `close`, when each request that was sent has its answer or is given up; those that were not sent fail at once. */
  retire(reason: string): void {
    this.#retiresBecause = reason;
    for (const call of this.#waiting.splice(0)) call.failed(this.#gone(reason, "not sent"));
    this.#closeIfRetired();
  }

  #closeIfRetired(): void {
    if (this.#retiresBecause !== undefined && this.#open.size === 0) this.close(this.#retiresBecause);
  }

  #leave(): void {
    if (this.#replies.length > 0) {
      if (this.#channel.writing) return;
      this.#channel.write(Buffer.concat(this.#replies.splice(0)));
    }
    this.#channel.close(this.#endedBecause ?? "");
  }

  /**
   * Sends a request, and resolves with its answer.
   * @throws AkUnanswered, the signal's reason; Fault MALFORMED_REQUEST when the answer is not as the tables say
   */
  ask<Name extends RequestName>(name: Name, payload: Asking<Name>, signal: AbortSignal): Promise<Answered<Name>> {
    return new Promise((resolve, reject) => {
      if (this.#endedBecause !== undefined)
        return reject(this.#gone(this.#endedBecause, this.#isRefused ? "refused" : "not sent"));
      if (signal.aborted) return reject(endedBy(signal, false));
      const abort = (): void => this.#abandon(call, signal);
      const settle = (): void => signal.removeEventListener("abort", abort);
      const call: Call = {
        name,
        payload: encodePayload(payload),
        sentAtMs: undefined,
        answered: (json, letters) => {
          settle();
          try {
            resolve(answerOf(name, json, letters));
          } catch (thrown) {
            reject(thrown);
          }
        },
        failed: (why) => {
          settle();
          reject(why);
        },
      };
      signal.addEventListener("abort", abort, { once: true });
      this.#waiting.push(call);
      this.#send();
    });
  }

  /** Nobody waits for the answer any more. Its MessageID comes again only when the numbers have wrapped. */
  #abandon(call: Call, signal: AbortSignal): void {
    const at = this.#waiting.indexOf(call);
    if (at >= 0) this.#waiting.splice(at, 1);
    for (const [messageId, open] of this.#open) if (open === call) this.#open.delete(messageId);
    const why = endedBy(signal, call.sentAtMs !== undefined);
    call.failed(why);
    if (why instanceof AkUnanswered && this.#silentSince(call.sentAtMs)) this.close("the key manager is silent");
    this.#send();
    this.#closeIfRetired();
  }

  #silentSince(sentAtMs: number | undefined): boolean {
    return sentAtMs !== undefined && sentAtMs > this.#heardAtMs && performance.now() - sentAtMs >= this.#silentMs;
  }

  /** All that may go now, in one write. */
  #send(): void {
    if (this.#channel.writing || this.#endedBecause !== undefined) return;
    const calls = this.#waiting.splice(0, Math.max(0, MAX_OPEN - this.#open.size));
    const frames = [...this.#replies.splice(0), ...calls.map((call) => this.#opened(call))];
    if (frames.length > 0) this.#channel.write(Buffer.concat(frames));
  }

  #opened(call: Call): Uint8Array {
    const messageId = this.#ids.next();
    this.#open.set(messageId, call);
    call.sentAtMs = performance.now();
    return encodeFrame(AK[call.name].code, messageId, call.payload);
  }

  #received(chunk: Uint8Array): void {
    if (this.#endedBecause !== undefined) return;
    this.#heardAtMs = performance.now();
    if (!this.#isAk && isHttp(chunk)) {
      this.#end("what answers there speaks HTTP, not Ak (Q.4161): compare the port with [ak] of the key manager", true);
      this.#leave();
      return;
    }
    this.#isAk = true;
    try {
      this.#reader.push(chunk, (frame) => this.#handle(frame));
      this.#send();
    } catch (thrown) {
      this.close(thrown instanceof Error ? thrown.message : String(thrown));
    } finally {
      if (this.#endedBecause !== undefined) this.#reader.dispose();
    }
  }

  /** @throws FrameError when the frame is none that may come here; Fault when a request of the KM is not as the tables say */
  #handle({ code, messageId, payload }: Frame): void {
    if (this.#endedBecause !== undefined) return;
    if (code === AK.sessionNotification.code) {
      const message = check(AK.sessionNotification, parsePayload(payload));
      this.#requests.noticed(message, this.#owe(messageId, AK.sessionNotificationResponse.code, 1));
    } else if (code === AK.proactiveSupply.code) {
      const { json, keys: letters } = parseKeyPayload(payload);
      const message = check(AK.proactiveSupply, json);
      const reply = this.#owe(messageId, AK.proactiveSupplyResponse.code, message.keys.length);
      this.#requests.supplied(message, suppliedKeys(message.keys, letters), reply);
    } else {
      this.#answered(code, messageId, payload);
    }
  }

  /** @throws FrameError */
  #answered(code: number, messageId: number, payload: Uint8Array): void {
    if (!ANSWERS.has(code)) throw new FrameError("unknown_code", `${codeText(code)} answers nothing here`);
    const { json, keys } = parseKeyPayload(payload);
    const call = this.#open.get(messageId);
    if (call === undefined) return;
    if (AK[AK_ANSWERS[call.name]].code !== code) {
      throw new FrameError("unknown_code", `${codeText(code)} does not answer ${codeText(AK[call.name].code)}`);
    }
    this.#open.delete(messageId);
    call.answered(json, keys);
    this.#closeIfRetired();
  }

  /** @throws FrameError message_id when a request of the key manager under this number has no whole answer yet */
  #owe(messageId: number, code: number, answers: number): Reply {
    if (this.#owed.has(messageId)) throw new FrameError("message_id", `request ${messageId} has no answer yet`);
    if (answers > 0) this.#owed.set(messageId, answers);
    const isOpen = (): boolean => this.open;
    return {
      get open() {
        return isOpen();
      },
      send: (payload) => {
        if (!this.open) return false;
        const owed = this.#owed.get(messageId) ?? 0;
        if (owed > 1) this.#owed.set(messageId, owed - 1);
        else this.#owed.delete(messageId);
        this.#replies.push(encodeFrame(code, messageId, encodePayload(payload)));
        queueMicrotask(() => this.#send());
        return true;
      },
    };
  }

  #end(reason: string, isRefused = false): void {
    if (this.#endedBecause !== undefined) return;
    this.#endedBecause = reason;
    this.#isRefused = isRefused;
    const open = [...this.#open.values()];
    this.#open.clear();
    this.#reader.dispose();
    for (const call of open) call.failed(this.#gone(reason, isRefused ? "refused" : "sent"));
    for (const call of this.#waiting.splice(0)) call.failed(this.#gone(reason, isRefused ? "refused" : "not sent"));
  }

  #gone(reason: string, end: "sent" | "not sent" | "refused"): AkUnanswered {
    return new AkUnanswered(`the connection with the key manager has ended: ${reason}`, end);
  }
}

/** A frame of Ak begins with a version that is no letter. */
const isHttp = (chunk: Uint8Array): boolean => Buffer.from(chunk.subarray(0, 5)).toString("latin1") === "HTTP/";

const ANSWERS: ReadonlySet<number> = new Set([
  AK.keyResponse.code,
  AK.sessionCreationResponse.code,
  AK.sessionKeyResponse.code,
]);

/** @throws Fault MALFORMED_REQUEST */
function answerOf<Name extends RequestName>(name: Name, json: object, letters: readonly Uint8Array[]): Answered<Name> {
  const row: Message = AK[AK_ANSWERS[name]];
  const message = check(row, json) as PayloadOf<AnswerRow<Name>>;
  return { message, keys: "keys" in message ? suppliedKeys(message.keys, letters) : [] };
}
