// Requests out of bytes: whole, chopped at every size, and what two readers could take for two things.

import { describe, expect, test } from "vitest";
import { BODY_BYTES } from "../../src/http/body.ts";
import { LockedBody, PlainBody } from "../../src/http/body-store.ts";
import type { Part } from "../../src/http/parts.ts";
import { BadRequest } from "../../src/http/request-head.ts";
import { HEAD_BYTES, type ReaderPorts, RequestReader } from "../../src/http/request-reader.ts";
import { Mutator } from "../fuzz/mutate.ts";
import { SEED } from "../support/seed.ts";

interface Read {
  readonly method: string;
  readonly target: string;
  readonly type: string | undefined;
  readonly keepAlive: boolean;
  readonly body: string | undefined;
}

interface Outcome {
  readonly requests: readonly Read[];
  /** Why it stopped. */
  readonly bad: BadRequest | undefined;
  /** How often a client was told to go on. */
  readonly told: number;
}

function readerFor(requests: Read[], more: Partial<ReaderPorts> = {}): RequestReader {
  return new RequestReader({
    store: (then) => then(new PlainBody()),
    request({ method, target, contentType, keepAlive }, body) {
      const bytes = body === undefined ? new Uint8Array(0) : body.bytes;
      const text = bytes === undefined ? undefined : Buffer.from(bytes).toString("latin1");
      requests.push({ method, target, type: contentType, keepAlive, body: text });
    },
    waits: () => {},
    hold: () => {},
    goOn: () => {},
    ...more,
  });
}

/** Reads bytes in pieces of `size`. */
function readAll(bytes: Uint8Array | string, size = Number.POSITIVE_INFINITY): Outcome {
  const requests: Read[] = [];
  let told = 0;
  const reader = readerFor(requests, { waits: () => void told++ });
  const all = Buffer.from(bytes as string, "latin1");
  try {
    for (let at = 0; at < all.length; at += size) reader.read(Buffer.from(all.subarray(at, at + size)));
  } catch (thrown) {
    if (!(thrown instanceof BadRequest)) throw thrown;
    return { requests, bad: thrown, told };
  }
  return { requests, bad: undefined, told };
}

const HOST = "Host: km-a\r\n";
const get = (fields = "", target = "/x") => `GET ${target} HTTP/1.1\r\n${HOST}${fields}\r\n`;
const post = (fields: string, body = "") => `POST /x HTTP/1.1\r\n${HOST}${fields}\r\n${body}`;
const CHUNKED = "Transfer-Encoding: chunked\r\n";

const THREE = [
  get("Accept: */*\r\nX-Empty:\r\n", "/a?b=c"),
  post("Content-Type:  application/json \r\nContent-Length: 6\r\n", '{"a":1'),
  post(`${CHUNKED}Connection: close\r\n`, '2\r\n{"\r\n00b\r\na":"\r\n\r\n0"}\r\n0\r\n\r\n'),
].join("");
const THREE_READ: readonly Read[] = [
  { method: "GET", target: "/a?b=c", type: undefined, keepAlive: true, body: "" },
  { method: "POST", target: "/x", type: "application/json", keepAlive: true, body: '{"a":1' },
  { method: "POST", target: "/x", type: undefined, keepAlive: false, body: '{"a":"\r\n\r\n0"}' },
];

test("requests come out the same whole and chopped at every size", () => {
  for (let size = 1; size <= THREE.length; size++) {
    expect(readAll(THREE, size)).toEqual({ requests: THREE_READ, bad: undefined, told: 0 });
  }
});

test("mutated requests come out the same whole and chopped", () => {
  const mutator = new Mutator(
    [...THREE.split(/(?=GET|POST)/), THREE].map((text) => Buffer.from(text, "latin1")),
    SEED,
  );
  for (let i = 0; i < 3_000; i++) {
    const bytes = mutator.next();
    const whole = readAll(bytes);
    for (const size of [1, 1 + mutator.below(40)]) {
      const chopped = readAll(bytes, size);
      expect({ bytes: bytes.toString("latin1"), requests: chopped.requests, isBad: chopped.bad !== undefined }).toEqual(
        {
          bytes: bytes.toString("latin1"),
          requests: whole.requests,
          isBad: whole.bad !== undefined,
        },
      );
    }
  }
});

