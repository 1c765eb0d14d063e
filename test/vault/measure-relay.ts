// Measures what a relay costs the vault on SoftHSM and LMDB: `node test/vault/measure-relay.ts [relays]`. Numbers of docs/vault.md.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sodium_malloc } from "sodium-native";
import { openPkcs11Token } from "../../drivers/pkcs11/token.ts";
import { hasZeroWord, xorInto } from "../../src/vault/memory/xor.ts";
import { openVault } from "../../src/vault/open.ts";
import { POLY1305_STATE_BYTES, poly1305 } from "../../src/vault/tags.ts";
import type { Masked, OpenJob, Vault } from "../../src/vault/vault.ts";
import { CONTEXT, jobOf, padOf, the } from "../contracts/job-bench.ts";
import { recorder } from "../support/recorder.ts";
import { makeToken } from "../support/softhsm.ts";
import { id, keyOf, OPTIONS, realClock } from "./harness.ts";

const RELAYS = Number(process.argv[2] ?? 200);
const BYTES = 32_768;
const options = { ...OPTIONS, maxBytes: 1 << 30, blockBytes: BYTES, slabBytes: 128 * (BYTES + 64), keyIdKeys: 4096 };

class Meter {
  readonly #spent = new Map<string, number[]>();

  async time<T>(what: string, work: () => T | Promise<T>): Promise<T> {
    const began = performance.now();
    const result = await work();
    this.#add(what, performance.now() - began);
    return result;
  }

  timeNow(what: string, work: () => unknown): void {
    const began = performance.now();
    work();
    this.#add(what, performance.now() - began);
  }

  #add(what: string, ms: number): void {
    const times = this.#spent.get(what) ?? [];
    times.push(ms);
    this.#spent.set(what, times);
  }

  print(): void {
    for (const [what, times] of this.#spent) {
      const sorted = times.toSorted((a, b) => a - b);
      const at = (part: number) => `${((sorted[Math.floor(sorted.length * part)] ?? 0) * 1000).toFixed(0)} µs`;
      console.log(`  ${what}: median ${at(0.5)}, nine of ten below ${at(0.9)}`);
    }
  }
}

function arithmetic(): void {
  const [one, other, state] = [BYTES, BYTES, POLY1305_STATE_BYTES].map((bytes) => sodium_malloc(bytes).fill(7));
  if (one === undefined || other === undefined || state === undefined) throw new Error("three regions");
  const shifted = keyOf("shifted", BYTES + 1).subarray(1);
  const key = keyOf("key", 32);
  const works = {
    "XOR of 32 KiB by words": () => xorInto(one, other),
    "XOR of 32 KiB at odd bytes": () => xorInto(one, shifted),
    "search of 32 KiB for a zero word": () => hasZeroWord(other),
    "Poly1305 over 32 KiB": () => poly1305(state, key, CONTEXT, other),
  };
  const meter = new Meter();
  for (const work of Object.values(works)) for (let n = 0; n < 2000; n += 1) work();
  for (const [what, work] of Object.entries(works)) for (let n = 0; n < 5000; n += 1) meter.timeNow(what, work);
  meter.print();
}

/** Blocks from the token's generator, each under the names given: two ends of one link. */
async function fill(vault: Vault, names: readonly string[]): Promise<void> {
  const change = vault.change();
  for (const sealed of await vault.generate(names.map(id), BYTES)) change.keep(sealed);
  await change.commit();
}

/** Two pad blocks each, as when 32 bytes of each relay have moved the pad past the edges of the blocks. */
const padsOf = (job: OpenJob, first: number) => padOf(job.blocks.slice(first, first + 2), BYTES, BYTES / 2);

async function relay(vault: Vault, meter: Meter, n: number): Promise<void> {
  await fill(vault, [`key-${n}`]);
  for (const part of [1, 2]) {
    await fill(vault, [`a-${part}-${n}`, `b-in-${part}-${n}`]);
    await fill(vault, [`b-out-${part}-${n}`, `c-${part}-${n}`]);
  }
  const sent = await atSource(vault, n);
  const passed = await atTransit(vault, meter, { n, masked: sent });
  await atDestination(vault, meter, { n, masked: passed });
}

async function atSource(vault: Vault, n: number): Promise<Masked> {
  using job = await vault.openJob(jobOf([`key-${n}`, `a-1-${n}`, `a-2-${n}`]));
  return the(job.blocks).mask(padsOf(job, 1), CONTEXT);
}

interface Hop {
  readonly n: number;
  readonly masked: Masked;
}

async function atTransit(vault: Vault, meter: Meter, { n, masked }: Hop): Promise<Masked> {
  return await meter.time("transit in all", async () => {
    const names = [`b-in-1-${n}`, `b-in-2-${n}`, `b-out-1-${n}`, `b-out-2-${n}`];
    using job = await meter.time("open a job of 4 blocks and a emptySlot", () => vault.openJob(jobOf(names, 1)));
    const made = await meter.time("unmask, tag included", () =>
      the(job.emptySlots).unmask(id(`transit-${n}`), masked, padsOf(job, 0), CONTEXT),
    );
    return await meter.time("mask, tag included", () => the([made]).mask(padsOf(job, 2), CONTEXT));
  });
}

async function atDestination(vault: Vault, meter: Meter, { n, masked }: Hop): Promise<void> {
  await meter.time("destination in all, without its commit", async () => {
    using job = await vault.openJob(jobOf([`c-1-${n}`, `c-2-${n}`], 1));
    const made = the([the(job.emptySlots).unmask(id(`held-${n}`), masked, padsOf(job, 0), CONTEXT)]);
    made.endTag(CONTEXT);
    const { key } = await made.keyIdKey();
    key[Symbol.dispose]();
    await meter.time("seal what was made", () => made.seal());
  });
}

async function measure(mode: "direct" | "envelope", home: string): Promise<void> {
  console.log(`${mode}, ${RELAYS} relays of ${BYTES} bytes`);
  const token = await makeToken(join(home, "token"), mode);
  const kept = recorder();
  const openToken = () => openPkcs11Token({ ...token, softhsmConf: token.conf }, kept.log);
  const ports = { openToken, clock: realClock, log: kept.log, meter: kept.meter };
  const { vault, ready } = await openVault({ ...options, dir: join(home, mode), mode }, ports);
  await ready;
  const meter = new Meter();
  for (let n = 0; n < RELAYS; n += 1) await relay(vault, meter, n);
  meter.print();
  await vault.zeroise();
  await vault[Symbol.asyncDispose]();
}

const home = mkdtempSync(join(tmpdir(), "qkm-measure-"));
try {
  arithmetic();
  await measure("direct", home);
  await measure("envelope", home);
} finally {
  rmSync(home, { recursive: true, force: true });
}
