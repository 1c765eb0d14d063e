// Does the set-up that is missing before `npm start` and `npm test`, with whatever Node the host has; nothing twice.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MODULES = join(ROOT, "node_modules");
const PKCS11 = join(MODULES, "pkcs11js");
const PKCS11_BUILT = join(PKCS11, "build/Release/pkcs11.node");
const NODE_PACKAGE = `node-linux-${process.arch}`;

/** Debian packages by the program or library that shows they are there. */
const RUNTIME = { softhsm2: "softhsm2-util", socat: "socat", "libusb-1.0-0": "libusb-1.0.so.0" };
const COMPILER = { "g++": "g++" };
const LIBRARIES = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/lib",
];

const say = (line) => process.stderr.write(`set-up: ${line}\n`);

class SetupError extends Error {}

/** Runs a program quietly; what it said comes out only when it fails. */
function run(program, args, options = {}) {
  const done = spawnSync(program, args, { cwd: ROOT, encoding: "utf8", maxBuffer: 64 << 20, ...options });
  if (done.status === 0) return;
  process.stderr.write(`${done.stdout ?? ""}${done.stderr ?? ""}`);
  throw new SetupError(
    `${[program, ...args].join(" ")} failed${done.error ? ` (${done.error.message})` : ""}; see above.`,
  );
}

function onPath(program) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin", "/bin", "/usr/sbin", ...LIBRARIES];
  return folders.some((folder) => folder !== "" && existsSync(join(folder, program)));
}

const lacking = (packages) => Object.keys(packages).filter((name) => !onPath(packages[name]));

function installDebianPackages() {
  const missing = [...lacking(RUNTIME), ...(existsSync(PKCS11_BUILT) ? [] : lacking(COMPILER))];
  if (missing.length === 0) return;
  const command = `apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  if (process.getuid?.() !== 0 || !onPath("apt-get")) {
    throw new SetupError(`these Debian packages are missing; run this once and start again: sudo ${command}`);
  }
  say(`installing Debian packages: ${missing.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  run("apt-get", ["update", "-q"], { env });
  run("apt-get", command.split(" ").slice(1), { env });
}

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages ?? {};
  } catch {
    return undefined;
  }
}

/** True when node_modules is what the lock file asks for: npm itself notes there what it installed. */
function modulesFitTheLock() {
  const wanted = packagesOf(join(ROOT, "package-lock.json"));
  const installed = packagesOf(join(MODULES, ".package-lock.json"));
  if (wanted === undefined) throw new SetupError("package-lock.json cannot be read; check the repository out again.");
  if (installed === undefined || !(`node_modules/${NODE_PACKAGE}` in installed)) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    const there = installed[path];
    return path === "" || entry.link || (there ? there.version === entry.version : entry.optional === true);
  });
}

/** Lines of npm that tell how far it is: one for each package that it fetches, or has from its cache. */
const FETCHED = /^npm http (?:fetch|cache) .*\.tgz/;
/** Lines that nobody needs while all goes well: warnings of packages about packages. */
const NOISE = /^npm (?:http|warn|notice|verbose)/i;
const PROGRESS_MS = 500;
/** Where no terminal rewrites its line. */
const LINE_MS = 10_000;

/** One line that tells how far it is: rewritten on a terminal, a new one now and then elsewhere. */
function progress(total) {
  const begun = Date.now();
  const isTerminal = process.stderr.isTTY === true;
  let done = 0;
  const seconds = () => Math.round((Date.now() - begun) / 1000);
  const text = () =>
    `set-up: ${Math.min(done, total)} of ${total} packages, ${Math.round((Date.now() - begun) / 1000)} s`;
  const show = () => process.stderr.write(isTerminal ? `\r${text()}\x1b[K` : `${text()}\n`);
  const timer = setInterval(show, isTerminal ? PROGRESS_MS : LINE_MS);
  return {
    seconds,
    one: () => {
      done += 1;
    },
    end: () => {
      clearInterval(timer);
      if (isTerminal) process.stderr.write("\r\x1b[K");
    },
  };
}

