// systemd's EFI programs for a processor: the stub of a unified kernel image, and the loader that enrols keys.

import { existsSync, globSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BoardImage } from "../../board.ts";
import { workFolder } from "../disk.ts";
import type { Processor } from "../processor.ts";
import { debianSources } from "../sources.ts";
import { ImageError, run, step } from "../tools.ts";

const PACKAGE = "systemd-boot-efi";

/** EFI programs, as paths. */
export interface EfiPrograms {
  /** What a kernel, its command line and its initial RAM disk are put into. */
  readonly stub: string;
  readonly loader: string;
}

/** Takes them from Debian's package, once for each processor; it is not installed here. @throws ImageError */
export async function efiPrograms(
  { boot }: BoardImage,
  { architecture }: Processor,
  cache: string,
): Promise<EfiPrograms> {
  const folder = join(cache, `${PACKAGE}-${architecture}`);
  if (!existsSync(folder)) await step(`getting ${PACKAGE} for ${architecture}`, () => download(folder, architecture));
  const name = boot.file.replace(/^BOOT|\.EFI$/g, "").toLowerCase();
  const programs = { stub: join(folder, `linux${name}.efi.stub`), loader: join(folder, `systemd-boot${name}.efi`) };
  for (const file of Object.values(programs)) {
    if (!existsSync(file)) throw new ImageError(`Debian's package ${PACKAGE} has no ${file}`);
  }
  return programs;
}

/** With an apt of its own, for this machine's may not know the other processor. */
function download(folder: string, architecture: string): void {
  const work = workFolder(`${folder}.${process.pid}`);
  try {
    for (const part of ["lists/partial", "archives/partial"]) mkdirSync(join(work, part), { recursive: true });
    writeFileSync(join(work, "sources.list"), debianSources().list);
    writeFileSync(join(work, "status"), "");
    const options = {
      "APT::Architecture": architecture,
      "APT::Architectures": architecture,
      "APT::Sandbox::User": "root",
      "Dir::State::Lists": join(work, "lists"),
      "Dir::State::Status": join(work, "status"),
      "Dir::Cache": work,
      "Dir::Etc::SourceList": join(work, "sources.list"),
      "Dir::Etc::SourceParts": "-",
    };
    const words = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    run("apt-get", [...words, "-q", "update"]);
    run("apt-get", [...words, "-q", "download", PACKAGE], { cwd: work });
    const [deb] = globSync(join(work, "*.deb"));
    if (deb === undefined) throw new ImageError(`apt brought no package ${PACKAGE}`);
    run("dpkg-deb", ["-x", deb, join(work, "tree")]);
    renameSync(join(work, "tree/usr/lib/systemd/boot/efi"), folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
