// What must not start, made of the image: a system whose first blocks were changed, on a disk and as a signed update.

import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../../boards/image/tools.ts";
import { makeBundle, updateKeys } from "../../../boards/image/updates.ts";
import { BOARDS } from "../../../boards/index.ts";
import type { TestImage } from "./disk.ts";

const MIB = 1 << 20;
/** In the second block that the hash tree covers. */
const CHANGED_AT = 5_000;

function changeByte(file: string, at: number): void {
  const handle = openSync(file, "r+");
  const byte = Buffer.alloc(1);
  readSync(handle, byte, 0, 1, at);
  byte.writeUInt8(byte.readUInt8() ^ 1);
  writeSync(handle, byte, 0, 1, at);
  closeSync(handle);
}

const copied = (file: string, copy: string): string => {
  run("cp", ["--sparse=always", file, copy]);
  return copy;
};

/** A disk with one bit of the root partition changed. */
export function changedDisk({ disk, board }: TestImage, dir: string): string {
  const changed = copied(disk, join(dir, "changed.img"));
  const { espMiB, bootMiB } = BOARDS[board].image.storage;
  changeByte(changed, (1 + espMiB + bootMiB) * MIB + CHANGED_AT);
  return changed;
}

/** Names of the updates. */
export const GOOD = "good.raucb";
export const BROKEN = "broken.raucb";

/** Puts two signed updates on media: a good one, and one with one bit of its root changed. */
export function makeUpdates(
  image: TestImage,
  media: { readonly good: string; readonly broken: string },
  dir: string,
): void {
  const keys = updateKeys(image.keys);
  const system = copied(image.system, join(dir, "broken.img"));
  changeByte(system, CHANGED_AT);
  makeBundle(join(media.good, GOOD), { ...image, version: `${image.version}-next` }, keys);
  makeBundle(join(media.broken, BROKEN), { ...image, system, version: `${image.version}-broken` }, keys);
}
