// A vault on a model token, a memory disk and a clock that the test moves.

import { createHash } from "node:crypto";
import { kmId } from "../../src/core/ids.ts";
import { secretOf } from "../../src/core/memory/secret.ts";
import type { Clock } from "../../src/core/ports.ts";
import { type OpenVault, openVault, type VaultOptions, type VaultPorts } from "../../src/vault/open.ts";
import type { BlockId, OpenBlock, Range, Row, Vault } from "../../src/vault/vault.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type MemoryDisk, makeMemoryDisk } from "../support/memory-store.ts";
import { type ModelToken, makeModelToken } from "../support/model-token.ts";
import { type Recorder, recorder } from "../support/recorder.ts";

export const BLOCK_BYTES = 4096;
export const KM = kmId("km-a");

export const OPTIONS: VaultOptions = {
  km: KM,
  dir: "/nonexistent",
  maxBytes: 64 << 20,
  blockBytes: BLOCK_BYTES,
  slabBytes: 16 * (BLOCK_BYTES + 64),
  allowUnlocked: false,
  mode: "auto",
  epochSeals: 1_000_000,
  keyIdKeys: 64,
  // Any row will do, and each stands for itself.
  rows: { untagged: new Set(["audit"]), single: new Set(["t"]), isSound: () => true },
};

export interface Bench extends OpenVault, AsyncDisposable {
  readonly clock: ManualClock;
  readonly token: ModelToken;
  readonly disk: MemoryDisk;
  readonly recorder: Recorder;
  /** An orderly stop. */
  close(): Promise<void>;
}

export interface BenchParts {
  readonly options?: Partial<VaultOptions>;
  readonly ports?: Partial<VaultPorts>;
  readonly token?: ModelToken;
  readonly disk?: MemoryDisk;
  readonly clock?: ManualClock;
}

/** Opens a vault; the token need not be there. */
export async function openBench(parts: BenchParts = {}): Promise<Bench> {
  const clock = parts.clock ?? new ManualClock();
  const token = parts.token ?? makeModelToken();
  const disk = parts.disk ?? makeMemoryDisk();
  const kept = recorder();
  const ports = {
    openToken: token.open,
    openStore: disk.open,
    clock,
    log: kept.log,
    meter: kept.meter,
    ...parts.ports,
  };
  const opened = await openVault({ ...OPTIONS, ...parts.options }, ports);
  const close = async () => await ending(opened.vault, clock);
  return { ...opened, clock, token, disk, recorder: kept, close, [Symbol.asyncDispose]: close };
}

/** Opens a vault and waits for the token. */
export async function readyBench(parts: BenchParts = {}): Promise<Bench> {
  const bench = await openBench(parts);
  await bench.ready;
  return bench;
}

/** A stop that waits for nothing but what the clock brings. */
async function ending(vault: AsyncDisposable, clock: ManualClock): Promise<void> {
  const end = vault[Symbol.asyncDispose]();
  await clock.run(2000);
  await end;
}

export const id = (name: string): BlockId => name as BlockId;

/** Bytes that a test can tell again: the hash of the name, over and over, never zero for long. */
export function keyOf(name: string, length = BLOCK_BYTES): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 32) {
    bytes.set(
      createHash("sha256")
        .update(`${name} ${at}`)
        .digest()
        .subarray(0, length - at),
      at,
    );
  }
  return bytes;
}

/** Seals and commits blocks whose bytes are `keyOf` their names. */
export async function keep(vault: Vault, ...names: readonly string[]): Promise<void> {
  const change = vault.change();
  for (const name of names) {
    using key = secretOf(keyOf(name));
    change.keep(await vault.seal(id(name), key));
  }
  await change.commit();
}

/** The bytes of a range, which are zero in the block's memory after. */
export function take(open: OpenBlock, range: Range = { offset: 0, length: open.length }): Buffer {
  const target = new Uint8Array(Math.ceil(range.length / 3) * 4);
  open.emit(range, target, 0);
  return Buffer.from(Buffer.from(target).toString("latin1"), "base64");
}

/** True when the block opens and is what was sealed under that name. */
export async function isWhole(vault: Vault, name: string): Promise<boolean> {
  using open = await vault.open(id(name));
  return take(open).equals(keyOf(name, open.length));
}

export const tableOf = (vault: Vault, table: string): readonly (readonly [string, Row])[] => [...vault.rows(table)];

/** The machine's time. */
export const realClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};
