// Heads of requests (RFC 9112), read strictly: what two readers could take for two things is refused.

/** What is no request that can be served, and why: it is answered with `status`, and the connection ends. */
export class BadRequest extends Error {
  override readonly name = "BadRequest";
  readonly status: number;
  /** As counters name it. */
  readonly reason: string;

  constructor(message: string, status = 400, reason = "malformed") {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

/** What is known of a request before its body. */
export interface RequestHead {
  readonly method: string;
  /** In origin or absolute form; nothing is decoded. */
  readonly target: string;
  /** The first `Content-Type`. */
  readonly contentType: string | undefined;
  /** Bytes of the body; undefined for one in chunks, whose length its end tells. */
  readonly bodyBytes: number | undefined;
  /** The client keeps its body back until it is told 100. */
  readonly waitsForContinue: boolean;
  readonly keepAlive: boolean;
}

const START = /^([A-Z]{1,20}) ([!-~]+) HTTP\/1\.([01])\r\n/;
/** Name and value of a field with its end; the value has blanks around it. No folded lines, no line feed or NUL by itself. */
const FIELD = /([\w!#$%&'*+.^`|~-]+):([\t -~\x80-\xff]*)\r\n/y;
/** RFC 9112 3.2 wants what is no host refused. */
const HOST = /^[\t ]*(?:[\w.~%!$&'()*+;=-]*|\[[\da-fA-F:.]+\])(?::\d{0,5})?[\t ]*$/;
const LENGTH = /^[\t ]*(\d{1,15})[\t ]*$/;
const CHUNKED = /^[\t ]*chunked[\t ]*$/i;
const CONTINUE = /^[\t ]*100-continue[\t ]*$/i;

/** Values of the fields that matter here, as they come. */
interface Fields {
  hosts: number;
  contentType: string | undefined;
  length: number | undefined;
  isChunked: boolean;
  connection: string;
  waitsForContinue: boolean;
}

/**
 * Reads a head: the bytes up to the empty line, which is left out, as Latin-1.
 * @throws BadRequest
 */
export function readHead(text: string): RequestHead {
  const start = START.exec(text);
  if (start === null) throw new BadRequest("the first line is no request line of HTTP/1.1");
  const [line, method = "", target = "", minor] = start;
  // A tunnel has no place here, and its target is no path.
  if (method === "CONNECT") throw new BadRequest("CONNECT is not served");
  const fields = readFields(text, line.length);
  const { hosts, contentType, length, isChunked, connection, waitsForContinue } = fields;
  if (hosts > 1 || (hosts === 0 && minor === "1")) throw new BadRequest("Host must come exactly once");
  if (isChunked && length !== undefined)
    throw new BadRequest("Content-Length and Transfer-Encoding exclude each other");
  if (isChunked && minor === "0") throw new BadRequest("HTTP/1.0 has no Transfer-Encoding");
  const isAsked = (token: string): boolean => connection !== "" && connection.split(/[\t ,]+/).includes(token);
  return {
    method,
    target,
    contentType,
    bodyBytes: isChunked ? undefined : (length ?? 0),
    waitsForContinue: waitsForContinue && minor === "1",
    keepAlive: !isAsked("close") && (minor === "1" || isAsked("keep-alive")),
  };
}

function readFields(text: string, from: number): Fields {
  const fields: Fields = {
    hosts: 0,
    contentType: undefined,
    length: undefined,
    isChunked: false,
    connection: "",
    waitsForContinue: false,
  };
  for (let at = from; at < text.length; at = FIELD.lastIndex) {
    FIELD.lastIndex = at;
    const [, name, value] = FIELD.exec(text) ?? [];
    if (name === undefined || value === undefined) throw new BadRequest("a header field is malformed");
    takeField(fields, name.toLowerCase(), value);
  }
  return fields;
}

/** @throws BadRequest */
function takeField(fields: Fields, name: string, value: string): void {
  switch (name) {
    case "host":
      fields.hosts += 1;
      if (!HOST.test(value)) throw new BadRequest("Host names no host");
      break;
    case "content-length": {
      const digits = LENGTH.exec(value)?.[1];
      if (digits === undefined || fields.length !== undefined) {
        throw new BadRequest("Content-Length must be one decimal number, once");
      }
      fields.length = Number(digits);
      break;
    }
    case "transfer-encoding":
      if (fields.isChunked) throw new BadRequest("Transfer-Encoding must come once");
      if (!CHUNKED.test(value)) throw new BadRequest("the only Transfer-Encoding read here is chunked", 501);
      fields.isChunked = true;
      break;
    case "connection":
      fields.connection += `,${value.toLowerCase()}`;
      break;
    case "content-type":
      fields.contentType ??= value.trim();
      break;
    case "expect":
      if (!CONTINUE.test(value)) throw new BadRequest("the only Expect met here is 100-continue", 417);
      fields.waitsForContinue = true;
  }
}
