// What applications send in the measurements, and what their answers have to be.

import { AK } from "../../src/ak/messages.ts";
import { encodeFrame, HEADER_BYTES } from "../../src/wire/frame.ts";
import { encodePayload } from "../../src/wire/payload.ts";
import type { Shape } from "./load.ts";
import { APPS, OTHER_APP } from "./network.ts";

const KEY_BYTES = 32;
const KEY_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** A shape whose answer's length is still to be learnt. */
export interface Wish extends Omit<Shape, "answerBytes"> {
  readonly request: Uint8Array;
  isWhole(answer: Buffer): boolean;
}

/** IDs of the keys in answers that were looked at: none comes twice. */
export class SeenKeys {
  readonly #ids = new Set<string>();

  add(id: string): void {
    if (this.#ids.has(id)) throw new Error(`the key ${id} came twice`);
    this.#ids.add(id);
  }
}

/** 0x2101 for `count` keys of 256 bits. Each request of a connection has the next message ID. */
export function keyRequest(count: number, seen: SeenKeys): Wish {
  const payload = {
    application_source_ID: APPS.a,
    application_destination_ID: APPS.b,
    number_of_keys: count,
    size_of_key: KEY_BYTES * 8,
  };
  const request = encodeFrame(AK.keyRequest.code, 0, encodePayload(payload));
  return { ...framed(request), check: (answer) => checkKeys(keysOf(answer), count, (id) => seen.add(id)) };
}

/** Sizes whose keys take as many letters of base64, so that their answers are as long. */
const ALTERNATING_BITS = [KEY_BYTES * 8, (KEY_BYTES + 1) * 8] as const;

/** 0x2101 for one key each, in turn for two applications and of two sizes. */
export function alternatingRequests(seen: SeenKeys): Wish {
  const requests = [APPS.b, OTHER_APP].flatMap((to) =>
    ALTERNATING_BITS.map((bits) => {
      const payload = { application_source_ID: APPS.a, application_destination_ID: to };
      const sizes = { number_of_keys: 1, size_of_key: bits };
      return framed(encodeFrame(AK.keyRequest.code, 0, encodePayload({ ...payload, ...sizes })));
    }),
  );
  const [first] = requests;
  if (first === undefined) throw new Error("there is no request");
  let turn = 0;
  return {
    ...first,
    lay: (target, at) => requests[turn++ % requests.length]?.lay(target, at) ?? false,
    check: (answer) => checkKeys(keysOf(answer), 1, (id) => seen.add(id), KEY_BYTES + 1),
  };
}

/** 0x2102 for one key each, in their order; nothing when they are spent. */
export function keyRequestById(keyIds: readonly string[]): Wish {
  const payload = (id: string) => encodePayload({ application_source_ID: APPS.a, key_IDs: [{ key_ID: id }] });
  const [first = ""] = keyIds;
  const frame = framed(encodeFrame(AK.keyRequestWithId.code, 0, payload(first)));
  const at = Buffer.from(frame.request).indexOf(first);
  let next = 1;
  return {
    ...frame,
    lay(target, start) {
      const id = keyIds[next++];
      if (id === undefined) return false;
      frame.lay(target, start);
      target.write(id, start + at, "latin1");
      return true;
    },
    check: (answer) => checkKeys(keysOf(answer), 1, () => {}),
  };
}

function framed(request: Uint8Array) {
  let messageId = 0;
  return {
    request,
    requestBytes: request.length,
    isWhole: (answer: Buffer) =>
      answer.length >= HEADER_BYTES && answer.length >= HEADER_BYTES + answer.readUInt16BE(8),
    lay(target: Buffer, at: number): boolean {
      target.set(request, at);
      messageId = (messageId + 1) >>> 0;
      target.writeUInt32BE(messageId, at + 2);
      return true;
    },
  };
}

interface Keys {
  readonly keys: readonly { readonly key: string; readonly key_ID: string }[];
}

/** The keys of a 0x1203. The bench is an application: what it does with its keys is its own affair. */
export function keysOf(frame: Buffer): Keys["keys"] {
  if (frame.readUInt16BE(6) !== AK.keyResponse.code) throw new Error("an answer is no 0x1203");
  const { response, keys } = JSON.parse(frame.toString("utf8", HEADER_BYTES)) as Keys & { readonly response: string };
  if (response !== "success") throw new Error(`the KM refuses: ${response}`);
  if (frame.readUInt16BE(8) !== frame.length - HEADER_BYTES)
    throw new Error("an answer has another length than the first");
  return keys;
}

function checkKeys(keys: Keys["keys"], count: number, seen: (id: string) => void, mostBytes = KEY_BYTES): void {
  if (keys.length !== count) throw new Error(`${keys.length} keys came instead of ${count}`);
  for (const { key, key_ID: id } of keys) {
    const { length } = Buffer.from(key, "base64");
    if (length < KEY_BYTES || length > mostBytes || !KEY_ID.test(id)) throw new Error("an answer has no proper key");
    seen(id);
  }
}

/** ETSI GS QKD 014 enc_keys: one key of 256 bits. */
export function encKeys(seen: SeenKeys): Wish {
  const request = Buffer.from(`GET /api/v1/keys/${APPS.b}/enc_keys HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`, "latin1");
  return {
    request,
    requestBytes: request.length,
    isWhole: (answer) => answer.length > 0 && answer.length >= bodyAt(answer) + contentLength(answer),
    lay(target, at) {
      target.set(request, at);
      return true;
    },
    check(answer) {
      if (!answer.toString("latin1").startsWith("HTTP/1.1 200 "))
        throw new Error(`the KM refuses: ${answer.toString("latin1")}`);
      checkKeys(JSON.parse(bodyOf(answer)).keys, 1, (id) => seen.add(id));
    },
  };
}

const bodyOf = (answer: Buffer): string => answer.toString("latin1", bodyAt(answer));

function bodyAt(answer: Buffer): number {
  const end = answer.indexOf("\r\n\r\n");
  return end < 0 ? Number.POSITIVE_INFINITY : end + 4;
}

const contentLength = (answer: Buffer): number =>
  Number(/content-length: (\d+)/i.exec(answer.toString("latin1"))?.[1] ?? 0);

/** Head fields and body of an HTTP answer: what a reference server answers. */
export function httpParts(answer: Buffer): {
  readonly headers: readonly (readonly [string, string])[];
  readonly bodyBytes: number;
} {
  const lines = answer
    .toString("latin1", 0, bodyAt(answer) - 4)
    .split("\r\n")
    .slice(1);
  const headers = lines.map((line): readonly [string, string] => {
    const colon = line.indexOf(": ");
    return [line.slice(0, colon), line.slice(colon + 2)];
  });
  return { headers, bodyBytes: contentLength(answer) };
}
