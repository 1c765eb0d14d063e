// What Debian has of other tokens, installed when a test needs it.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const TRIPLETS = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" } as const;

/** Path of a library as Debian lays it out. */
export const libraryPath = (name: string): string =>
  `/usr/lib/${TRIPLETS[process.arch === "arm64" ? "arm64" : "x64"]}/${name}`;

/** Installs the packages unless all these files are there. @throws Error with what to run, when that is not possible */
export function need(packages: readonly string[], files: readonly string[]): void {
  if (files.every((file) => existsSync(file))) return;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const lock = ["-o", "DPkg::Lock::Timeout=300"];
  const runs = [
    ["update", "-q"],
    ["install", "-y", "--no-install-recommends", ...packages],
  ].map((args) => spawnSync("apt-get", [...lock, ...args], { env, encoding: "utf8" }));
  if (files.every((file) => existsSync(file))) return;
  const said = runs.map(({ stdout, stderr, error }) => `${stdout ?? ""}${stderr ?? ""}${error ?? ""}`).join("\n");
  throw new Error(`run this once: sudo apt-get install ${packages.join(" ")}\n${said}`);
}
