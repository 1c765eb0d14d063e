// A pair of simulated vendor's boxes in this process, with real TLS, their certificates in a folder, and all their faults.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunningBox } from "../../drivers/simulator/boxes/box.ts";
import { type BoxFaults, NO_BOX_FAULTS } from "../../drivers/simulator/boxes/faults.ts";
import { BOX_KINDS, type BoxKind } from "../../drivers/simulator/boxes/pair.ts";
import {
  type BoxEnd,
  type NamedKey,
  otherEnd,
  type PairRate,
  SharedKeys,
} from "../../drivers/simulator/boxes/shared-keys.ts";
import { systemClock, systemRandom } from "../../src/control/system.ts";
import type { BoxFiles } from "../../src/device/key-box.ts";
import { authority, type Credentials } from "./certificates.ts";

const HOST = "127.0.0.1";
const LOTS: PairRate = { rateBitsPerS: 1e9, bufferBits: 1e9 };
const SECOND_MS = 1000;
/** What the boxes call the KMs that come to them. */
const NAMES = { a: "km-a", b: "km-b" } as const;

/** Made once for all boxes of a test file. */
const vendor = await authority("a vendor");
const good = await vendor.issue({ ips: [HOST], name: "box" });
const bad = await vendor.issue({ ips: [HOST], name: "box", fromMs: -2 * SECOND_MS, untilMs: -SECOND_MS });
const own = { a: await vendor.issue({ name: NAMES.a }), b: await vendor.issue({ name: NAMES.b }) };

/** Keeps what it gave, for who looks where it went. */
class RecordedKeys extends SharedKeys {
  readonly given: Buffer[] = [];

  override draw(number: number, bytes: number): readonly NamedKey[] | undefined {
    const keys = super.draw(number, bytes);
    this.given.push(...(keys ?? []).map(({ key }) => key));
    return keys;
  }
}

export class VendorBoxes implements AsyncDisposable {
  readonly keys: RecordedKeys;
  readonly #kind: BoxKind;
  readonly #dir = mkdtempSync(join(tmpdir(), "qkm-boxes-"));
  readonly #running: Partial<Record<BoxEnd, RunningBox>> = {};
  readonly #ports: Record<BoxEnd, number> = { a: 0, b: 0 };

  private constructor(kind: BoxKind, rate: PairRate) {
    this.#kind = kind;
    this.keys = new RecordedKeys(rate, NO_BOX_FAULTS, { clock: systemClock, chance: systemRandom });
  }

  static async start(kind: BoxKind, rate: PairRate = LOTS): Promise<VendorBoxes> {
    const boxes = new VendorBoxes(kind, rate);
    writeFileSync(boxes.#file("trust.pem"), vendor.pem);
    for (const end of ["a", "b"] as const) {
      boxes.#write(end, own[end]);
      await boxes.plug(end);
    }
    return boxes;
  }

  /** What the KM at one end calls itself and the other. */
  names(end: BoxEnd): { readonly local: string; readonly remote: string } {
    const name = (at: BoxEnd): string => (this.#kind === "etsi014" ? NAMES[at] : `qkd://${NAMES[at]}@boxes`);
    return { local: name(end), remote: name(otherEnd(end)) };
  }

  place(end: BoxEnd): { readonly host: string; readonly port: number } {
    return { host: HOST, port: this.#ports[end] };
  }

  /** Of the KM at one end. */
  files(end: BoxEnd): BoxFiles {
    return { certificate: this.#file(`${end}.pem`), key: this.#file(`${end}.key`), trust: this.#file("trust.pem") };
  }

  /** From now on both boxes have these, and no others. */
  faults(faults: Partial<BoxFaults>): void {
    this.keys.faults = { ...NO_BOX_FAULTS, ...faults };
  }

  async plug(end: BoxEnd, { certificate, key }: Credentials = good): Promise<void> {
    const names = { a: this.names("a").local, b: this.names("b").local };
    const box = { end, saes: names, papers: { certificate, key, trust: vendor.pem } };
    const started = await BOX_KINDS[this.#kind](this.place(end), box, this.keys);
    this.#ports[end] = started.port;
    this.#running[end] = started;
  }

  async unplug(end: BoxEnd): Promise<void> {
    await this.#running[end]?.[Symbol.asyncDispose]();
    delete this.#running[end];
  }

  /** The box at one end shows a certificate that has expired, or a good one again. */
  async expire(end: BoxEnd, isExpired: boolean): Promise<void> {
    await this.unplug(end);
    await this.plug(end, isExpired ? bad : good);
  }

  /** The certificate of the KM at one end has expired, or is renewed; the files are read with the next connection. */
  async expireOwn(end: BoxEnd, isExpired: boolean): Promise<void> {
    const times = { fromMs: -2 * SECOND_MS, untilMs: -SECOND_MS };
    this.#write(end, isExpired ? await vendor.issue({ name: NAMES[end], ...times }) : own[end]);
  }

  #file(name: string): string {
    return join(this.#dir, name);
  }

  #write(end: BoxEnd, { certificate, key }: Credentials): void {
    writeFileSync(this.#file(`${end}.pem`), certificate);
    writeFileSync(this.#file(`${end}.key`), key, { mode: 0o600 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.unplug("a"), this.unplug("b")]);
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
