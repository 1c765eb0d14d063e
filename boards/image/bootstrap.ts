// The Debian part of an image: packages and users, and the packages of kernel and GRUB. Kept for the next time.

import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BoardImage } from "../board.ts";
import { IMAGE_PACKAGES, PRUNED } from "./packages.ts";
import type { Processor } from "./processor.ts";
import { debianSources } from "./sources.ts";
import { run, say, step } from "./tools.ts";

/** For which processor the base system is made, and from which packages. */
export interface BaseOptions {
  readonly image: BoardImage;
  readonly processor: Processor;
  readonly cache: string;
  /** Seconds since 1970 that all files get. */
  readonly epoch: number;
  /** Do not use what is kept. */
  readonly fresh: boolean;
}

/** A tar with the root of every board with these packages, without qkm. `kernel/` in it has the packages of kernel and GRUB. */
export async function bootstrap(options: BaseOptions): Promise<string> {
  const { image, processor, cache, fresh } = options;
  const { architecture } = processor;
  const packages = [...IMAGE_PACKAGES, ...image.packages].sort();
  const boot = [image.kernel.package, image.boot.package];
  const recipe = { architecture, boot, packages, PRUNED, RECIPE, sources: debianSources() };
  const key = createHash("sha256").update(JSON.stringify(recipe)).digest("hex").slice(0, 16);
  const made = join(cache, `debian-${architecture}-${key}.tar`);
  if (existsSync(made) && !fresh) {
    say(`Debian's part is there: ${made} (--fresh makes it anew)`);
    return made;
  }
  const work = `${made}.${process.pid}`;
  mkdirSync(work, { recursive: true });
  try {
    const root = join(work, "root");
    await step("installing Debian's packages into a folder", () => install(work, root, packages, options));
    prune(root);
    mkdirSync(join(root, "kernel"));
    for (const deb of globSync(join(work, "*.deb"))) renameSync(deb, join(root, "kernel", basename(deb)));
    run("tar", [...TAR, `--mtime=@${options.epoch}`, "-C", root, "-cf", `${made}.half`, "."]);
    for (const old of globSync(join(cache, `debian-${architecture}-*.tar`))) rmSync(old);
    renameSync(`${made}.half`, made);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return made;
}

/** Changed whenever the same packages would give another tree. */
const RECIPE = 2;
const TAR = ["--sort=name", "--numeric-owner", "--xattrs", "--format=posix", "--pax-option=delete=atime,delete=ctime"];

function install(work: string, root: string, packages: readonly string[], options: BaseOptions): void {
  const { image, processor, epoch } = options;
  const { list, release } = debianSources();
  const sources = join(work, "sources.list");
  writeFileSync(sources, list);
  run(
    "mmdebstrap",
    [
      ...["--variant=essential", "--format=directory", `--architectures=${processor.architecture}`],
      ...[`--include=${packages.join(",")}`, '--aptopt=APT::Install-Recommends "false"'],
      ...["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"],
      `--customize-hook=${fileURLToPath(new URL("customize", import.meta.url))}`,
      ...[release, root, sources],
    ],
    {
      env: {
        SOURCE_DATE_EPOCH: String(epoch),
        QKM_WORK: work,
        QKM_KERNEL: image.kernel.package,
        QKM_GRUB: image.boot.package,
      },
    },
  );
}

function prune(root: string): void {
  for (const path of PRUNED) rmSync(join(root, path), { recursive: true, force: true });
  run("find", [join(root, "usr/share/doc"), "-type", "f", "!", "-name", "copyright", "-delete"]);
  run("find", [join(root, "usr/share/doc"), "-type", "d", "-empty", "-delete"]);
  run("find", [
    join(root, "usr/bin"),
    "(",
    "-name",
    "perl*",
    "-o",
    "-name",
    "grub-*",
    ")",
    "!",
    "-name",
    "grub-editenv",
    "-delete",
  ]);
  run("find", [join(root, "usr/sbin"), "-name", "grub-*", "-delete"]);
  for (const folder of ["dev", "run", "tmp", "var"]) {
    rmSync(join(root, folder), { recursive: true, force: true });
    mkdirSync(join(root, folder));
  }
}
