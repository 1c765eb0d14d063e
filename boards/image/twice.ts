// Whether two builds gave the same bytes, and if not, which files differ.

import { createHash } from "node:crypto";
import { globSync, lstatSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type BuiltImage, REPOSITORY } from "./build.ts";
import { workFolder } from "./disk.ts";
import { ImageError, run, say } from "./tools.ts";

const sum = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");

/** @throws ImageError that names what differs */
export function compare(one: BuiltImage, other: BuiltImage): void {
  const differing = (["boot", "system", "disk"] as const).filter((part) => sum(one[part]) !== sum(other[part]));
  if (differing.length === 0) {
    say(`both builds are the same, byte for byte: SHA-256 ${sum(one.disk)}`);
    return;
  }
  const files = differing.includes("system") ? differingFiles(one.system, other.system) : [];
  throw new ImageError(`two builds differ in ${differing.join(", ")}${files.map((path) => `\n  ${path}`).join("")}`);
}

function differingFiles(one: string, other: string): string[] {
  const folder = workFolder(join(REPOSITORY, "node_modules/.cache/qkm-image/compare"));
  try {
    const [left, right] = [one, other].map((system, number) => {
      const root = join(folder, String(number));
      run("unsquashfs", ["-quiet", "-no-progress", "-dest", root, system]);
      return filesOf(root);
    });
    const paths = new Set([...(left?.keys() ?? []), ...(right?.keys() ?? [])]);
    return [...paths].filter((path) => left?.get(path) !== right?.get(path)).sort();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function filesOf(root: string): Map<string, string> {
  const entries = globSync("**/*", { cwd: root }).map((path) => {
    const found = lstatSync(join(root, path));
    const about = `${found.mode} ${found.uid} ${found.gid}`;
    if (found.isSymbolicLink()) return [path, `${about} ${readlinkSync(join(root, path))}`] as const;
    return [path, found.isFile() ? `${about} ${sum(join(root, path))}` : about] as const;
  });
  return new Map(entries);
}
