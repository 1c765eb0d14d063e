// The image of the Compute Module, which nobody starts: its partitions, and the files that its firmware and its kernel look for.

import { expect, test } from "vitest";
import { buildImage } from "../../boards/image/build.ts";
import { run } from "../../boards/image/tools.ts";
import { raspberryPiCm4 } from "../../boards/raspberrypi-cm4.ts";
import { tellSize } from "./support/figures.ts";
import { whyNotForeign } from "./support/foreign.ts";

const MIB = 1 << 20;

test.skipIf(whyNotForeign(raspberryPiCm4))(
  "the Compute Module's image has its partitions, its kernel and what its firmware looks for",
  async () => {
    const { name, image } = raspberryPiCm4;
    const built = await buildImage({ board: name, cache: process.env.QKM_IMAGE_CACHE });
    tellSize(name, built);
    const { espMiB, bootMiB, systemMiB } = image.storage;
    const { partitiontable } = JSON.parse(run("sfdisk", ["--json", built.disk]));
    const rows: readonly { readonly name: string; readonly size: number }[] = partitiontable.partitions;
    expect(rows.map(({ name, size }) => [name, (size * 512) / MIB])).toEqual([
      ["esp", espMiB],
      ["boot-a", bootMiB],
      ["system-a", systemMiB],
    ]);
    const esp = `${built.disk}@@${MIB}`;
    expect(run("mdir", ["-b", "-i", esp, "::/EFI/BOOT"])).toContain(image.boot.file);
    const words = run("mtype", ["-i", built.boot, "::/slot.cfg"]);
    expect(words).toContain("console=ttyAMA0,115200");
    // An ARM kernel says so behind its DOS header (Documentation/arm64/booting).
    const kernel = run("sh", ["-c", 'mtype -i "$1" ::/vmlinuz | head -c 64 | od -An -c -j 56 -N 4', "sh", built.boot]);
    expect(kernel.replaceAll(" ", "").trim()).toBe("ARMd");
    // Without these in front of it the eMMC with the root is not there (the kernel's device tree of the module).
    const packed = run("sh", ["-c", 'mtype -i "$1" ::/initrd.img | gzip -d | cpio --quiet -t', "sh", built.boot]);
    for (const module of ["fixed", "gpio-regulator", "sdhci-iproc"]) expect(packed).toContain(`/${module}.ko`);
    const listed = run("unsquashfs", ["-lls", built.system]);
    for (const module of ["bcm2835_wdt", "genet", "broadcom", "dwc2", "ftdi_sio"])
      expect(listed).toContain(`/${module}.ko`);
    expect(run("unsquashfs", ["-cat", built.system, "etc/qkm/environment"])).toContain(`QKM_BOARD=${name}`);
    expect(run("unsquashfs", ["-cat", built.system, "usr/share/packages"])).toMatch(/^systemd\t/m);
  },
);
