// Runs the programs that make an image, and installs the Debian packages that they come from.

import { execFile, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Something is missing or went wrong; its sentence is for people. */
export class ImageError extends Error {
  override readonly name = "ImageError";
}

/** Tells the person who builds what is being done, on standard error. */
export const say = (line: string): void => {
  process.stderr.write(`image: ${line}\n`);
};

/** Where and with which environment a tool runs. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string | Buffer;
}

/** Where programs of an administrator lie, whoever asks. */
const FOLDERS = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/** Of every tool. */
const ENVIRONMENT = { LC_ALL: "C.UTF-8", PATH: FOLDERS.join(delimiter) };
const MOST_PRINTED = 256 << 20;

/** What the program printed. @throws ImageError with what it complained of */
export function run(program: string, args: readonly string[], { cwd, env, input }: RunOptions = {}): string {
  const done = spawnSync(program, args, {
    ...{ cwd, input, encoding: "utf8", maxBuffer: MOST_PRINTED },
    env: { ...process.env, ...env, ...ENVIRONMENT },
  });
  if (done.status === 0) return done.stdout;
  const why = done.error?.message ?? (complaintIn(done.stderr) || `status ${done.status}`);
  throw failed(program, args, why);
}

/** The same beside other work. @throws ImageError with what it complained of */
export function runAside(program: string, args: readonly string[]): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { maxBuffer: MOST_PRINTED, env: { ...process.env, ...ENVIRONMENT } };
  execFile(program, args, options, (error, stdout, stderr) => {
    if (error === null) resolve(stdout);
    else reject(failed(program, args, complaintIn(stderr) || error.message));
  });
  return promise;
}

const complaintIn = (stderr: string): string => stderr.trim().split("\n").slice(-20).join("\n");

const failed = (program: string, args: readonly string[], why: string): ImageError =>
  new ImageError(`${[program, ...args].join(" ").slice(0, 300)} failed: ${why}`);

/** Whether a tool is installed, by path or by name. */
export const isThere = (file: string): boolean =>
  file.startsWith("/") ? existsSync(file) : FOLDERS.some((folder) => folder !== "" && existsSync(join(folder, file)));

/** Debian packages by a program or file of theirs. @throws ImageError that names them, if this is not root */
export function installPackages(packages: Readonly<Record<string, string>>): void {
  const missing = Object.keys(packages).filter((name) => !isThere(packages[name] ?? ""));
  if (missing.length === 0) return;
  const command = ["install", "-y", "--no-install-recommends", ...missing];
  if (process.getuid?.() !== 0) {
    throw new ImageError(`these Debian packages are missing; install them first: sudo apt-get ${command.join(" ")}`);
  }
  say(`installing Debian packages: ${missing.join(" ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  run("apt-get", ["update", "-q"], { env });
  run("apt-get", command, { env });
}

/** Tells how long a step took. */
export async function step<T>(what: string, work: () => T | Promise<T>): Promise<T> {
  const begun = performance.now();
  say(`${what} …`);
  const made = await work();
  say(`${what}: ${((performance.now() - begun) / 1_000).toFixed(1)} s`);
  return made;
}
