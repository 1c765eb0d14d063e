// Requests out of the bytes of one connection, however they are cut: head, body by its length or in chunks.
//
//   head ──Content-Length──> body ────────────────────> whole ──> head …
//     └────chunked──> size ──> body ──> end of chunk ──> size …
//                       └──0──> end of body ──> whole
//
// Bytes of a body go on at once to where it is gathered; only heads and lines between chunks are kept here.

import type { BodyStore } from "./body-store.ts";
import { BadRequest, type RequestHead, readHead } from "./request-head.ts";

/** A longer head is refused. */
export const HEAD_BYTES = 8192;

/** A head that is kept to know it again. */
const KEPT_BYTES = 1024;

/** What a reader does with what it finds. */
export interface ReaderPorts {
  /** Gives `then` room for a body: at once when there is some, else later. */
  store(then: (store: BodyStore) => void): void;
  /** A request is whole. The body is the callee's. */
  request(head: RequestHead, body: BodyStore | undefined): void;
  /** A client keeps its body back until it is told to go on. */
  waits(): void;
  /** There is no room for a body: nothing can be read until `goOn`. */
  hold(): void;
  /** Call `read` again, with what else there is or with nothing. */
  goOn(): void;
}

type State = "head" | "body" | "size" | "end of chunk" | "end of body";

const CRLF = "\r\n";
const [CR, LF] = [13, 10];
const [A, Z] = [65, 90];
/** Size of a chunk: no extension, no blanks. */
const SIZE = /^[\da-fA-F]{1,8}$/;
const MORE = -1;
const NOTHING = Buffer.alloc(0);

/** Reads the requests of one connection. */
export class RequestReader {
  readonly #ports: ReaderPorts;
  #state: State = "head";
  #head: RequestHead | undefined;
  #body: BodyStore | undefined;
  /** Of the body, or of the chunk that is read. */
  #left = 0;
  /** The beginning of a head or a line. */
  #rest: Buffer = NOTHING;
  /** So many bytes of it were searched for their end. */
  #searched = 0;
  /** The last head that was short, as it came: most clients send the same again and again. */
  #lastText = "";
  #last: RequestHead | undefined;
  #isHeld = false;
  #isStopped = false;

  constructor(ports: ReaderPorts) {
    this.#ports = ports;
  }

  /** What of the next request is there: nothing, a part of its head, its head and a part of its body. */
  get begun(): "nothing" | "head" | "body" {
    if (this.#state !== "head") return "body";
    return this.#rest.length > 0 ? "head" : "nothing";
  }

  /** Reads on; what is found is told before this returns. The chunk is not kept. @throws BadRequest, after which nothing is read */
  read(chunk: Uint8Array): void {
    const rest = this.#rest;
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : bufferOf(chunk);
    const searched = this.#searched;
    let at = 0;
    try {
      let next = at;
      while (next !== MORE && next < bytes.length && !this.#isHeld && !this.#isStopped) {
        at = next;
        next = this.#step(bytes, at, at === 0 ? searched : 0);
      }
      if (next !== MORE) at = next;
      this.#searched = next === MORE ? bytes.length - at : 0;
      this.#rest = at < bytes.length && !this.#isStopped ? Buffer.from(bytes.subarray(at)) : NOTHING;
    } catch (thrown) {
      this.stop();
      throw thrown;
    } finally {
      // Bodies may be key.
      if (rest.length > 0) {
        bytes.fill(0);
        rest.fill(0);
      }
    }
  }

  /** Reads nothing any more, and gives back what was gathered of a body. */
  stop(): void {
    this.#isStopped = true;
    this.#rest.fill(0);
    this.#rest = NOTHING;
    this.#body?.release();
    this.#body = undefined;
  }

  /** Reads what is at `at`; the position behind it, or MORE. */
  #step(bytes: Buffer, at: number, searched: number): number {
    switch (this.#state) {
      case "head":
        return this.#readHead(bytes, at, searched);
      case "body":
        return this.#readBody(bytes, at);
      case "size":
        return this.#readSize(bytes, at);
      default:
        return this.#readEnd(bytes, at);
    }
  }

