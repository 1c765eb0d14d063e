// Measures the vault on SoftHSM and LMDB: `node test/vault/measure.ts [blocks]`. The numbers of docs/vault.md come from here.

import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPkcs11Token } from "../../drivers/pkcs11/token.ts";
import { openVault } from "../../src/vault/open.ts";
import { recorder } from "../support/recorder.ts";
import { makeToken } from "../support/softhsm.ts";
import { id, keyOf, OPTIONS, realClock } from "./harness.ts";

const BLOCKS = Number(process.argv[2] ?? 2000);
const BYTES = 32_768;
const options = { ...OPTIONS, maxBytes: 1 << 30, blockBytes: BYTES, slabBytes: 128 * (BYTES + 64), keyIdKeys: 4096 };

const memory = () => {
  const status = readFileSync("/proc/self/status", "utf8");
  const MiB = (name: string) => Math.round(Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
  return `RSS ${MiB("VmRSS")} MiB (anonymous ${MiB("RssAnon")}, file ${MiB("RssFile")}), locked ${MiB("VmLck")} MiB`;
};

async function timed(what: string, count: number, work: () => Promise<unknown>): Promise<void> {
  const began = performance.now();
  const cpu = process.cpuUsage();
  await work();
  const ms = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  const each = (all: number) => `${((all / count) * 1000).toFixed(1)} µs`;
  // On a busy machine the processor's time says more than the clock's.
  console.log(`${what}: ${ms.toFixed(1)} ms in all, ${each(ms)} each (processor ${each((user + system) / 1000)})`);
}

const each = async (count: number, work: (n: number) => Promise<unknown>) => {
  for (let n = 0; n < count; n += 1) await work(n);
};

/** How long the event loop is held at most while `work` runs. */
async function holding(what: string, work: () => Promise<unknown>): Promise<void> {
  let most = 0;
  let last = performance.now();
  let ended = false;
  const look = () => {
    most = Math.max(most, performance.now() - last);
    last = performance.now();
    if (!ended) setImmediate(look);
  };
  setImmediate(look);
  await timed(what, BLOCKS, work);
  ended = true;
  console.log(`    the event loop was held for ${most.toFixed(1)} ms at most`);
}

async function measure(mode: "direct" | "envelope", home: string): Promise<void> {
  console.log(`\n${mode}, ${BLOCKS} blocks of ${BYTES} bytes`);
  const dir = join(home, mode);
  const token = await makeToken(join(home, "token"), mode);
  const kept = recorder();
  const openToken = () => openPkcs11Token({ ...token, softhsmConf: token.conf }, kept.log);
  const ports = { openToken, clock: realClock, log: kept.log, meter: kept.meter };
  const first = await openVault({ ...options, dir, mode }, ports);
  await first.ready;
  const { vault } = first;
  const pool = vault.pool(1);
  const sealOne = async (n: number) => {
    using key = pool.take();
    if (key === undefined) throw new Error("the pool has one slot");
    key.lend((bytes) => bytes.set(keyOf("x", 64)));
    return await vault.seal(id(`link:ab:1:${n}`), key);
  };
  await timed("seal and commit 32 KiB, one by one", 300, () =>
    each(300, async (n) => {
      await vault
        .change()
        .keep(await sealOne(n))
        .put("blocks", `link:ab:1:${n}`, { state: "stored", n })
        .commit();
    }),
  );
  await timed("commit a row, one by one", 300, () => each(300, (n) => vault.change().put("t", "mark", { n }).commit()));
  await timed("the rest, in groups of 20", BLOCKS - 300, async () => {
    for (let n = 300; n < BLOCKS; n += 20) {
      const change = vault.change();
      for (let m = n; m < Math.min(n + 20, BLOCKS); m += 1) {
        change.keep(await sealOne(m)).put("blocks", `link:ab:1:${m}`, { state: "stored", n: m });
      }
      await change.commit();
    }
  });
  console.log(memory());
  await timed("open (unseal) 500 blocks", 500, () =>
    each(500, async (n) => (await vault.open(id(`link:ab:1:${n}`)))[Symbol.dispose]()),
  );
  {
    using open = await vault.open(id("link:ab:1:1"));
    const context = keyOf("context", 200);
    await timed("hop tag", 1000, () => each(1000, async () => open.hopTag(context)));
    const { key, sealed } = await open.keyIdKey();
    await vault.change().keep(sealed).commit();
    const tag = new Uint8Array(16);
    await timed("key-ID tag", 100_000, async () => {
      for (let n = 0; n < 100_000; n += 1) key.tag(context, tag);
    });
  }
  {
    const change = vault.change();
    for (const sealed of await vault.generate([id("local:1")], BYTES)) change.keep(sealed);
    await change.commit();
    using open = await vault.open(id("local:1"));
    const target = new Uint8Array(64);
    const count = BYTES / 32;
    await timed("emit 32 bytes", count, async () => {
      for (let n = 0; n < count; n += 1) open.emit({ offset: n * 32, length: 32 }, target, 0);
    });
  }
  await holding("rotate", () => vault.rotate(() => [{ offset: 0, length: 4096 }]));
  // Not kept: a rotation would wait for them.
  await timed("seal 32 KiB", 500, () => each(500, sealOne));
  console.log(memory());
  await vault[Symbol.asyncDispose]();
  console.log(`store: ${(statSync(join(dir, "data.mdb")).size / 2 ** 20).toFixed(1)} MiB`);

  const began = performance.now();
  const second = await openVault({ ...options, dir, mode }, ports);
  await second.ready;
  const blocks = [...second.vault.blocks()].length;
  const rows = [...second.vault.rows("blocks")].length;
  console.log(
    `start with ${blocks} blocks and ${rows} rows: ${(performance.now() - began).toFixed(1)} ms, token included`,
  );
  console.log(memory());
  await timed("zeroise", 1, () => second.vault.zeroise());
}

const home = mkdtempSync(join(tmpdir(), "qkm-measure-"));
try {
  await measure("direct", home);
  await measure("envelope", home);
} finally {
  rmSync(home, { recursive: true, force: true });
}
