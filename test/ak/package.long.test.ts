// The package as somebody installs it: packed, put into an empty project, used on every Node that it says it runs on.

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readNetwork } from "../../src/cli/common/network.ts";
import { type Up, up } from "../cli/qkm.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "qkm-package-"));
const project = join(folder, "project");
const network = join(folder, "network");
const npm = (...args: readonly string[]) => run("npm", [...args, "--no-audit", "--no-fund"], { cwd: project });

/** An application that gets a key and fetches it at the other KM; prints whether both are the same, and with which group. */
const PROGRAM = `
import { appId, connectAk, kmId } from "qkm";
import { readFileSync } from "node:fs";
const { kms, apps, ca } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const optionsOf = (id) => {
  const app = apps.find((one) => one.id === id);
  const km = kms.find((one) => one.id === app.km);
  const [certificate, key, trust] = [app.cert, app.key, ca.km_servers].map((path) => readFileSync(path, "utf8"));
  return { ...km.ak, km: kmId(km.id), tls: { certificate, key, trust } };
};
const a = await connectAk(optionsOf("app-a1"));
const b = await connectAk(optionsOf("app-b1"));
const [made] = await a.getKeys({ destination: appId("app-b1"), count: 1, sizeBits: 256 });
const [same] = await b.getKeysById({ initiator: appId("app-a1"), keyIds: [made.keyId] });
const hex = (key) => { let text = ""; key.key.lend((bytes) => { text = Buffer.from(bytes).toString("hex"); }); return text; };
console.log(JSON.stringify({ same: hex(made) === hex(same), length: hex(made).length / 2 }));
await a[Symbol.asyncDispose]();
await b[Symbol.asyncDispose]();
`;

/** The same calls as a TypeScript program sees them. */
const TYPED = `
import { type AkClientOptions, AkRefusal, appId, connectAk, type SuppliedKey } from "qkm";
export async function first(options: AkClientOptions): Promise<SuppliedKey | undefined> {
  const client = await connectAk(options);
  try {
    const keys = await client.getKeys({ destination: appId("app-b1"), count: 1, sizeBits: 256 });
    return keys[0];
  } catch (thrown) {
    if (thrown instanceof AkRefusal) console.log(thrown.code, thrown.retryAfterMs);
    throw thrown;
  }
}
`;

let running: Up | undefined;

beforeAll(async () => {
  await run("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: ROOT });
  const [tarball] = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "foreign", private: true, type: "module" }));
  await npm("install", join(folder, tarball ?? ""));
  writeFileSync(join(project, "program.js"), PROGRAM);
  writeFileSync(join(project, "typed.ts"), TYPED);
  running = await up(network);
}, 600_000);

afterAll(async () => {
  await running?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

test("it brings no other package, and packing leaves package.json as it was", async () => {
  expect(readdirSync(join(project, "node_modules")).filter((name) => !name.startsWith("."))).toEqual(["qkm"]);
  expect(JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))).toHaveProperty("dependencies");
  const files = readdirSync(join(project, "node_modules/qkm/dist"), { recursive: true, encoding: "utf8" });
  expect(files.some((name) => /vault|keys\/manager|pkcs11/.test(name))).toBe(false);
});

test.each(["20", "22", "24"])("an application on Node %s gets a key that the other fetches", async (major) => {
  const name = `node-${major}`;
  await npm("install", "--no-save", "--ignore-scripts", `${name}@npm:node-linux-${process.arch}@${major}`);
  const node = join(project, "node_modules", name, "bin/node");
  const version = await run(node, ["--version"]);
  expect(version.stdout).toMatch(new RegExp(`^v${major}\\.`));
  const { stdout, stderr } = await run(node, ["program.js", join(network, "network.json")], {
    cwd: project,
    timeout: 300_000,
  });
  expect(JSON.parse(stdout)).toEqual({ same: true, length: 32 });
  // Node has ML-KEM from 24 on; before, the library says that it does without.
  expect(stderr.includes("X25519MLKEM768")).toBe(Number(major) < 24);
  expect(readNetwork(join(network, "network.json")).kms).not.toHaveLength(0);
});

test("a TypeScript program compiles against its types", async () => {
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  const flags = ["--ignoreConfig", "--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"];
  const types = ["--lib", "esnext", "--types", "node", "--typeRoots", join(ROOT, "node_modules/@types")];
  await expect(run(tsc, [...flags, ...types, "typed.ts"], { cwd: project })).resolves.toMatchObject({ stdout: "" });
});
