// A USB bus in memory, as the HID edge shows it: devices come and go, reports take their time and may be hurt.

import type { HidDevice, HidEdge, HidHandle } from "../../../drivers/hid/edge.ts";
import { REPORT_BYTES } from "../../../src/kq/framing/reports.ts";
import type { ManualClock } from "../../support/manual-clock.ts";

/** What becomes of a report on its way: any number of reports of any length. */
export type Hurt = (report: Buffer) => readonly Buffer[];

const REPORTS_PER_MS = 8;
const REPORT_ID_BYTES = 1;

export interface Ids {
  readonly vendorId: number;
  readonly productId: number;
  readonly serialNumber: string;
  readonly usagePage: number;
}

/** The device's side: what it has sent waits until a host listens, one that is pulled out forgets it. */
export class ModelDevice {
  readonly ids: Ids;
  towardsHost: Hurt = (report) => [report];
  towardsDevice: Hurt = (report) => [report];
  /** A report from the host. */
  received: (report: Buffer) => void = () => {};
  /** It takes reports again. */
  drained: () => void = () => {};
  readonly #waiting: Buffer[] = [];
  #busy = false;

  constructor(ids: Ids) {
    this.ids = ids;
  }

  /** Queues reports; `false` when it wants no more before `drained`. */
  send(bytes: Buffer): boolean {
    for (let at = 0; at < bytes.length; at += REPORT_BYTES) this.#waiting.push(bytes.subarray(at, at + REPORT_BYTES));
    this.#busy = true;
    return false;
  }

  /** The next reports that a host reads. */
  polled(): readonly Buffer[] {
    const reports = this.#waiting.splice(0, REPORTS_PER_MS).flatMap((report) => this.towardsHost(report));
    if (this.#busy && this.#waiting.length === 0) {
      this.#busy = false;
      this.drained();
    }
    return reports;
  }

  forget(): void {
    this.#waiting.length = 0;
    const wasBusy = this.#busy;
    this.#busy = false;
    if (wasBusy) this.drained();
  }
}

interface Open {
  readonly device: ModelDevice;
  gone(): void;
}

export class ModelUsb implements HidEdge {
  readonly #clock: ManualClock;
  readonly #plugged = new Map<string, ModelDevice>();
  readonly #open = new Set<Open>();
  #number = 0;
  /** Paths that one may not open; `*` for all. */
  readonly forbidden = new Set<string>();
  /** Devices answer no output report. */
  refuseWrites = false;
  /** How often the bus was looked at. */
  looks = 0;
  /** Every report that was handed out. */
  readonly handed: Buffer[] = [];

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  get opened(): number {
    return this.#open.size;
  }

  /** Appears under a number that was never used. */
  plug(device: ModelDevice): string {
    const path = `/dev/hidraw${this.#number++}`;
    this.#plugged.set(path, device);
    return path;
  }

  unplug(device: ModelDevice): void {
    for (const [path, one] of this.#plugged) if (one === device) this.#plugged.delete(path);
    for (const open of [...this.#open]) if (open.device === device) open.gone();
    device.forget();
  }

  async devices(vendorId: number, productId: number): Promise<readonly HidDevice[]> {
    this.looks++;
    const all = [...this.#plugged].map(([path, { ids }]) => ({ path, ...ids }));
    return all.filter((one) => one.vendorId === vendorId && one.productId === productId);
  }

  async open(path: string): Promise<HidHandle> {
    const device = this.#plugged.get(path);
    if (device === undefined) throw Object.assign(new Error(`ENOENT: no such file ${path}`), { code: "ENOENT" });
    if (this.forbidden.has(path) || this.forbidden.has("*")) {
      throw Object.assign(new Error(`EACCES: permission denied ${path}`), { code: "EACCES" });
    }
    return this.#handle(device);
  }

  #handle(device: ModelDevice): HidHandle {
    let hear: (report: Buffer) => void = () => {};
    let gone = (): void => {};
    let cancel = (): void => {};
    const end = () => {
      this.#open.delete(open);
      cancel();
    };
    const open: Open = {
      device,
      gone() {
        end();
        gone();
      },
    };
    const poll = () => {
      cancel = this.#clock.after(1, poll);
      for (const report of device.polled()) {
        const copy = Buffer.from(report);
        this.handed.push(copy);
        hear(copy);
      }
    };
    this.#open.add(open);
    return {
      listen(report, ended) {
        hear = report;
        gone = ended;
        poll();
      },
      write: (bytes) => this.#write(open, bytes),
      async [Symbol.asyncDispose]() {
        end();
      },
    };
  }

  async #write(open: Open, bytes: Buffer): Promise<void> {
    if (bytes.length !== REPORT_ID_BYTES + REPORT_BYTES || bytes[0] !== 0) throw new Error("no report of 64 bytes");
    if (this.refuseWrites || !this.#open.has(open)) throw new Error("the device does not take it");
    for (const report of open.device.towardsDevice(Buffer.from(bytes.subarray(REPORT_ID_BYTES)))) {
      this.#clock.after(1, () => this.#open.has(open) && open.device.received(report));
    }
  }
}
