// Requests as they came last on a connection, by the bytes of their payloads: mostly one is like another.

/** So many are remembered, and none whose payload is longer. */
const MOST = 4;
const MOST_BYTES = 512;
const ID_BYTES = 36;
/** Another ID than any that is asked for. */
const PROBE = "0".repeat(ID_BYTES);
const ID = /^[0-9A-Fa-f-]{36}$/;
const HEX_OR_HYPHEN = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[0-9A-Fa-f-]/.test(String.fromCharCode(byte)) ? 1 : 0,
);

interface Known<Request> {
  readonly payload: Uint8Array;
  /** Where the ID of a key lies that may be another, or the length of the payload. */
  readonly idAt: number;
  readonly request: Request;
}

/** Reads a payload as a request. @throws FrameError, Fault */
type Read<Request> = (payload: Uint8Array) => Request;

/** Requests that are the same when their payloads are: reading one anew takes some thirty times as long. */
export class Remembered<Request> {
  readonly #read: Read<Request>;
  readonly #known: Known<Request>[] = [];

  constructor(read: Read<Request>) {
    this.#read = read;
  }

  /** Nobody may change what it returns: it is returned again. @throws what `read` throws, which is not remembered */
  of(payload: Uint8Array): Request {
    for (const known of this.#known) if (isLike(payload, known)) return known.request;
    const request = this.#read(payload);
    if (payload.length <= MOST_BYTES) {
      if (this.#known.length >= MOST) this.#known.shift();
      this.#known.push({ payload: Uint8Array.from(payload), idAt: payload.length, request });
    }
    return request;
  }
}

/** Requests for one key by its ID, which are alike in all but that ID. */
export class RememberedFetch<Request extends { readonly keyIds: readonly string[] }> {
  readonly #read: Read<Request>;
  #known: Known<Request> | undefined;

  constructor(read: Read<Request>) {
    this.#read = read;
  }

  /** @throws what `read` throws */
  of(payload: Uint8Array): Request {
    const known = this.#known;
    if (known !== undefined && isLike(payload, known)) {
      return { ...known.request, keyIds: [latin1(payload, known.idAt, ID_BYTES)] };
    }
    const request = this.#read(payload);
    if (payload.length <= MOST_BYTES) this.#known = this.#learn(payload, request);
    return request;
  }

  /** Remembers it when its one ID stands at one place, and whatever stands there is what is asked for. */
  #learn(payload: Uint8Array, request: Request): Known<Request> | undefined {
    const [id = "", ...more] = request.keyIds;
    if (more.length > 0 || !ID.test(id) || id === PROBE) return undefined;
    const text = latin1(payload, 0, payload.length);
    // With its quotes, so that what stands there is a value and no part of an escape.
    const idAt = text.indexOf(`"${id}"`) + 1;
    if (idAt === 0) return undefined;
    const probed = this.#read(Buffer.from(text.slice(0, idAt) + PROBE + text.slice(idAt + ID_BYTES), "latin1"));
    const isIt = probed.keyIds.length === 1 && probed.keyIds[0] === PROBE;
    return isIt ? { payload: Uint8Array.from(payload), idAt, request } : undefined;
  }
}

const latin1 = ({ buffer, byteOffset }: Uint8Array, at: number, length: number): string =>
  Buffer.from(buffer, byteOffset + at, length).toString("latin1");

/** Whether payloads are the same but for an ID, and what stands in its place can be one. */
function isLike(payload: Uint8Array, { payload: known, idAt }: Known<unknown>): boolean {
  if (payload.length !== known.length) return false;
  for (let at = 0; at < known.length; at++) {
    if (at === idAt) {
      for (const end = at + ID_BYTES; at < end; at++) if (HEX_OR_HYPHEN[payload[at] ?? 0] !== 1) return false;
    }
    if (payload[at] !== known[at]) return false;
  }
  return true;
}
