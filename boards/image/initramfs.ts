// The initial RAM disk: busybox, dmsetup and the modules that it takes to open the root.

import { copyFileSync, cpSync, globSync, lutimesSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BoardImage } from "../board.ts";
import { ROOT_MODULES, SIGNED_MODULES } from "./packages.ts";
import { ImageError, run } from "./tools.ts";

const APPLETS = [
  "sh",
  "mount",
  "grep",
  "readlink",
  "cat",
  "sleep",
  "usleep",
  "reboot",
  "modprobe",
  "mkdir",
  "tr",
  "umount",
  "switch_root",
];

/** Writes it to `out`, of programs and modules in `root`. `work` is a folder to be made. */
export function makeInitramfs(
  root: string,
  work: string,
  out: string,
  { image, epoch }: { readonly image: BoardImage; readonly epoch: number },
): void {
  for (const folder of ["bin", "proc", "sys", "dev", "run", "root"]) mkdirSync(join(work, folder), { recursive: true });
  copyFileSync(fileURLToPath(new URL("initramfs/init", import.meta.url)), join(work, "init"));
  copyFileSync(join(root, "usr/bin/busybox"), join(work, "bin/busybox"));
  for (const applet of APPLETS) symlinkSync("busybox", join(work, "bin", applet));
  copyFileSync(join(root, "usr/sbin/dmsetup"), join(work, "bin/dmsetup"));
  for (const library of librariesOf(root, "/usr/sbin/dmsetup")) {
    mkdirSync(join(work, dirname(library)), { recursive: true });
    copyFileSync(join(root, library), join(work, library));
  }
  const modules = [...image.kernel.disk, ...ROOT_MODULES];
  copyModules(root, work, [...modules, ...SIGNED_MODULES]);
  writeFileSync(join(work, "modules"), `${modules.join("\n")}\n`);
  for (const path of globSync(join(work, "**"), { withFileTypes: true })) {
    lutimesSync(join(path.parentPath, path.name), epoch, epoch);
  }
  run(
    "sh",
    [
      "-ec",
      'find . -print0 | sort -z | cpio --quiet --null --reproducible --owner=0:0 -o -H newc | gzip -9n >"$1"',
      ...["sh", out],
    ],
    { cwd: work },
  );
}

const librariesOf = (root: string, program: string): string[] =>
  run("chroot", [root, "ldd", program])
    .split("\n")
    .flatMap((line) => /(\/\S+) \(0x/.exec(line)?.[1] ?? []);

function copyModules(root: string, work: string, names: readonly string[]): void {
  const [folder] = globSync(join(root, "usr/lib/modules/*"));
  if (folder === undefined) throw new ImageError("the root has no kernel modules");
  const version = basename(folder);
  const to = join(work, "lib/modules", version);
  mkdirSync(to, { recursive: true });
  for (const file of ["modules.builtin", "modules.order", "modules.builtin.modinfo"])
    cpSync(join(folder, file), join(to, file));
  const wanted = names.flatMap((name) =>
    run("chroot", [root, "modprobe", "--set-version", version, "--show-depends", name])
      .split("\n")
      .flatMap((line) => /^insmod \S*\/(kernel\/\S+)/.exec(line)?.[1] ?? []),
  );
  for (const path of new Set(wanted)) {
    mkdirSync(join(to, dirname(path)), { recursive: true });
    cpSync(join(folder, path), join(to, path));
  }
  run("depmod", ["-b", work, version]);
}
