// The board's kernel with the modules that it needs, and GRUB's modules for its firmware, of their Debian packages.

import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { BoardImage } from "../board.ts";
import { LOADED_MODULES, MODULES, ROOT_MODULES } from "./packages.ts";
import { ImageError, run, say } from "./tools.ts";

/**
 * Takes them out of the packages in `kernel/` of the root: `kernel/vmlinuz`, `kernel/grub`, and modules in their place. `work`
 * is a folder for what is on the way. @throws ImageError
 */
export function addKernel(root: string, work: string, image: BoardImage): void {
  const { disk, load, more } = image.kernel;
  mkdirSync(work);
  unpackKernel(root, work, [...ROOT_MODULES, ...LOADED_MODULES, ...MODULES, ...disk, ...load, ...more]);
  addGrub(root, work, image);
}

const packageOf = (root: string, name: string): string => {
  const [deb] = globSync(join(root, "kernel", `${name}*.deb`));
  if (deb === undefined) throw new ImageError(`apt brought no package ${name}; run apt-get update`);
  return deb;
};

function addGrub(root: string, work: string, { boot }: BoardImage): void {
  const tree = join(work, "grub");
  run("dpkg-deb", ["-x", packageOf(root, boot.package), tree]);
  run("cp", ["-a", join(tree, "usr/lib/grub", boot.platform), join(root, "kernel/grub")]);
}

/** The kernel goes in without its package's scripts: there is no boot folder, and the initramfs is our own. */
function unpackKernel(root: string, work: string, modules: readonly string[]): void {
  const deb = packageOf(root, "linux-image-");
  const tree = join(work, "kernel");
  run("dpkg-deb", ["-x", deb, tree]);
  const [folder] = globSync(join(tree, "lib/modules/*"));
  if (folder === undefined) throw new ImageError(`${basename(deb)} has no modules`);
  keepModules(folder, tree, modules);
  const version = basename(folder);
  mkdirSync(join(root, "usr/lib/modules"), { recursive: true });
  run("cp", ["-a", folder, join(root, "usr/lib/modules", version)]);
  run("cp", [join(tree, "boot", `vmlinuz-${version}`), join(root, "kernel/vmlinuz")]);
  writeFileSync(join(root, "usr/share/kernel-package"), `${basename(deb)}\n`);
}

/** Removes all modules but these and what they need. */
function keepModules(folder: string, tree: string, wanted: readonly string[]): void {
  run("depmod", ["-b", tree, basename(folder)]);
  const depends = new Map(
    readFileSync(join(folder, "modules.dep"), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split(/:? /).filter((path) => path !== ""))
      .map(([path = "", ...needs]) => [path.replace(/:$/, ""), needs] as const),
  );
  const byName = new Map([...depends.keys()].map((path) => [moduleName(path), path]));
  const built = new Set(readFileSync(join(folder, "modules.builtin"), "utf8").split("\n").map(moduleName));
  const keep = new Set<string>();
  for (const name of wanted) {
    const path = byName.get(name);
    if (path === undefined && !built.has(name)) say(`this kernel has no module ${name}`);
    if (path !== undefined) for (const file of [path, ...(depends.get(path) ?? [])]) keep.add(file);
  }
  for (const path of depends.keys()) if (!keep.has(path)) rmSync(join(folder, path));
  run("find", [join(folder, "kernel"), "-type", "d", "-empty", "-delete"]);
  run("depmod", ["-b", tree, basename(folder)]);
  for (const link of ["build", "source"]) rmSync(join(folder, link), { force: true });
}

const moduleName = (path: string): string =>
  basename(path)
    .replace(/\.ko(\..*)?$/, "")
    .replaceAll("-", "_");