  #readHead(bytes: Buffer, at: number, searched: number): number {
    // RFC 9112 2.2: one empty line before a request is passed over.
    const start = bytes[at] === CR && bytes[at + 1] === LF ? at + 2 : at;
    const end = bytes.indexOf("\r\n\r\n", Math.max(start, at + searched - 3), "latin1");
    if ((end < 0 ? bytes.length : end) - start > HEAD_BYTES) {
      throw new BadRequest(`the head has more than ${HEAD_BYTES} bytes`, 400, "head too large");
    }
    if (end < 0) {
      refuseNoHead(bytes, start, Math.max(at, at + searched - 1));
      return MORE;
    }
    const behind = end + 4;
    const head = this.#headOf(bytes.toString("latin1", start, end + 2));
    this.#head = head;
    if (head.bodyBytes === 0) {
      this.#whole();
      return behind;
    }
    this.#left = head.bodyBytes ?? 0;
    this.#state = head.bodyBytes === undefined ? "size" : "body";
    this.#openBody();
    if (head.waitsForContinue && behind === bytes.length && !this.#isHeld) this.#ports.waits();
    return behind;
  }

  #headOf(text: string): RequestHead {
    if (this.#last !== undefined && text === this.#lastText) return this.#last;
    const head = readHead(text);
    if (text.length <= KEPT_BYTES) {
      this.#last = head;
      this.#lastText = text;
    }
    return head;
  }

  #openBody(): void {
    this.#isHeld = true;
    let isLater = false;
    this.#ports.store((body) => {
      this.#isHeld = false;
      if (this.#isStopped) body.release();
      else this.#body = body;
      if (isLater && !this.#isStopped) this.#ports.goOn();
    });
    isLater = true;
    if (this.#isHeld) this.#ports.hold();
  }

  #readBody(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#body?.add(bytes.subarray(at, end));
    this.#left -= end - at;
    if (this.#left === 0) {
      if (this.#head?.bodyBytes === undefined) this.#state = "end of chunk";
      else this.#whole();
    }
    return end;
  }

  #readSize(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(CRLF, at, "latin1");
    const line = bytes.toString("latin1", at, end < 0 ? Math.min(bytes.length, at + 10) : end);
    if (end < 0 && (/^[\da-fA-F]{0,8}$/.test(line) || /^[\da-fA-F]{1,8}\r$/.test(line))) return MORE;
    if (!SIZE.test(line)) throw new BadRequest("the size of a chunk must be a hexadecimal number, without extensions");
    this.#left = Number.parseInt(line, 16);
    this.#state = this.#left === 0 ? "end of body" : "body";
    return end + 2;
  }

  /** Behind a chunk, and behind the last of them: no trailers. */
  #readEnd(bytes: Buffer, at: number): number {
    if (bytes[at] !== CR || (at + 1 < bytes.length && bytes[at + 1] !== LF)) {
      throw new BadRequest("a chunk must end with CR LF, and the last of them without trailers");
    }
    if (at + 1 === bytes.length) return MORE;
    if (this.#state === "end of chunk") this.#state = "size";
    else this.#whole();
    return at + 2;
  }

  #whole(): void {
    const [head, body] = [this.#head, this.#body];
    this.#state = "head";
    this.#head = undefined;
    this.#body = undefined;
    if (head !== undefined) this.#ports.request(head, body);
  }
}

/** What can never become a head is refused before its end: it may have none. */
function refuseNoHead(bytes: Buffer, start: number, from: number): void {
  const first = bytes[start];
  if (first !== undefined && first !== CR && (first < A || first > Z)) throw new BadRequest("this is no HTTP/1.1");
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] === 0) throw new BadRequest("there is a NUL in the head");
    if (bytes[at] === LF && bytes[at - 1] !== CR) throw new BadRequest("a line of the head ends with LF alone");
  }
}

const bufferOf = (chunk: Uint8Array): Buffer =>
  chunk instanceof Buffer ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
