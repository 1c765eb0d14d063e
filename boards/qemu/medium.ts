// The config medium: a FAT volume with the files of a folder.

import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { run } from "../image/tools.ts";

const LABEL = "QKM-CONFIG";
const KIB_FREE = 4 << 10;

/** Makes the volume `out`, anew, with what is in `folder` and room for certificate requests. */
export function makeMedium(out: string, folder: string): void {
  const names = readdirSync(folder);
  const bytes = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
  rmSync(out, { force: true });
  run("mkfs.vfat", ["-n", LABEL, "-C", out, String(Math.ceil(bytes / 1024) * 2 + KIB_FREE)]);
  if (names.length > 0) run("mcopy", ["-s", "-i", out, ...names.map((name) => join(folder, name)), "::/"]);
}
