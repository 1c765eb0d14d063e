// Every message of both standards has a vector; every vector is read and written to the byte.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { AK, AK_ANSWERS } from "../../src/ak/messages.ts";
import { KX, KX_ANSWERS } from "../../src/kx/payload/messages.ts";
import { BufferPool } from "../../src/wire/buffer-pool.ts";
import { encodeFrame, type Frame, FrameReader } from "../../src/wire/frame.ts";
import { byCode, check, type Message } from "../../src/wire/message.ts";
import { encodePayload, parsePayload } from "../../src/wire/payload.ts";

interface Vector {
  readonly message: string;
  readonly messageId: number;
  readonly json: object;
  readonly hex: string;
}

const TABLES: Readonly<Record<"ak" | "kx", Readonly<Record<string, Message>>>> = { ak: AK, kx: KX };

function vectorsOf(protocol: "ak" | "kx"): readonly Vector[] {
  return JSON.parse(readFileSync(new URL(`../vectors/${protocol}.json`, import.meta.url), "utf8"));
}

function readFrame(bytes: Uint8Array): Omit<Frame, "payload"> & { readonly json: object } {
  const frames: (Omit<Frame, "payload"> & { readonly json: object })[] = [];
  new FrameReader(new BufferPool(1)).push(bytes, ({ payload, ...rest }) =>
    frames.push({ ...rest, json: parsePayload(payload) }),
  );
  const [frame] = frames;
  if (frame === undefined || frames.length !== 1) throw new Error(`${frames.length} frames`);
  return frame;
}

test.each(["ak", "kx"] as const)(
  "each message of %s has a vector, each parameter of it is in one, and each code is one message's",
  (name) => {
    const vectors = vectorsOf(name);
    for (const [message, { parameters }] of Object.entries(TABLES[name])) {
      const shown = vectors.filter((vector) => vector.message === message).flatMap(({ json }) => Object.keys(json));
      expect([...new Set(shown)].sort(), message).toEqual(Object.keys(parameters).sort());
    }
    expect(vectors.filter(({ message }) => TABLES[name][message] === undefined)).toEqual([]);
    expect(byCode(TABLES[name]).size).toBe(Object.keys(TABLES[name]).length);
  },
);

test("the codes of Ak and Kx differ", () => {
  expect(byCode({ ...AK, ...KX }).size).toBe(Object.keys(AK).length + Object.keys(KX).length);
});

test("each request of an application is answered by a message of its key manager, and the other way round", () => {
  for (const [request, answer] of Object.entries(AK_ANSWERS)) {
    const codes = [AK[request as keyof typeof AK_ANSWERS].code >>> 8, AK[answer].code >>> 8];
    expect(codes.sort()).toEqual([0x12, 0x21]);
  }
  expect(Object.keys(KX_ANSWERS)).toEqual(["keyRelay", "keySupplyNotification"]);
});

const ALL = (["ak", "kx"] as const).flatMap((protocol) =>
  vectorsOf(protocol).map((vector) => ({ protocol, ...vector })),
);

test.each(ALL)("$protocol $message $messageId", ({ protocol, message, messageId, json, hex }) => {
  const row = TABLES[protocol][message];
  if (row === undefined) throw new Error("no such message");
  expect(readFrame(Buffer.from(hex, "hex"))).toEqual({ version: 1, messageId, code: row.code, json });
  expect(check(row, json)).toBe(json);
  expect(Buffer.from(encodeFrame(row.code, messageId, encodePayload(json))).toString("hex")).toBe(hex);
  for (const [name, { need }] of Object.entries(row.parameters)) {
    const { [name]: _, ...rest } = json as Record<string, unknown>;
    for (const absent of [rest, { ...rest, [name]: null }]) {
      if (need === "M") expect(() => check(row, absent)).toThrow(`${name} is missing`);
      else expect(check(row, absent)).toEqual(rest);
    }
    expect(() => check(row, { ...json, [name]: true })).toThrow(name);
  }
});