describe("what two readers could take for two things is refused, and nothing behind it is read", () => {
  const smuggled = get("", "/smuggled");

  test.each([
    ["a length and chunks", post(`Content-Length: 4\r\n${CHUNKED}`, "0\r\n\r\n")],
    ["chunks and a length", post(`${CHUNKED}Content-Length: 4\r\n`, "0\r\n\r\n")],
    ["two lengths", post("Content-Length: 1\r\nContent-Length: 2\r\n", "xx")],
    ["the same length twice", post("Content-Length: 1\r\ncontent-length: 1\r\n", "x")],
    ["lengths in a list", post("Content-Length: 1, 1\r\n", "x")],
    ["a signed length", post("Content-Length: +1\r\n", "x")],
    ["a negative length", post("Content-Length: -1\r\n", "x")],
    ["a hexadecimal length", post("Content-Length: 0x1\r\n", "x")],
    ["a length with an exponent", post("Content-Length: 1e0\r\n", "x")],
    ["a length of many digits", post("Content-Length: 18446744073709551617\r\n", "x")],
    ["an empty length", post("Content-Length: \r\n")],
    ["a length with a no-break space", post("Content-Length: 1\xa0\r\n", "x")],
    ["a length with a vertical tab", post("Content-Length: \x0b1\r\n", "x")],
    ["a blank before the colon of a length", post("Content-Length : 1\r\n", "x")],
    ["a blank before the colon of chunks", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n")],
    ["chunks twice", post(CHUNKED + CHUNKED, "0\r\n\r\n")],
    ["a folded line", post("X: 1\r\n Content-Length: 1\r\n", "x")],
    ["a first field that begins with a blank", `GET /x HTTP/1.1\r\n ${HOST}\r\n`],
    ["a line feed alone behind a field", `GET /x HTTP/1.1\r\nHost: km-a\nX: y\r\n\r\n`],
    ["line feeds alone", "GET /x HTTP/1.1\nHost: km-a\n\n"],
    ["a carriage return alone", `GET /x HTTP/1.1\r\n${HOST}X: 1\rContent-Length: 1\r\n\r\n`],
    ["a NUL in a value", get("X: \0\r\n")],
    ["a NUL in a name", get("X\0: 1\r\n")],
    ["a field without a colon", get("X\r\n")],
    ["a field without a name", get(": 1\r\n")],
    ["a name with a bracket", get("X(): 1\r\n")],
    ["no Host", "GET /x HTTP/1.1\r\n\r\n"],
    ["two Hosts", get("host: km-a\r\n")],
    ["Hosts in a list", "GET /x HTTP/1.1\r\nHost: km-a, km-b\r\n\r\n"],
    ["a Host with a user", "GET /x HTTP/1.1\r\nHost: me@km-a\r\n\r\n"],
    ["a Host with a path", "GET /x HTTP/1.1\r\nHost: km-a/x\r\n\r\n"],
    ["chunks in HTTP/1.0", `POST /x HTTP/1.0\r\n${HOST}${CHUNKED}\r\n0\r\n\r\n`],
    ["two blanks in the first line", `GET  /x HTTP/1.1\r\n${HOST}\r\n`],
    ["a tab in the first line", `GET\t/x HTTP/1.1\r\n${HOST}\r\n`],
    ["a blank behind the version", `GET /x HTTP/1.1 \r\n${HOST}\r\n`],
    ["a blank in the target", `GET /x y HTTP/1.1\r\n${HOST}\r\n`],
    ["a target beyond ASCII", `GET /\xfc HTTP/1.1\r\n${HOST}\r\n`],
    ["HTTP/1.2", `GET /x HTTP/1.2\r\n${HOST}\r\n`],
    ["http/1.1", `GET /x http/1.1\r\n${HOST}\r\n`],
    ["a method in small letters", `get /x HTTP/1.1\r\n${HOST}\r\n`],
    ["two empty lines before it", `\r\n\r\n${get()}`],
    ["a chunk with an extension", post(CHUNKED, "1;a=b\r\nx\r\n0\r\n\r\n")],
    ["a chunk with an extension and a line feed alone", post(CHUNKED, "1;\n\r\nx\r\n0\r\n\r\n")],
    ["a chunk whose size ends with LF alone", post(CHUNKED, "1\nx\r\n0\r\n\r\n")],
    ["a chunk that ends with LF alone", post(CHUNKED, "1\r\nx\n0\r\n\r\n")],
    ["a chunk that is longer than it says", post(CHUNKED, "1\r\nxy\r\n0\r\n\r\n")],
    ["a chunk without a size", post(CHUNKED, "\r\n\r\n")],
    ["a chunk with a signed size", post(CHUNKED, "+1\r\nx\r\n0\r\n\r\n")],
    ["a chunk with a size of hexadecimal notation", post(CHUNKED, "0x1\r\nx\r\n0\r\n\r\n")],
    ["a chunk with a blank before its size", post(CHUNKED, " 1\r\nx\r\n0\r\n\r\n")],
    ["a chunk with a size that wraps round", post(CHUNKED, "100000001\r\nx\r\n0\r\n\r\n")],
    ["trailers", post(CHUNKED, "0\r\nContent-Length: 3\r\n\r\n")],
    ["CONNECT", `CONNECT km-a:443 HTTP/1.1\r\n${HOST}\r\n`],
  ])("%s", (_, text) => {
    for (const size of [Number.POSITIVE_INFINITY, 1, 7]) {
      const { requests, bad } = readAll(text + smuggled, size);
      expect(requests).toEqual([]);
      expect(bad?.status).toBe(400);
    }
  });

  test.each([
    ["another coding", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501],
    ["a folded chunked", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 501],
    ["a coding that only looks like chunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501],
    ["another expectation", post("Expect: 200-ok\r\nContent-Length: 1\r\n", "x"), 417],
  ])("%s, with the status that HTTP has for it", (_, text, status) => {
    const { requests, bad } = readAll(text + smuggled);
    expect(requests).toEqual([]);
    expect(bad?.status).toBe(status);
  });
});

test("a length of zero, a body of a GET, and one empty line before a request are no reason to refuse it", () => {
  const text = `${post("Content-Length: 0\r\n")}\r\n${get("Content-Length: 3\r\n")}abc${get()}`;
  expect(readAll(text)).toMatchObject({ requests: [{ body: "" }, { body: "abc" }, { body: "" }], bad: undefined });
});

test("a connection stays by the version and what the client asks", () => {
  const kept = (version: string, fields: string): boolean | undefined =>
    readAll(`GET /x HTTP/${version}\r\n${HOST}${fields}\r\n`).requests[0]?.keepAlive;
  expect(kept("1.1", "")).toBe(true);
  expect(kept("1.1", "Connection: upgrade, CLOSE\r\n")).toBe(false);
  expect(kept("1.1", "Connection: x\r\nConnection: close\r\n")).toBe(false);
  expect(kept("1.1", "Connection: closed\r\n")).toBe(true);
  expect(kept("1.0", "")).toBe(false);
  expect(kept("1.0", "Connection: Keep-Alive\r\n")).toBe(true);
});

test("a head is read up to its limit and refused beyond it, also before its end", () => {
  const head = (length: number): string => get(`X: ${"y".repeat(length - get("X: \r\n").length + 4)}\r\n`);
  expect(head(HEAD_BYTES).length).toBe(HEAD_BYTES + 4);
  expect(readAll(head(HEAD_BYTES)).requests).toHaveLength(1);
  expect(readAll(head(HEAD_BYTES + 1)).bad?.reason).toBe("head too large");
  expect(readAll(head(HEAD_BYTES + 9).slice(0, HEAD_BYTES + 1), 100).bad?.reason).toBe("head too large");
});

test("what is no HTTP is refused at its first byte", () => {
  expect(readAll("\x16\x03\x01").bad?.status).toBe(400);
  expect(readAll("{").bad?.status).toBe(400);
});

test("a body that is too long is read to its end, and is none", () => {
  const long = "x".repeat(BODY_BYTES + 1);
  const chunks = `${BODY_BYTES.toString(16)}\r\n${long.slice(1)}\r\n1\r\nx\r\n0\r\n\r\n`;
  for (const text of [post(`Content-Length: ${long.length}\r\n`, long), post(CHUNKED, chunks)]) {
    expect(readAll(text + get(), 10_000).requests).toMatchObject([{ body: undefined }, { body: "" }]);
  }
});

test("a client that keeps its body back is told to go on, if nothing of it is there", () => {
  const expects = "Expect: 100-continue\r\nContent-Length: 1\r\n";
  expect(readAll(post(expects)).told).toBe(1);
  expect(readAll(post(expects, "x"))).toMatchObject({ requests: [{ body: "x" }], told: 0 });
  expect(readAll(post("Expect: 100-continue\r\n"))).toMatchObject({ requests: [{ body: "" }], told: 0 });
});

test("while there is no room for a body nothing is read, and then what came goes on", () => {
  const requests: Read[] = [];
  let give = (): void => {};
  let isHeld = false;
  const reader: RequestReader = readerFor(requests, {
    store: (then) => {
      give = () => then(new PlainBody());
    },
    hold: () => {
      isHeld = true;
    },
    goOn: () => reader.read(new Uint8Array(0)),
  });
  reader.read(Buffer.from(post("Content-Length: 3\r\n", "abc") + get("", "/y"), "latin1"));
  expect([isHeld, requests]).toEqual([true, []]);
  give();
  expect(requests).toMatchObject([{ body: "abc" }, { target: "/y" }]);
});

test("bodies with keys are gathered in locked memory, which is given back zeroed, and nothing of them is kept", () => {
  const memory = Buffer.alloc(64);
  let lent = 0;
  const part = (): Part => {
    lent++;
    const release = (used: number): void => {
      memory.fill(0, 0, used);
      lent--;
    };
    return { bytes: memory, release };
  };
  const store: ReaderPorts["store"] = (then) => then(new LockedBody(part()));
  const bodies: (string | undefined)[] = [];
  const reader = readerFor([], {
    store,
    request(_head, body) {
      bodies.push(body?.bytes && Buffer.from(body.bytes).toString());
      body?.release();
    },
  });
  const text = post("Content-Length: 10\r\n", "0123456789") + post("Content-Length: 65\r\n", "y".repeat(65));
  for (const byte of Buffer.from(text)) reader.read(Buffer.of(byte));
  expect(bodies).toEqual(["0123456789", undefined]);
  reader.read(Buffer.from(post("Content-Length: 10\r\n", "01234")));
  reader.stop();
  expect([lent, memory.every((byte) => byte === 0)]).toEqual([0, true]);
});
