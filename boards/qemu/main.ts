// `npm run board -- BOARD`: builds the image if needed, and leaves you at the appliance's serial console.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildImage, REPOSITORY } from "../image/build.ts";
import { ImageError, say } from "../image/tools.ts";
import { BOARDS } from "../index.ts";
import { Guest } from "./guest.ts";

const USAGE = `usage: npm run board -- virt-x86_64|virt-arm64 [--medium DIR] [--dir DIR] [--forward HOST:GUEST]...

  --medium DIR           a folder with what is on the config medium (docs/provisioning.md)
  --dir DIR              where the machine's disk is kept; without it it is that of the last time
  --forward HOST:GUEST   a port here that leads to a port of the appliance
  --new                  an empty disk

The terminal is the appliance's serial console. Ctrl-] ends the machine, as if the plug were pulled.
`;
/** Ctrl-]: QEMU itself takes every key. */
const END = 0x1d;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      medium: { type: "string" },
      dir: { type: "string" },
      forward: { type: "string", multiple: true, default: [] },
      new: { type: "boolean", default: false },
      help: { type: "boolean" },
    },
  });
  const [board] = positionals;
  if (values.help || (board !== "virt-x86_64" && board !== "virt-arm64")) {
    process.stdout.write(USAGE);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const forward = values.forward.map(portPair);
  const { disk, version } = await buildImage({ board });
  const dir = values.dir ?? join(REPOSITORY, ".qkm", board === "virt-arm64" ? "board-arm64" : "board", version);
  mkdirSync(dir, { recursive: true });
  say(`starting it; Ctrl-] ends it. Its disk is in ${dir}`);
  await using guest = await Guest.start({
    architecture: BOARDS[board].architecture,
    disk,
    dir,
    medium: values.medium,
    forward,
  });
  await converse(guest);
}

const portPair = (pair: string): { readonly host: number; readonly guest: number } => {
  const [, host, guest] = /^(\d{1,5}):(\d{1,5})$/.exec(pair) ?? [];
  if (host === undefined || guest === undefined)
    throw new ImageError(`--forward ${pair}: name a port here and one of the appliance, such as 4014:4014`);
  return { host: Number(host), guest: Number(guest) };
};

/** Until the machine or the person ends it. */
async function converse(guest: Guest): Promise<void> {
  const line = await guest.serial();
  line.pipe(process.stdout);
  process.stdin.setRawMode?.(true);
  const asked = new Promise<void>((resolve) => {
    process.stdin.on("data", (keys: Buffer) => {
      if (keys.includes(END)) resolve();
      else line.write(keys);
    });
  });
  await Promise.race([asked, guest.ended]);
  process.stdin.setRawMode?.(false);
  process.stdin.destroy();
  line.destroy();
}

main().catch((thrown: unknown) => {
  if (!(thrown instanceof Error)) throw thrown;
  process.stderr.write(`${thrown instanceof ImageError ? "image" : "board"}: ${thrown.message}\n`);
  process.exitCode = 1;
});
