// Answers of other key managers, whole, chopped at every size, cut at every byte, and broken.

import { describe, expect, it } from "vitest";
import { type Reply, ReplyReader } from "../../src/etsi020/reply.ts";

const text = (...lines: readonly string[]): Buffer => Buffer.from(lines.join("\r\n"), "latin1");

const PLAIN = text("HTTP/1.1 200 OK", "Content-Type: application/json", "content-length: 9", "", '[{"a":1}]');
const CHUNKED = text(
  ...["HTTP/1.1 100 Continue", "", "HTTP/1.1 200", "Transfer-Encoding: Chunked", "Connection: Close", ""],
  ...["4;x=y", '[{"a', "5", '":1}]', "0", "Trailer: t", "", ""],
);
const EMPTY = text("HTTP/1.1 202 Accepted", "Content-Length: 0", "", "");

function read(bytes: Buffer, size: number): Reply | undefined {
  const reader = new ReplyReader();
  for (let at = 0; at < bytes.length; at += size) {
    const reply = reader.feed(bytes.subarray(at, at + size));
    if (reply !== undefined) return at + size >= bytes.length ? reply : undefined;
  }
  return undefined;
}

describe("RFC 9112: an answer", () => {
  it.each([
    ["with a length", PLAIN, 200, '[{"a":1}]', true],
    ["in chunks", CHUNKED, 200, '[{"a":1}]', false],
    ["without a body", EMPTY, 202, "", true],
  ])("%s is read in pieces of every size", (_, bytes, status, body, isReusable) => {
    for (let size = 1; size <= bytes.length; size++) {
      const reply = read(bytes, size);
      expect([reply?.status, reply?.body.toString(), reply?.isReusable]).toEqual([status, body, isReusable]);
    }
  });

  it.each([PLAIN, CHUNKED, EMPTY])("that is cut anywhere is none", (bytes) => {
    for (let end = 0; end < bytes.length; end++) {
      const reader = new ReplyReader();
      expect(reader.feed(bytes.subarray(0, end))).toBeUndefined();
      expect(() => reader.end()).toThrow();
    }
  });

  it("without a length ends with the connection", () => {
    const reader = new ReplyReader();
    expect(reader.feed(text("HTTP/1.0 503 Busy", "", "later"))).toBeUndefined();
    expect(reader.end()).toEqual({ status: 503, body: Buffer.from("later"), isReusable: false });
  });

  it("with something behind it is the last of its connection", () => {
    expect(read(Buffer.concat([EMPTY, EMPTY]), 1000)?.isReusable).toBe(false);
  });

  it.each([
    ["of another protocol", text("SSH-2.0-x", "", "")],
    ["with a name that is missing", text("HTTP/1.1 200 OK", ": 7", "", "")],
    ["with two lengths", text("HTTP/1.1 200 OK", "Content-Length: 1", "Transfer-Encoding: chunked", "", "")],
    ["with a length twice", text("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 1", "", "")],
    ["with another coding", text("HTTP/1.1 200 OK", "Transfer-Encoding: gzip", "", "")],
    ["with a chunk that lies", text("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "", "2", "abc", "0", "", "")],
    ["with a chunk without a length", text("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "", "x", "abc", "")],
    ["that is too long", text("HTTP/1.1 200 OK", "Content-Length: 262145", "", "")],
    ["whose head is too long", text("HTTP/1.1 200 OK", `X: ${"x".repeat(17_000)}`)],
  ])("%s is none", (_, bytes) => {
    expect(() => new ReplyReader().feed(bytes)).toThrow();
  });
});
