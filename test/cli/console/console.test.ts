// `qkm console` on real terminals, driven as a person would, with a real KM below: running, down, zeroised.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hashPin } from "../../../src/core/pin-hash.ts";
import { eventually } from "../../system/support/eventually.ts";
import { type Network, startNetwork } from "../../system/support/network.ts";
import { PAIR } from "../../system/support/plan.ts";
import { Person } from "./person.ts";

/** Stands for the program that writes system slots, which no test machine has. */
/** A stand-in for RAUC: it knows what a bundle holds, and refuses one until a file beside it says otherwise. */
const RAUC = `#!/bin/sh
if [ "$1" = info ]; then echo '{"version":"2","description":"curl 7.8"}'; exit 0; fi
echo " 50% Copying $1"
test -e "$2.ok" || { echo "signature is bad" >&2; exit 1; }
`;
const QKM = fileURLToPath(new URL("../../../src/cli/qkm.sh", import.meta.url));

let network: Network;
/** The operator, who stays logged in. */
let person: Person;

beforeAll(async () => {
  network = await startNetwork(PAIR);
  const operators = [
    { name: "olga", role: "operator", pin: await hashPin("135790") },
    { name: "axel", role: "auditor", pin: await hashPin("246800") },
  ];
  const { dir } = network.km("km-a");
  writeFileSync(join(dir, "operators.json"), JSON.stringify(operators), { mode: 0o600 });
  for (const name of ["medium", "run", "bin"]) mkdirSync(join(dir, name));
  const rauc = join(dir, "bin", "rauc");
  writeFileSync(rauc, RAUC);
  chmodSync(rauc, 0o700);
  await network.stocked();
  const path = process.env.PATH;
  process.env.PATH = `${join(dir, "bin")}:${path}`;
  person = Person.calling(...args());
  process.env.PATH = path;
  await person.logIn("olga", "135790");
  await person.shows(/\nkm-a# /);
});

afterAll(async () => {
  await person[Symbol.asyncDispose]();
  await network[Symbol.asyncDispose]();
});

const folder = (): string => network.km("km-a").dir;
const args = (): string[] => [
  ...["--dir", folder(), "--medium", join(folder(), "medium"), "--run", join(folder(), "run")],
];

const codeIn = (text: string): string => /type\s+(\d{6})/.exec(text)?.[1] ?? "none";

test("a wrong PIN costs a second, the right one is not echoed, and log-out ends the command", async () => {
  await using other = Person.calling(...args());
  await other.logIn("olga", "000000");
  const refused = performance.now();
  await other.shows(/Login incorrect\./);
  await other.logIn("axel", "246800");
  expect(performance.now() - refused).toBeGreaterThan(1_000);
  await other.shows(/axel, auditor[\s\S]*\nkm-a> /);
  expect(await other.command("link down ab")).toContain("Only an operator may do this.");
  expect(other.raw).not.toMatch(/000000|246800/);
  other.type("\x04");
  await other.gone();
});

test("every show fits the screen and shows what is there, abbreviated and completed", async () => {
  await person.command("set pager off");
  expect(await person.command("sh li")).toMatch(/ab +km-b +up +\d\.\d % +[\d.]+ [kM]?bit\/s +[▁-█ ]+ +\d+/u);
  const expected = {
    status: /state +ready[\s\S]*store +ready/,
    modules: /serial[\s\S]*Simulated/,
    stock: /km-a \(own\)[\s\S]*km-b/,
    sessions: /none/,
    peers: /km-b +ready +yes +yes/,
    faults: /none|warn/,
    "audit 9 console": /console +actor=olga what=login as operator/,
    "metrics link_up": /qkm_link_up\{link="ab"\} 1/,
    configuration: /id = "km-a"/,
  };
  for (const [what, pattern] of Object.entries(expected)) {
    const shown = await person.command(`show ${what}`);
    expect(shown, what).toMatch(pattern);
    for (const line of shown.split("\r\n")) expect(line.length).toBeLessThan(80);
  }
  person.type("sh mod\t\r");
  await person.shows(/sh modules [\s\S]*Simulated[\s\S]*\nkm-a# /);
  expect(await person.command("selftest")).toMatch(/link ab +pass +up[\s\S]*PASS/);
  expect(await person.command("logs 5")).toMatch(/20\d\d-\d\d-\d\d \d\d:\d\d:\d\d info/);
});

test("watch draws until a key is pressed", async () => {
  person.type("watch\r");
  await person.shows(/km-a {2}ready[\s\S]*ab +up[\s\S]*km-b +ready[\s\S]*any key ends it/);
  await person.shows(/UTC/);
  person.type("x");
  await person.shows(/\nkm-a# /);
  expect(await person.command("x")).toContain("unknown: x");
});

test("a link is taken out of use, which an alarm shows, and put back, which the audit log tells", async () => {
  expect(await person.command("link down ab")).toContain("link ab is out of use now");
  expect(await person.command("show links")).toContain("out-of-use");
  expect(await person.command("show faults")).toContain("alarm=link_out_of_use");
  expect((await network.km("km-a").status()).links[0]).toMatchObject({ agreement: "refused", usable: 0 });
  expect(await person.command("selftest")).toMatch(/link ab +FAIL[\s\S]*FAIL: 1 of/);
  expect(await person.command("link up ab")).toContain("link ab is in use now");
  await eventually("the link is used", async () => ((await network.km("km-a").status()).links[0]?.usable ?? 0) > 0);
  expect(await person.command("show audit 9 console")).toMatch(/what=link down ab[\s\S]*what=link up ab/);
  expect(await person.command("audit verify")).toMatch(/confirmed by the KM's token/);
  expect(await person.command("link down xy")).toContain("this KM has no link xy");
});

test("the log's level is set while it runs", async () => {
  expect(await person.command("set log-level debug")).toContain("log level debug");
  expect(await network.km("km-a").control("log_level")).toEqual({ level: "debug" });
  await person.command("set log-level info");
});

test("update installs what is on the medium, shows rauc's progress and what it says when it refuses", async () => {
  expect(await person.command("update")).toContain("none");
  const bundle = join(folder(), "medium", "qkm-2.raucb");
  writeFileSync(bundle, "");
  person.type("update\rn\r");
  await person.shows(/-> 2[\s\S]*curl new, 7\.8[\s\S]*Install qkm-2\.raucb\?/);
  await person.shows(/Nothing was done\.[\s\S]*km-a# /);
  person.type("update\ry\r");
  await person.shows(/50% Copying install[\s\S]*was not installed: signature is bad[\s\S]*km-a# /);
  writeFileSync(`${bundle}.ok`, "");
  person.type("update qkm-2.raucb\ry\r");
  await person.shows(/Installed\.[\s\S]*km-a# /);
});

test("reboot asks for a restart of the machine after its code", async () => {
  const asked = join(folder(), "run", "reboot");
  person.type("reboot\r");
  await person.shows(/code: /);
  person.type("0\r");
  await person.shows(/Nothing was done\.[\s\S]*km-a# /);
  expect(existsSync(asked)).toBe(false);
  person.type("reboot\r");
  person.type(`${codeIn(await person.shows(/code: /))}\r`);
  await person.shows(/The machine starts again[\s\S]*km-a# /);
  expect(existsSync(asked)).toBe(true);
});

test("a key manager that hangs keeps nobody from starting the machine again", async () => {
  const asked = join(folder(), "run", "reboot");
  rmSync(asked, { force: true });
  const { pid } = network.km("km-a");
  process.kill(pid, "SIGSTOP");
  try {
    person.type("reboot\r");
    person.type(`${codeIn(await person.shows(/code: /))}\r`);
    await person.shows(/The machine starts again[\s\S]*km-a# /);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  expect(existsSync(asked)).toBe(true);
});

test("on a pseudo-terminal of its own it serves one person after the other, and logs out who hangs up", async () => {
  const path = join(folder(), "line");
  const served = spawn(QKM, ["console", ...args(), "--pty", path], { stdio: ["ignore", "ignore", "pipe"] });
  let journal = "";
  served.stderr.on("data", (chunk) => {
    journal += String(chunk);
  });
  try {
    {
      await using first = await Person.at(path);
      await first.logIn("olga", "135790");
      await first.shows(/\nkm-a# /);
    }
    await eventually("the first is logged out", () => journal.includes("log-out: hang-up"));
    await using second = await Person.at(path);
    await second.logIn("axel", "246800");
    expect(await second.shows(/\nkm-a> /)).toContain("axel, auditor");
    second.type(new Uint8Array(2000).fill(0x80));
    expect(await second.command("show peers")).toContain("km-b");
  } finally {
    served.kill("SIGTERM");
    await once(served, "exit");
  }
  expect(existsSync(path)).toBe(false);
});

test("on a serial line it sets the speed, and asks for a name again after a log-out", async () => {
  const [near, far] = [join(folder(), "near"), join(folder(), "far")];
  const cable = spawn("socat", ["-t", "0", `PTY,rawer,link=${near}`, `PTY,rawer,link=${far}`], { stdio: "ignore" });
  await eventually("the cable is there", () => existsSync(near) && existsSync(far));
  const command = spawn(QKM, ["console", ...args(), "--line", far], { stdio: "ignore" });
  try {
    await using other = await Person.at(near);
    await other.logIn("axel", "246800");
    await other.shows(/\nkm-a> /);
    expect(execFileSync("stty", ["-F", far, "speed"], { encoding: "utf8" })).toBe("115200\n");
    other.type("\x04");
    await other.shows(/login: /);
    other.type("\x04");
    await other.shows(/login: /);
  } finally {
    command.kill("SIGTERM");
    expect(await once(command, "exit")).toEqual([0, null]);
    cable.kill("SIGTERM");
    await once(cable, "exit");
  }
});

test("a node with no list of operators is the caller's own on the host board, and nobody's on another", async () => {
  const { dir } = network.km("km-b");
  {
    await using own = Person.calling("--dir", dir);
    await own.shows(/operator\. Type help[\s\S]*km-b# /);
    own.type("logout\r");
    await own.gone();
  }
  await using other = Person.calling("--dir", dir, "--board", "generic-x86_64");
  await other.shows(/login: /);
  other.type("root\r");
  await other.shows(/Nobody can log in yet[\s\S]*login: /);
});

test("zeroise does nothing without its code; with it no key is left, and the console goes on", async () => {
  const km = network.km("km-a");
  person.type("zeroise\r");
  await person.shows(/code: /);
  person.type("123\r");
  await person.shows(/Nothing was done\.[\s\S]*\nkm-a# /);
  expect(km.isRunning).toBe(true);
  person.type("zeroise\r");
  person.type(`${codeIn(await person.shows(/code: /))}\r`);
  await person.shows(/km-a is zeroised: the KM destroyed its keys/);
  await km.exited;
  expect(existsSync(km.config.node.storeDir)).toBe(false);
  await person.shows(/\nkm-a# /);
  expect(await person.command("show links")).toContain("The key manager does not run");
  expect(await person.command("show configuration")).toContain("[node]");
  expect(await person.command("selftest")).toMatch(/key manager +FAIL +does not run/);
  const audit = await person.command("show audit 9 zeroise");
  expect(audit).toMatch(/what=zeroise, confirmed[\s\S]* zeroised/);
  person.type("zeroise\r");
  person.type(`${codeIn(await person.shows(/code: /))}\r`);
  await person.shows(/km-a is zeroised: 0 keys in the token[\s\S]*km-a# /);
});

test("no PIN came to the screen or to the log", () => {
  const pin = readFileSync(network.km("km-a").config.token.pinFile, "utf8").trim();
  const told = readFileSync(network.km("km-a").logPath, "utf8") + person.raw;
  expect(told).not.toMatch(new RegExp(`${pin}|135790|246800`));
});
