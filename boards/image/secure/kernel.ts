// A unified kernel image: kernel, initial RAM disk and command line in one EFI program, so that one signature covers all.

import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Processor } from "../processor.ts";
import { ImageError, run } from "../tools.ts";

/** The kernel runs where it lies and expects to lie at a page: the largest of any processor. */
const PAGES = 0x10000;

/** What is put into it. */
export interface KernelParts {
  /** systemd's stub, which starts the kernel. */
  readonly stub: string;
  readonly kernel: string;
  readonly initramfs: string;
  readonly commandLine: string;
  /** A folder for what is on the way. */
  readonly work: string;
}

/** Makes `out`: each part is a section behind those of the stub. @throws ImageError */
export function makeUnified(out: string, { stub, ...parts }: KernelParts, { objcopy, objdump }: Processor): void {
  const commandLine = join(parts.work, "cmdline");
  // The stub takes it as text that ends with a zero byte.
  writeFileSync(commandLine, `${parts.commandLine}\0`);
  const own = Number.parseInt(/SectionAlignment\s+([0-9a-f]+)/.exec(run(objdump, ["-p", stub]))?.[1] ?? "", 16);
  const [last] = sectionsOf(run(objdump, ["-h", stub])).sort((one, other) => other.end - one.end);
  if (Number.isNaN(own) || last === undefined) throw new ImageError(`${stub} is no EFI program that ${objdump} knows`);
  const align = Math.max(own, PAGES);
  let at = last.end;
  // The kernel is last: it may unpack itself beyond its end.
  const sections = { cmdline: commandLine, initrd: parts.initramfs, linux: parts.kernel };
  const words = Object.entries(sections).flatMap(([name, file]) => {
    at = Math.ceil(at / align) * align;
    const here = at;
    at += statSync(file).size;
    return [`--add-section`, `.${name}=${file}`, `--change-section-vma`, `.${name}=0x${here.toString(16)}`];
  });
  run(objcopy, [...words, stub, out]);
}

/** Where each ends in memory. */
const sectionsOf = (listing: string): { readonly end: number }[] =>
  [...listing.matchAll(/^\s*\d+ \.\S+\s+([0-9a-f]+)\s+([0-9a-f]+)\s/gm)].map(([, size = "", address = ""]) => ({
    end: Number.parseInt(size, 16) + Number.parseInt(address, 16),
  }));
