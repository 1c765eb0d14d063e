// Fields of Kq messages as values: how each lies in bytes, and which type it has.

/** A frame whose check is right but whose body is not what its code says. */
export class Malformed extends Error {
  override readonly name = "Malformed";
}

/** Writes into memory that it is given; throws RangeError at its end. */
export class Writer {
  readonly bytes: Buffer;
  length = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  uint(size: 1 | 4, value: number): void {
    this.bytes.writeUIntBE(value, this.length, size);
    this.length += size;
  }

  raw(value: Uint8Array): void {
    if (this.length + value.length > this.bytes.length) throw new RangeError("the frame is full");
    this.bytes.set(value, this.length);
    this.length += value.length;
  }
}

/** Reads a view that was lent to it; throws Malformed behind its end. */
export class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  uint(size: 1 | 4): number {
    return this.#bytes.readUIntBE(this.#step(size), size);
  }

  /** A view, lent as long as the frame is. */
  raw(size: number): Buffer {
    const at = this.#step(size);
    return this.#bytes.subarray(at, at + size);
  }

  #step(size: number): number {
    const at = this.#at;
    if (at + size > this.#bytes.length) throw new Malformed("the message ends too early");
    this.#at = at + size;
    return at;
  }
}

/** One kind of field: its length for the manual, and both ways. */
export interface Kind<T> {
  readonly size: string;
  put(to: Writer, value: T): void;
  get(from: Reader): T;
}

const unsigned = (size: 1 | 4): Kind<number> => ({
  size: String(size),
  put: (to, value) => to.uint(size, value),
  get: (from) => from.uint(size),
});

/** A number in one byte. */
export const u8 = unsigned(1);
/** A number in four bytes, big-endian. */
export const u32 = unsigned(4);

/** 8 bytes, of which a JavaScript number holds 53 bits. */
export const u64: Kind<number> = {
  size: "8",
  put(to, value) {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no unsigned integer`);
    to.uint(4, Math.floor(value / 0x1_0000_0000));
    to.uint(4, value % 0x1_0000_0000);
  },
  get(from) {
    const value = from.uint(4) * 0x1_0000_0000 + from.uint(4);
    if (!Number.isSafeInteger(value)) throw new Malformed("a number exceeds 53 bits");
    return value;
  },
};

/** Exactly `size` bytes. */
export const bytes = (size: number): Kind<Uint8Array> => ({
  size: String(size),
  put(to, value) {
    if (value.length !== size) throw new RangeError(`${value.length} bytes instead of ${size}`);
    to.raw(value);
  },
  get: (from) => Uint8Array.prototype.slice.call(from.raw(size)),
});

/** At most 255 bytes of UTF-8 behind their length. */
export const text: Kind<string> = {
  size: "1 + n",
  put(to, value) {
    const coded = Buffer.from(value, "utf8");
    to.uint(1, coded.length);
    to.raw(coded);
  },
  get: (from) => from.raw(from.uint(1)).toString("utf8"),
};

/** At most 255 items behind their number. */
export const list = <T>(kind: Kind<T>): Kind<readonly T[]> => ({
  size: `1 + n × (${kind.size})`,
  put(to, values) {
    to.uint(1, values.length);
    for (const value of values) kind.put(to, value);
  },
  get: (from) => Array.from({ length: from.uint(1) }, () => kind.get(from)),
});

/** All that is left of the frame: a view, lent until the handler returns. */
export const rest: Kind<Uint8Array> = {
  size: "rest",
  put: (to, value) => to.raw(value),
  get: (from) => from.raw(from.left),
};

/** Named fields, one after the other, each with a phrase for the manual. */
export type Fields = Readonly<Record<string, { readonly kind: Kind<unknown>; readonly text: string }>>;
/** The values of a message's fields. */
export type ValuesOf<F> = { readonly [K in keyof F]: F[K] extends { readonly kind: Kind<infer T> } ? T : never };

/** One field: its kind, and what it says. */
export const field = <T>(kind: Kind<T>, text: string) => ({ kind, text });

/** Fields as one kind: the body of a message, or an item of a list. */
export function record<F extends Fields>(fields: F): Kind<ValuesOf<F>> {
  const entries = Object.entries(fields);
  return {
    size: entries.map(([, { kind }]) => kind.size).join(" + "),
    put(to, values) {
      const named = values as Readonly<Record<string, unknown>>;
      for (const [name, { kind }] of entries) kind.put(to, named[name]);
    },
    get(from) {
      const values: Record<string, unknown> = {};
      for (const [name, { kind }] of entries) values[name] = kind.get(from);
      return values as ValuesOf<F>;
    },
  };
}
