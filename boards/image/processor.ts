// An image for another processor than this machine's: Debian's programs run through qemu-user, npm's packages are the other
// processor's, and pkcs11js, which has no prebuilt binary, is cross-compiled.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Board } from "../board.ts";
import { ImageError, installPackages, run, step } from "./tools.ts";

/** What Debian, Node, GNU and QEMU call a processor. */
const NAMES = {
  amd64: { node: "x64", gnu: "x86_64-linux-gnu", compiler: "g++-x86-64-linux-gnu", qemu: "qemu-x86_64" },
  arm64: { node: "arm64", gnu: "aarch64-linux-gnu", compiler: "g++-aarch64-linux-gnu", qemu: "qemu-aarch64" },
} as const;
const BINFMT = "/proc/sys/fs/binfmt_misc";

type Architecture = keyof typeof NAMES;

/** A processor that images are made for. */
export interface Processor {
  /** As Debian names it. */
  readonly architecture: Architecture;
  /** As Node names it. */
  readonly cpu: "x64" | "arm64";
  /** Whether it is not this machine's. */
  readonly isForeign: boolean;
  /** The program that removes symbols from its binaries. */
  readonly strip: string;
  /** The program that puts parts into an EFI program of its, and that tells its parts. */
  readonly objcopy: string;
  readonly objdump: string;
}

/** The board's processor; this machine's where any will do. */
export function processorOf({ architecture }: Board): Processor {
  const own: Architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const wanted = architecture === "any" ? own : architecture;
  const { node, gnu } = NAMES[wanted];
  const isForeign = wanted !== own;
  const binary = (name: string): string => (isForeign ? `${gnu}-${name}` : name);
  const [strip, objcopy, objdump] = [binary("strip"), binary("objcopy"), binary("objdump")];
  return { architecture: wanted, cpu: node, isForeign, strip, objcopy, objdump };
}

/**
 * Makes this machine run the processor's programs, by qemu-user and the kernel's binfmt_misc. It stays so until it starts again.
 * @throws ImageError that says what to do, when the kernel does not let us
 */
export function runForeign({ architecture, isForeign }: Processor): void {
  if (!isForeign) return;
  const { gnu, compiler, qemu } = NAMES[architecture];
  installPackages({
    "qemu-user-static": `${qemu}-static`,
    "arch-test": "arch-test",
    [compiler]: `${gnu}-g++`,
  });
  if (existsSync(join(BINFMT, qemu))) return;
  try {
    if (!existsSync(join(BINFMT, "register"))) run("mount", ["-t", "binfmt_misc", "binfmt_misc", BINFMT]);
    writeFileSync(join(BINFMT, "register"), readFileSync(`/usr/lib/binfmt.d/${qemu}.conf`, "utf8").trim());
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new ImageError(
      `this machine does not run programs for ${architecture}: install binfmt-support or systemd's binfmt on its kernel, ` +
        `or make the image on an ${architecture} machine (${why})`,
    );
  }
}

/**
 * The folder whose node_modules has the program's packages for the processor: the repository itself for this machine's, else
 * one in the cache, made once for each lock file. @throws ImageError
 */
export async function packagesFor({ architecture, cpu, isForeign }: Processor, repository: string, cache: string) {
  if (!isForeign) return repository;
  const lock = createHash("sha256")
    .update(readFileSync(join(repository, "package-lock.json")))
    .digest("hex");
  const folder = join(cache, `npm-${architecture}-${lock.slice(0, 16)}`);
  if (existsSync(folder)) return folder;
  const half = `${folder}.${process.pid}`;
  mkdirSync(half, { recursive: true });
  try {
    for (const name of ["package.json", "package-lock.json", ".npmrc"]) {
      if (existsSync(join(repository, name))) copyFileSync(join(repository, name), join(half, name));
    }
    const which = ["--omit=dev", "--include=optional", "--os=linux", `--cpu=${cpu}`, "--libc=glibc"];
    await step(`installing npm's packages for ${architecture}`, () =>
      run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", ...which], { cwd: half }),
    );
    if (!existsSync(join(half, "node_modules", `node-linux-${cpu}`))) {
      throw new ImageError("npm left out the pinned Node of the other processor: it takes npm 10 or newer");
    }
    await step(`compiling pkcs11js for ${architecture}`, () => compilePkcs11(join(half, "node_modules"), architecture));
    renameSync(half, folder);
  } finally {
    rmSync(half, { recursive: true, force: true });
  }
  return folder;
}

/** As the set-up of this machine does it (src/cli/setup.mjs). */
function compilePkcs11(modules: string, architecture: Architecture): void {
  const { gnu, node } = NAMES[architecture];
  const folder = join(modules, "pkcs11js");
  mkdirSync(join(folder, "build/Release"), { recursive: true });
  const sources = ["dl", "common", "main"].map((name) => join(folder, "src", `${name}.cpp`));
  const headers = [join(folder, "includes"), join(modules, `node-linux-${node}`, "include/node")];
  run(`${gnu}-g++`, [
    ...["-std=c++20", "-O2", "-fPIC", "-shared", "-pthread", "-fno-exceptions"],
    ...["-DNAPI_DISABLE_CPP_EXCEPTIONS", "-DNODE_GYP_MODULE_NAME=pkcs11", "-DBUILDING_NODE_EXTENSION"],
    ...headers.map((path) => `-I${path}`),
    ...[...sources, "-o", join(folder, "build/Release/pkcs11.node")],
  ]);
}
