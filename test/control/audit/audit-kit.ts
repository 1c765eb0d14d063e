// An audit log in a folder of its own, on a clock that stands still and with the MAC of a key in memory.

import { createHmac } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AuditLog, type AuditOptions } from "../../../src/control/audit/audit-log.ts";
import type { Seal } from "../../../src/control/audit/format.ts";
import { Fault } from "../../../src/core/fault.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { type Recorder, recorder } from "../../support/recorder.ts";

export const KM = "km-a";
export const GATHER_MS = 100;
export const TOKEN_KEY = "the token's key";

const hmac = (message: Uint8Array): Uint8Array => createHmac("sha256", TOKEN_KEY).update(message).digest();

export class AuditKit implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), "qkm-audit-"));
  readonly clock = new ManualClock();
  readonly recorder: Recorder = recorder();
  isTokenGone = false;
  macs = 0;
  /** What was told as sealed and durable. */
  readonly durable: string[] = [];
  /** What a call of the token waits for. */
  pace: () => Promise<void> = async () => {};

  open(options: Partial<AuditOptions> = {}): Promise<AuditLog> {
    const { log, meter } = this.recorder;
    const settings = { km: KM, dir: this.dir, maxBytes: 1 << 24, keep: "newest", gatherMs: GATHER_MS } as const;
    return AuditLog.open(
      { ...settings, ...options },
      {
        mac: (message) => this.mac(message),
        clock: this.clock,
        log,
        meter,
        durable: (lines) => this.durable.push(`${Buffer.from(lines)}`),
      },
    );
  }

  async mac(message: Uint8Array): Promise<Uint8Array> {
    await this.pace();
    if (this.isTokenGone) throw new Fault("HSM_UNAVAILABLE");
    this.macs++;
    return hmac(message);
  }

  /** Whether seals were made by this kit's key. */
  readonly check = async (seals: readonly Pick<Seal, "hash" | "mac">[]): Promise<boolean[]> =>
    seals.map(({ hash, mac }) => {
      const message = Buffer.concat([Buffer.from(`qkm audit seal 1\n${KM}\n`), Buffer.from(hash, "hex")]);
      return Buffer.from(hmac(message)).toString("hex") === mac;
    });

  files(): string[] {
    return readdirSync(this.dir).sort();
  }

  /** The bytes of the newest segment. */
  newest(): Buffer {
    return readFileSync(join(this.dir, this.files().at(-1) ?? ""));
  }

  /** Changes the bytes of a segment, the newest unless said otherwise. */
  change(how: (bytes: Buffer) => Buffer, file = this.files().at(-1) ?? ""): void {
    writeFileSync(join(this.dir, file), how(readFileSync(join(this.dir, file))));
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
