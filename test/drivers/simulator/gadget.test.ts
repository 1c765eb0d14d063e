// `qkm module --hid-gadget` as a process, with the HID driver at the other end: a pair of terminals stands for the cable.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SerialPort } from "serialport";
import { expect, onTestFinished, test } from "vitest";
import type { HidEdge } from "../../../drivers/hid/edge.ts";
import { hidDriver } from "../../../drivers/hid/source.ts";
import { seededKey } from "../../../drivers/simulator/material.ts";
import { systemClock, systemRandom } from "../../../src/control/system.ts";
import { linkId } from "../../../src/core/ids.ts";
import type { KeySource } from "../../../src/device/key-source.ts";
import { REPORT_BYTES } from "../../../src/kq/framing/reports.ts";
import { CountedPool } from "../../kq/world.ts";
import { ModuleProcess, scratchFolder, waitUntil } from "../../support/pty.ts";
import { recorder } from "../../support/recorder.ts";

const BLOCK_BYTES = 4_096;
const made = seededKey("gadget test");

/** HID on a terminal: every 64 bytes are a report. */
const terminalEdge: HidEdge = {
  devices: async () => [],
  async open(path) {
    const port = await SerialPort.binding.open({ path, baudRate: 115_200 });
    const whole = Buffer.alloc(REPORT_BYTES);
    const read = async (report: (bytes: Buffer) => void): Promise<void> => {
      for (let filled = 0; ; filled %= REPORT_BYTES) {
        filled += (await port.read(whole, filled, REPORT_BYTES - filled)).bytesRead;
        if (filled === REPORT_BYTES) report(Buffer.from(whole));
      }
    };
    return {
      listen: (report, gone) => void read(report).catch(gone),
      write: (bytes) => port.write(Buffer.from(bytes.subarray(1))),
      [Symbol.asyncDispose]: () => (port.isOpen ? port.close() : Promise.resolve()),
    };
  },
};

/** Two ends of a cable, as terminals, until the test ends. */
async function cable(): Promise<{ readonly gadget: string; readonly host: string; readonly run: string }> {
  const folder = scratchFolder();
  const [gadget = "", host = "", run = ""] = ["hidg0", "hidraw0", "run"].map((name) => join(folder.path, name));
  const socat: ChildProcess = spawn("socat", [
    "-b",
    "64",
    `PTY,raw,echo=0,link=${gadget}`,
    `PTY,raw,echo=0,link=${host}`,
  ]);
  onTestFinished(async () => {
    const exit = once(socat, "exit");
    socat.kill();
    await exit;
    folder[Symbol.dispose]();
  });
  await waitUntil("the cable is there", () => existsSync(gadget) && existsSync(host));
  return { gadget, host, run };
}

const about = ["--link", "ab", "--block-bytes", String(BLOCK_BYTES), "--rate-bits-per-s", "3276800"];

async function moduleOn(gadget: string, more: readonly string[] = []): Promise<ModuleProcess> {
  const module = await ModuleProcess.start([...about, "--hid-gadget", gadget, "--seed", "gadget test", ...more]);
  onTestFinished(() => module.kill());
  return module;
}

async function sourceOn(port: string): Promise<KeySource> {
  const { log, meter } = recorder();
  const ports = { pool: new CountedPool(6, BLOCK_BYTES), clock: systemClock, random: systemRandom, log, meter };
  const source = await hidDriver(terminalEdge)({ link: linkId("ab"), port, blockBytes: BLOCK_BYTES }, ports);
  onTestFinished(() => source[Symbol.asyncDispose]());
  return source;
}

async function take(source: KeySource, count: number): Promise<string[]> {
  const names: string[] = [];
  for await (const { run, sequence, key, acknowledge } of source.blocks()) {
    expect(key.lend((bytes) => Buffer.compare(bytes, made(run, sequence, BLOCK_BYTES)))).toBe(0);
    acknowledge();
    key[Symbol.dispose]();
    names.push(`${run}:${sequence}`);
    if (names.length === count) break;
  }
  return names;
}

test("a module on a gadget brings the key of its seed, in order, and says its role", async () => {
  const { gadget, host } = await cable();
  await moduleOn(gadget, ["--role", "rx", "--run", "7"]);
  const source = await sourceOn(host);
  expect(await take(source, 20)).toEqual(Array.from({ length: 20 }, (_, sequence) => `7:${sequence}`));
  expect(source.status()).toMatchObject({ line: "up", role: "rx", run: 7 });
});

test("a module that is killed and started again has the next run", async () => {
  const { gadget, host, run } = await cable();
  const first = await moduleOn(gadget, ["--run-file", run]);
  const source = await sourceOn(host);
  expect(await take(source, 2)).toEqual(["1:0", "1:1"]);
  await first.kill("SIGKILL");
  await moduleOn(gadget, ["--run-file", run]);
  await waitUntil("the module is there again", () => source.status().run === 2);
  expect(readFileSync(run, "utf8")).toBe("2\n");
});

test("a gadget that is not there is waited for, and SIGTERM ends the module meanwhile with 0", async () => {
  using folder = scratchFolder();
  const module = await moduleOn(join(folder.path, "hidg0"));
  await module.kill("SIGTERM");
  expect(module.child.exitCode).toBe(0);
});

test.each([
  ["no port at all", [], "name two ports with --a and --b, or one with --hid-gadget"],
  ["both kinds", ["--hid-gadget", "/dev/hidg0", "--a", "/nowhere/a", "--seed", "x"], "name two ports with --a and --b"],
  [
    "jitter by the clock",
    ["--hid-gadget", "/dev/hidg0", "--seed", "x", "--since-s", "1", "--jitter", "0.1"],
    "have no --jitter",
  ],
  ["a gadget without a seed", ["--hid-gadget", "/dev/hidg0"], "--hid-gadget needs --seed"],
])("%s is refused with a sentence", async (_what, more, sentence) => {
  await expect(ModuleProcess.start([...about, ...more])).rejects.toThrow(sentence);
});
