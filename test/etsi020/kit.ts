// The door of borders over real TLS, before a key manager that only notes what it is asked.

import { Fault } from "../../src/core/fault.ts";
import { type KmId, kmId } from "../../src/core/ids.ts";
import { type Etsi020Server, startEtsi020 } from "../../src/etsi020/server.ts";
import type {
  BorderAck,
  BorderArrival,
  BorderDeparture,
  BorderDoor,
  BorderVoid,
} from "../../src/keys/ports/borders.ts";
import { Credentials as TlsCredentials } from "../../src/net/tls/credentials.ts";
import { type Authority, authority, type Credentials, forIdentity, material } from "../support/certificates.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type Recorder, recorder } from "../support/recorder.ts";
import { ForeignKme } from "./foreign-kme.ts";

export interface Papers {
  readonly ours: Authority;
  readonly theirs: Authority;
  readonly km: Credentials;
  readonly kme: Credentials;
  readonly stranger: Credentials;
}

/** Each network has its own authority. */
export async function papers(): Promise<Papers> {
  const [ours, theirs] = await Promise.all([authority("ours"), authority("theirs")]);
  const [km, kme, stranger] = await Promise.all([
    forIdentity(ours, "km", "km-a"),
    forIdentity(theirs, "km", "kme-x"),
    forIdentity(theirs, "km", "kme-z"),
  ]);
  return { ours, theirs, km, kme, stranger };
}

/** `arrived` keys as text, which only tests hold. */
export interface Noted {
  readonly border: KmId;
  readonly request: Omit<BorderArrival, "keys"> | BorderVoid | readonly BorderAck[];
  readonly keys?: readonly (readonly [id: string, value: string])[];
}

export class NotingBorders implements BorderDoor {
  readonly noted: Noted[] = [];
  /** What the next requests are answered. */
  fault: Fault | undefined;
  acks: readonly BorderAck[] = [];

  async arrived(border: KmId, { keys, ...request }: BorderArrival): Promise<readonly BorderAck[]> {
    const texts = keys.map(({ keyId, letters }) => [keyId, Buffer.from(letters).toString()] as const);
    this.noted.push({ border, request, keys: texts });
    return this.#answer();
  }

  async voided(border: KmId, request: BorderVoid): Promise<readonly BorderAck[]> {
    this.noted.push({ border, request });
    return this.#answer();
  }

  async acknowledged(border: KmId, request: readonly BorderAck[]): Promise<void> {
    this.noted.push({ border, request });
    this.#answer();
  }

  #answer(): readonly BorderAck[] {
    if (this.fault !== undefined) throw this.fault;
    return this.acks;
  }
}

export interface OpenBorder extends AsyncDisposable {
  readonly server: Etsi020Server;
  readonly tls: TlsCredentials;
  readonly borders: NotingBorders;
  readonly memory: Uint8Array;
  readonly told: Recorder;
  readonly clock: ManualClock;
  readonly other: ForeignKme;
  readonly url: string;
}

/** A door of km-a with a border to kme-x. */
export async function openBorder(net: Papers, isSynchronous = false): Promise<OpenBorder> {
  const borders = new NotingBorders();
  const memory = new Uint8Array(4 * 65_536);
  const tls = new TlsCredentials(material(net.km, net.theirs));
  const told = recorder();
  const clock = new ManualClock();
  await using opened = new AsyncDisposableStack();
  const peer = "urn:qkm:km:km-a";
  const other = opened.use(await ForeignKme.listening({ own: net.kme, ca: net.ours.pem, peer }));
  const server = opened.use(
    await startEtsi020(
      {
        listen: { host: "127.0.0.1", port: 0 },
        tls,
        clientTls: material(net.km, net.theirs),
        requireHybrid: false,
        maxConnections: 50,
        callbackUrl: undefined,
        borders: [{ id: kmId("kme-x"), url: other.url, isSynchronous }],
        memory,
      },
      { borders, clock, log: told.log, meter: told.meter },
    ),
  );
  const all = opened.move();
  return {
    ...{ server, tls, borders, memory, told, clock, other },
    url: `https://127.0.0.1:${server.port}`,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** Keys that leave: byte `n` of key `n`. */
export const departureOf = (ids: readonly string[]): BorderDeparture => ({
  initiator: "app-a1" as BorderDeparture["initiator"],
  target: "app-x1" as BorderDeparture["target"],
  keys: ids.map((keyId) => ({ keyId, length: 32 })),
  async lend(use) {
    use((index, target, at) => {
      const text = Buffer.alloc(32, index + 1).toString("base64");
      return at + Buffer.from(target.buffer, target.byteOffset).write(text, at);
    });
  },
});

export { Fault };
