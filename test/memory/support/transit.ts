// A process whose vault passes one relayed key on and keeps it until SIGUSR2: `node transit.ts FOLDER MODE`.

import { closeSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openPkcs11Token } from "../../../drivers/pkcs11/token.ts";
import { encodeT } from "../../../src/core/text/encoding.ts";
import { openVault } from "../../../src/vault/open.ts";
import type { BlockId, OpenBlock, PadPiece, Vault } from "../../../src/vault/vault.ts";
import { recorder } from "../../support/recorder.ts";
import { makeToken } from "../../support/softhsm.ts";
import { OPTIONS, realClock } from "../../vault/harness.ts";

export const BLOCK_BYTES = 32_768;
/** Pad blocks, in and out, as they lie one after the other in FOLDER/pads. */
export const PADS = ["in-1", "in-2", "out-1", "out-2"] as const;
/** Both pads begin in the middle of their first block, and end 32 bytes behind the middle of the second. */
export const FIRST = { offset: BLOCK_BYTES / 2, length: BLOCK_BYTES / 2 };
export const SECOND = { offset: 0, length: BLOCK_BYTES / 2 + 32 };
export const CONTEXT = encodeT("qkm otp", "memory");

const padOf = (blocks: readonly OpenBlock[]): PadPiece[] =>
  blocks.map((open, index) => ({ open, range: index === 0 ? FIRST : SECOND }));

/** From the file straight into locked memory. */
async function takeIn(vault: Vault, folder: string): Promise<void> {
  const file = openSync(join(folder, "pads"), "r");
  const pool = vault.pool(1);
  const change = vault.change();
  for (const [index, name] of PADS.entries()) {
    using secret = pool.take();
    if (secret === undefined) throw new Error("the pool has one slot");
    secret.lend((bytes) => readSync(file, bytes, 0, BLOCK_BYTES, index * BLOCK_BYTES));
    change.keep(await vault.seal(name as string as BlockId, secret));
  }
  closeSync(file);
  await change.commit();
}

async function openNode(folder: string, mode: "direct" | "envelope"): Promise<Vault> {
  const token = await makeToken(join(folder, "token"), mode);
  const { log, meter } = recorder();
  const openToken = () => openPkcs11Token({ ...token, softhsmConf: token.conf }, log);
  const sizes = { blockBytes: BLOCK_BYTES, slabBytes: 16 * (BLOCK_BYTES + 64) };
  const options = { ...OPTIONS, ...sizes, mode, dir: join(folder, "store") };
  const { vault, ready } = await openVault(options, { openToken, clock: realClock, log, meter });
  await ready;
  return vault;
}

async function passOn(folder: string, mode: "direct" | "envelope"): Promise<void> {
  const vault = await openNode(folder, mode);
  await takeIn(vault, folder);
  const job = await vault.openJob({
    blocks: PADS.map((name) => ({ block: name as string as BlockId })),
    emptySlots: 1,
  });
  const [key, tag] = [readFileSync(join(folder, "key")), readFileSync(join(folder, "tag"))];
  const made = job.emptySlots[0]?.unmask("made" as BlockId, { key, tag }, padOf(job.blocks.slice(0, 2)), CONTEXT);
  if (made === undefined) throw new Error("the tag is wrong");
  const sealed = await made.seal();
  writeFileSync(join(folder, "masked"), made.mask(padOf(job.blocks.slice(2)), CONTEXT).key);
  process.once("SIGUSR2", () => {
    job[Symbol.dispose]();
    writeFileSync(join(folder, "disposed"), String(sealed.bytes));
  });
  process.stdout.write("ready\n");
  process.stdin.on("end", () => process.exit(0)).resume();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [folder = "", mode = ""] = process.argv.slice(2);
  await passOn(folder, mode === "envelope" ? "envelope" : "direct");
}
