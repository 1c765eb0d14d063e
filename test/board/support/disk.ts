// The image as tests start it: the shipped one, but for one word of the kernel's command line.

import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BuiltImage, buildImage } from "../../../boards/image/build.ts";
import { run } from "../../../boards/image/tools.ts";
import { virtX86 } from "../../../boards/virt-x86_64.ts";

const { espMiB } = virtX86.image.storage;
/** The first partition begins there. */
const START_MIB = 1;
const MIB = 1 << 20;
/** systemd's own root shell, on a line that the appliance does not have. */
const SHELL = "systemd.debug_shell=ttyS1";

export interface TestImage extends BuiltImage {
  readonly board: string;
}

/** Builds the image and writes what is changed to `dir`. */
export async function testImage(dir: string): Promise<TestImage> {
  const board = virtX86.name;
  const built = await buildImage({ board, cache: process.env.QKM_IMAGE_CACHE });
  const [disk, boot] = [join(dir, "disk.img"), join(dir, "boot.img")];
  run("cp", ["--sparse=always", built.disk, disk]);
  copyFileSync(built.boot, boot);
  addShell(`${disk}@@${(START_MIB + espMiB) * MIB}`, dir);
  addShell(boot, dir);
  return { ...built, board, disk, boot };
}

/** In the boot partition, which holds the kernel and is not part of the verified root. */
function addShell(partition: string, dir: string): void {
  const file = join(dir, "slot.cfg");
  run("mcopy", ["-n", "-i", partition, "::/slot.cfg", file]);
  const text = readFileSync(file, "utf8");
  const changed = text.replace('set words="', `$&${SHELL} `);
  if (changed === text) throw new Error(`slot.cfg has no words: ${text}`);
  writeFileSync(file, changed);
  run("mcopy", ["-o", "-i", partition, file, "::/slot.cfg"]);
}
