// The messages of Kq: one table; types, codec and the manual follow from it.

import {
  bytes,
  type Fields,
  field,
  list,
  Malformed,
  type Reader,
  record,
  rest,
  text,
  u8,
  u32,
  u64,
  type ValuesOf,
  type Writer,
} from "./codec.ts";
import { NONCE_BYTES, TAG_BYTES } from "./limits.ts";

interface Message<F extends Fields> {
  readonly code: number;
  readonly from: "both" | "module" | "host";
  /** `none`: before a connection. `own`: counted apart, never sent again. `numbered`: in order, sent again until acknowledged. */
  readonly order: "none" | "own" | "numbered";
  readonly text: string;
  readonly fields: F;
  put(to: Writer, values: ValuesOf<F>): void;
  get(from: Reader): ValuesOf<F>;
}

type Head = Pick<Message<Fields>, "code" | "from" | "order" | "text">;

function message<F extends Fields>(head: Head, fields: F): Message<F> {
  const { put, get } = record(fields);
  return {
    ...head,
    fields,
    put,
    get(from) {
      const values = get(from);
      if (from.left > 0) throw new Malformed("the message is longer than its fields");
      return values;
    },
  };
}

/** `side` of a hello. */
export const SIDES = ["host", "tx", "rx"] as const;
/** Tx or Rx end of a QKD link. */
export type Side = (typeof SIDES)[number];

/** Blocks `first` … `first + count - 1` of one run. */
const range = record({
  run: field(u64, "run of the blocks"),
  first: field(u64, "sequence of the first"),
  count: field(u32, "how many, one after the other"),
});

/** The messages of Kq by name. */
export const KQ = {
  hello: message(
    { code: 0x01, from: "both", order: "none", text: "who speaks; three of them make a connection" },
    {
      version: field(u8, "1; the other fields are read only if it is known"),
      side: field(u8, "0 host, 1 module Tx, 2 module Rx"),
      protected: field(u8, "1 with a pairing key, 0 without"),
      own: field(bytes(NONCE_BYTES), "the sender's random bytes for this connection"),
      echo: field(bytes(NONCE_BYTES), "the other end's random bytes, zero while not known"),
      run: field(u64, "module: number of the pair's start; host: 0"),
      blockBytes: field(u32, "size of every link block"),
      link: field(text, "the link's ID"),
      name: field(text, "module: maker, model, serial number; host: `qkm`"),
      proof: field(bytes(TAG_BYTES), "that the sender has the pairing key; zero without, and while `echo` is zero"),
    },
  ),
  acknowledgement: message(
    { code: 0x02, from: "both", order: "own", text: "what arrived of the numbered frames" },
    {
      next: field(u32, "the number expected next: all before it arrived"),
      resend: field(u8, "1: send again from `next` on, something is missing; else 0"),
    },
  ),
  status: message(
    { code: 0x10, from: "module", order: "numbered", text: "how the module is; also its sign of life" },
    {
      qber: field(u32, "quantum bit error rate in millionths"),
      keyRate: field(u64, "secret key rate in bits per second"),
      held: field(u32, "blocks that it holds for the host"),
      dropped: field(u64, "blocks that it lost because it held too many"),
      alarms: field(list(text), "its alarms, one word each"),
    },
  ),
  fragment: message(
    {
      code: 0x11,
      from: "module",
      order: "numbered",
      text: "a piece of a block; pieces come in order, block after block",
    },
    {
      run: field(u64, "run of the block"),
      sequence: field(u64, "its number within the run"),
      offset: field(u32, "where the piece lies in the block"),
      key: field(rest, "1 to 16,384 bytes of key"),
    },
  ),
  credit: message(
    { code: 0x20, from: "host", order: "numbered", text: "how many blocks the module may send" },
    { blocks: field(u32, "all that were granted since the connection began") },
  ),
  durable: message(
    {
      code: 0x21,
      from: "host",
      order: "numbered",
      text: "blocks that are sealed and on disk: the module forgets them",
    },
    { blocks: field(list(range), "which") },
  ),
} as const;

/** The name of a message. */
export type KqName = keyof typeof KQ;
/** The fields of a message. */
export type PayloadOf<N extends KqName> = ReturnType<(typeof KQ)[N]["get"]>;
/** Who speaks; three of them make a connection. */
export type Hello = PayloadOf<"hello">;
/** What a module says of its optics and its key. */
export type Status = PayloadOf<"status">;
/** A piece of a block. */
export type Fragment = PayloadOf<"fragment">;
/** Blocks in a row of one run. */
export type BlockRange = PayloadOf<"durable">["blocks"][number];

/** A decoded message with its name. */
export type Incoming = { readonly [N in KqName]: { readonly name: N; readonly values: PayloadOf<N> } }[KqName];

const BY_CODE = new Map<number, KqName>(Object.entries(KQ).map(([name, { code }]) => [code, name as KqName]));

/** The message of a code, if there is one. */
export const nameOf = (code: number): KqName | undefined => BY_CODE.get(code);

/** @throws Malformed */
export const decode = (name: KqName, body: Reader): Incoming => ({ name, values: KQ[name].get(body) }) as Incoming;

/** @throws RangeError when a value does not fit its field */
export const encode = <N extends KqName>(name: N, values: PayloadOf<N>, to: Writer): void =>
  (KQ[name].put as (to: Writer, values: PayloadOf<N>) => void)(to, values);