/** npm as the host has it, run by the Node that runs it now. What it says comes out only when it fails. */
async function npm(args, total) {
  const script = process.env.npm_execpath;
  const [program, ...first] = script?.endsWith(".js")
    ? [process.env.npm_node_execpath ?? process.execPath, script]
    : ["npm"];
  const shown = progress(total);
  const said = [];
  let rest = "";
  const child = spawn(program, [...first, ...args, "--loglevel=http"], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const read = (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (FETCHED.test(line)) shown.one();
      if (!NOISE.test(line)) said.push(line);
    }
  };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", read);
  const [status, why] = await new Promise((resolve) => {
    child.once("error", (error) => resolve([1, ` (${error.message})`]));
    child.once("close", (code) => resolve([code, ""]));
  });
  shown.end();
  if (status === 0) {
    say(`npm packages installed (${shown.seconds()} s)`);
    return;
  }
  process.stderr.write(`${[...said, rest].join("\n")}\n`);
  throw new SetupError(`npm ${args.join(" ")} failed${why}; see above.`);
}

/** Packages of the lock file for this machine. */
function wantedHere() {
  const fits = (list, name) => list === undefined || list.includes(name);
  const entries = Object.entries(packagesOf(join(ROOT, "package-lock.json")) ?? {});
  return entries.filter(([path, { os, cpu, libc, link }]) => {
    return path !== "" && !link && fits(os, process.platform) && fits(cpu, process.arch) && fits(libc, "glibc");
  }).length;
}

async function installModules() {
  if (modulesFitTheLock()) return;
  if (!["x64", "arm64"].includes(process.arch)) {
    throw new SetupError(`there is no pinned Node for ${process.arch}; use a 64-bit x86 or ARM machine.`);
  }
  say("installing npm packages and the pinned Node (npm ci, about half a minute)");
  await npm(["ci", "--ignore-scripts", "--include=optional", "--include=dev", "--no-audit", "--no-fund"], wantedHere());
  if (!modulesFitTheLock()) throw new SetupError("npm ci left packages out; run `npm ci` by hand to see why.");
}

/**
 * pkcs11js is the one package without a prebuilt binary: its three sources (binding.gyp) against the pinned Node's headers.
 * By the compiler itself, since node-gyp wants python3 and make, and make wants paths without spaces.
 */
function buildPkcs11() {
  if (existsSync(PKCS11_BUILT)) return;
  say("building pkcs11js for the pinned Node (some seconds)");
  mkdirSync(dirname(PKCS11_BUILT), { recursive: true });
  const half = `${PKCS11_BUILT}.${process.pid}`;
  run("g++", [
    ...["-std=c++20", "-O2", "-fPIC", "-shared", "-pthread", "-fno-exceptions"],
    ...["-DNAPI_DISABLE_CPP_EXCEPTIONS", "-DNODE_GYP_MODULE_NAME=pkcs11", "-DBUILDING_NODE_EXTENSION"],
    ...[join(PKCS11, "includes"), join(MODULES, NODE_PACKAGE, "include/node")].map((folder) => `-I${folder}`),
    ...["dl", "common", "main"].map((name) => join(PKCS11, "src", `${name}.cpp`)),
    ...["-o", half],
  ]);
  renameSync(half, PKCS11_BUILT);
}

/**
 * Some versions of npm leave the pinned Node out of .bin; and there `npx qkm` finds the launcher at once
 * (a `bin` of our own package.json it would first install into its cache).
 */
function linkPrograms() {
  const programs = { node: `../${NODE_PACKAGE}/bin/node`, qkm: "../../src/cli/qkm.sh" };
  for (const [name, target] of Object.entries(programs)) {
    const link = join(MODULES, ".bin", name);
    if (!existsSync(link)) symlinkSync(target, link);
  }
}

try {
  installDebianPackages();
  await installModules();
  buildPkcs11();
  linkPrograms();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
