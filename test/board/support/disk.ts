// The image as tests start it: the shipped one, but for two words of the kernel's command line.

import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BuiltImage, buildImage } from "../../../boards/image/build.ts";
import { run } from "../../../boards/image/tools.ts";
import { BOARDS } from "../../../boards/index.ts";

/** The boards that QEMU is. */
export type VirtualBoard = "virt-x86_64" | "virt-arm64";

/** The first partition begins there. */
const START_MIB = 1;
const MIB = 1 << 20;
/** systemd's own root shell, on a line that the appliance does not have: the second of the PC, the first on a PCI card. */
const SHELLS = { "virt-x86_64": "ttyS1", "virt-arm64": "ttyS0" } as const;
/** Has the kernel note every program that is started, from its own first moment on (figures.ts). */
const NOTES_STARTS = "trace_event=sched:sched_process_exec";

export interface TestImage extends BuiltImage {
  readonly board: VirtualBoard;
}

/** Builds the image and writes what is changed to `dir`. */
export async function testImage(dir: string, board: VirtualBoard = "virt-x86_64"): Promise<TestImage> {
  const built = await buildImage({ board, cache: process.env.QKM_IMAGE_CACHE });
  const [disk, boot] = [join(dir, `${board}.disk.img`), join(dir, `${board}.boot.img`)];
  run("cp", ["--sparse=always", built.disk, disk]);
  copyFileSync(built.boot, boot);
  const { espMiB } = BOARDS[board].image.storage;
  const words = `systemd.debug_shell=${SHELLS[board]} ${NOTES_STARTS}`;
  addWords(words, `${disk}@@${(START_MIB + espMiB) * MIB}`, dir);
  addWords(words, boot, dir);
  return { ...built, board, disk, boot };
}

/** In the boot partition, which holds the kernel and is not part of the verified root. */
function addWords(words: string, partition: string, dir: string): void {
  const file = join(dir, "slot.cfg");
  run("mcopy", ["-n", "-i", partition, "::/slot.cfg", file]);
  const text = readFileSync(file, "utf8");
  const changed = text.replace('set words="', `$&${words} `);
  if (changed === text) throw new Error(`slot.cfg has no words: ${text}`);
  writeFileSync(file, changed);
  run("mcopy", ["-o", "-i", partition, file, "::/slot.cfg"]);
}
