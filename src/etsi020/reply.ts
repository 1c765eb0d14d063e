// Answers of the key manager of another network: HTTP/1.1 (RFC 9112), bounded, read as they arrive. They never have keys.

/** An answer that was read whole. */
export interface Reply {
  readonly status: number;
  readonly body: Buffer;
  /** Another request may follow on the connection. */
  readonly isReusable: boolean;
}

const MOST_HEAD = 16_384;
const MOST_BODY = 262_144;
const HEAD_END = Buffer.from("\r\n\r\n");
const LINE_END = Buffer.from("\r\n");
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?$/;

interface Head {
  readonly status: number;
  readonly isKept: boolean;
  /** `length`: bytes; `chunked`; `close`: all until the end of the connection. */
  readonly framing: "chunked" | "close" | number;
  /** Where the body begins. */
  readonly end: number;
}

/** Reads one answer. */
export class ReplyReader {
  #bytes = Buffer.alloc(0);
  #head: Head | undefined;

  /** The whole answer when it is there. @throws Error when it is none, or too long */
  feed(chunk: Uint8Array): Reply | undefined {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      this.#head ??= this.#readHead();
      // 1xx: another head follows.
      if (this.#head === undefined || this.#head.status >= 200) break;
      this.#bytes = this.#bytes.subarray(this.#head.end);
      this.#head = undefined;
    }
    return this.#head && this.#reply(this.#head);
  }

  /** The connection has ended. @throws Error when the answer had not */
  end(): Reply {
    if (this.#head?.framing !== "close") throw new Error("the connection ended before the answer");
    return { status: this.#head.status, body: this.#bytes.subarray(this.#head.end), isReusable: false };
  }

  #readHead(): Head | undefined {
    const end = this.#bytes.indexOf(HEAD_END);
    if (end > MOST_HEAD || (end < 0 && this.#bytes.length > MOST_HEAD)) throw new Error("the head is too long");
    if (end < 0) return undefined;
    const [first = "", ...lines] = this.#bytes.toString("latin1", 0, end).split("\r\n");
    const [, minor, status] = STATUS_LINE.exec(first) ?? [];
    if (status === undefined) throw new Error("the answer is no HTTP/1.1");
    const fields = fieldsOf(lines);
    return {
      status: Number(status),
      isKept: minor === "1" && !/\bclose\b/i.test(fields.get("connection") ?? ""),
      framing: framingOf(Number(status), fields),
      end: end + HEAD_END.length,
    };
  }

  #reply({ status, isKept, framing, end }: Head): Reply | undefined {
    const there = this.#bytes.length - end;
    if (there > MOST_BODY || (typeof framing === "number" && framing > MOST_BODY))
      throw new Error("the body is too long");
    if (framing === "close") return undefined;
    const found = framing === "chunked" ? chunksIn(this.#bytes, end) : lengthIn(this.#bytes, end, framing);
    if (found === undefined) return undefined;
    return { status, body: found.body, isReusable: isKept && found.end === this.#bytes.length };
  }
}

function fieldsOf(lines: readonly string[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 1) throw new Error("a header field has no name");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}

function framingOf(status: number, fields: ReadonlyMap<string, string>): Head["framing"] {
  if (status < 200 || status === 204 || status === 304) return 0;
  const [length, coding] = [fields.get("content-length"), fields.get("transfer-encoding")];
  if (length !== undefined && coding !== undefined) throw new Error("the answer has two lengths");
  if (coding !== undefined && coding.toLowerCase() !== "chunked") throw new Error(`the coding ${coding} is not known`);
  if (coding !== undefined) return "chunked";
  if (length === undefined) return "close";
  if (!/^[0-9]{1,10}$/.test(length)) throw new Error("the length is no number");
  return Number(length);
}

interface Found {
  readonly body: Buffer;
  readonly end: number;
}

const lengthIn = (bytes: Buffer, start: number, length: number): Found | undefined =>
  bytes.length < start + length ? undefined : { body: bytes.subarray(start, start + length), end: start + length };

/** RFC 9112 7.1; trailers are passed over. */
function chunksIn(bytes: Buffer, start: number): Found | undefined {
  const parts: Buffer[] = [];
  let at = start;
  for (;;) {
    const line = bytes.indexOf(LINE_END, at);
    if (line < 0) return undefined;
    const [digits = ""] = bytes.toString("latin1", at, line).split(";", 1);
    if (!/^[0-9a-f]{1,8}[ \t]*$/i.test(digits)) throw new Error("a chunk has no length");
    const length = Number.parseInt(digits, 16);
    at = line + LINE_END.length;
    if (length === 0) break;
    if (bytes.length < at + length + LINE_END.length) return undefined;
    parts.push(bytes.subarray(at, at + length));
    at += length + LINE_END.length;
    if (bytes[at - 2] !== 0x0d || bytes[at - 1] !== 0x0a) throw new Error("a chunk is longer than it says");
  }
  const end = trailerEnd(bytes, at);
  return end === undefined ? undefined : { body: Buffer.concat(parts), end };
}

function trailerEnd(bytes: Buffer, start: number): number | undefined {
  for (let at = start; ; ) {
    const line = bytes.indexOf(LINE_END, at);
    if (line < 0) return undefined;
    if (line === at) return at + LINE_END.length;
    at = line + LINE_END.length;
  }
}
