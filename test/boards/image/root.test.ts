// The files of the image fit together: units, what they start, and the board's data in them.

import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Board } from "../../../boards/board.ts";
import { UNITS } from "../../../boards/image/packages.ts";
import { filesOf } from "../../../boards/image/system.ts";
import { BOARDS } from "../../../boards/index.ts";
import { KM_FLAGS } from "../../../src/cli/common/km-flags.ts";

const IMAGE = fileURLToPath(new URL("../../../boards/image", import.meta.url));
const ROOTS = ["root", "gadget"].map((name) => join(IMAGE, name));
const inImage = (path: string): string | undefined =>
  ROOTS.map((root) => join(root, path)).find((file) => existsSync(file));
const units = globSync(`${IMAGE}/{root,gadget}/etc/systemd/system/*`).filter((path) => statSync(path).isFile());
const scripts = [...globSync(`${IMAGE}/{root,gadget}/usr/lib/qkm/*`), join(IMAGE, "initramfs/init")];

test.each(scripts)("%s is a program that the shell can read", (path) => {
  expect(statSync(path).mode & 0o111).toBe(0o111);
  execFileSync("sh", ["-n", path]);
});

test.each(units)("%s starts only what is there", (path) => {
  const started = readFileSync(path, "utf8").matchAll(/^Exec\w+=[-+]?(\/usr\/lib\/qkm\/\S+)/gm);
  for (const [, program = ""] of started) expect(inImage(program), program).toBeDefined();
});

test.each(units)("%s waits only for units of the image or of Debian", (path) => {
  const named = readFileSync(path, "utf8").matchAll(/^(?:After|Before|Wants|Requires|Unit)=(.*)$/gm);
  const own = [...named].flatMap(([, names = ""]) => names.split(" ")).filter((name) => name.startsWith("qkm-"));
  for (const name of own) expect(inImage(`etc/systemd/system/${name}`), name).toBeDefined();
});

test("every unit of ours that is wanted is there", () => {
  const wanted = Object.values(UNITS)
    .flat()
    .filter((name) => name.startsWith("qkm"));
  expect(wanted.length).toBeGreaterThan(5);
  for (const name of wanted) expect(inImage(`etc/systemd/system/${name}`), name).toBeDefined();
});

test("every path and timer has the unit that it starts", () => {
  const triggers = units.filter((path) => /\.(path|timer)$/.test(path));
  expect(triggers.length).toBeGreaterThan(2);
  for (const path of triggers) {
    const unit =
      /^Unit=(.*)$/m.exec(readFileSync(path, "utf8"))?.[1] ?? basename(path).replace(/\.(path|timer)$/, ".service");
    expect(inImage(`etc/systemd/system/${unit}`), unit).toBeDefined();
  }
});

describe("the key manager's unit", () => {
  const unit = readFileSync(join(IMAGE, "root/etc/systemd/system/qkm.service"), "utf8").split("\n");

  test.each([
    ["User=qkm"],
    ["NoNewPrivileges=yes"],
    ["CapabilityBoundingSet="],
    ["ProtectSystem=strict"],
    ["DevicePolicy=closed"],
    ["LimitCORE=0"],
    ["MemorySwapMax=0"],
  ])("says %s", (line) => {
    expect(unit).toContain(line);
  });

  test("starts what qkm run becomes", () => {
    const [start = ""] = unit.filter((line) => line.startsWith("ExecStart="));
    expect(start).toContain(` ${KM_FLAGS.join(" ")} /opt/qkm/src/main.ts `);
  });
});

const imaged = Object.values<Board>(BOARDS).flatMap((board) =>
  board.image === undefined ? [] : [{ board, image: board.image }],
);

describe.each(imaged)("the image of $board.name", ({ board, image }) => {
  const files = filesOf({ board, image, version: "1", keyring: "PEM" });

  test("shows PINs and the console on the board's line", () => {
    for (const name of ["qkm-provision", "qkm-console"]) {
      expect(files[`etc/systemd/system/${name}.service.d/board.conf`]).toContain(`TTYPath=${board.console}\n`);
    }
  });

  test("gives the key manager its modules and its watchdog, and no other serial line", () => {
    const devices = files["etc/systemd/system/qkm.service.d/board.conf"] ?? "";
    if (board.watchdog !== undefined) expect(devices).toContain(`DeviceAllow=${board.watchdog.device} rw\n`);
    expect(devices).toContain("DeviceAllow=char-ttyUSB rw\n");
    expect(devices).not.toContain(board.console);
    const loaded = files["etc/modules-load.d/qkm.conf"]?.split("\n");
    if (board.watchdog !== undefined) expect(loaded).toContain(board.watchdog.kernelModule);
    const rules = files["etc/udev/rules.d/70-qkm.rules"] ?? "";
    for (const { vendorId } of board.hidIds) expect(rules).toContain(`"${vendorId.toString(16).padStart(4, "0")}"`);
  });

  test("issue 16, 1: gives a start of the key manager half of what an update on trial has, and no shorter limit elsewhere", () => {
    const limit = `TimeoutStartSec=${image.boot.trialS / 2}\n`;
    expect(files["etc/systemd/system/qkm.service.d/board.conf"]).toContain(limit);
    expect(readFileSync(join(IMAGE, "root/etc/systemd/system/qkm.service"), "utf8")).not.toContain("TimeoutStartSec");
  });

  test("issue 16, 1: waits for the data partition as long as a start may take, since a first start makes it", () => {
    const mount = readFileSync(join(IMAGE, "root/etc/systemd/system/data.mount"), "utf8");
    const path = /^What=(.*)$/m.exec(mount)?.[1] ?? "";
    const device = path.slice(1).replaceAll("-", "\\x2d").replaceAll("/", "-");
    expect(files[`etc/systemd/system/${device}.device.d/board.conf`]).toBe(
      `[Unit]\nJobRunningTimeoutSec=${image.boot.trialS}\n`,
    );
  });

  test.runIf(board.watchdog)("has a watchdog that waits as long as its driver is told", () => {
    const { kernelModule, timeoutS } = board.watchdog ?? {};
    expect(files["etc/modprobe.d/qkm.conf"]).toContain(`options ${kernelModule} heartbeat=${timeoutS}\n`);
  });

  test("takes updates for this board into the slots that the first start makes", () => {
    expect(files["etc/rauc/system.conf"]).toContain(`compatible=qkm-${board.name}\n`);
    for (const label of ["boot-a", "system-a", "boot-b", "system-b"]) {
      expect(files["etc/rauc/system.conf"]).toContain(`device=/dev/disk/by-partlabel/${label}\n`);
      expect(Object.values(files).some((text) => text.includes(`Label=${label}\n`))).toBe(true);
    }
  });

  test("is smaller than 300 MiB, and its ESP is large enough for FAT32", () => {
    const { espMiB, bootMiB, systemMiB } = image.storage;
    expect(espMiB + bootMiB + systemMiB + 2).toBeLessThan(300);
    expect(espMiB).toBeGreaterThanOrEqual(34);
  });
});

test("issue 17, 5: the firewall bounds connections and new ones a second of each source address, before it lets any in", () => {
  const rules = readFileSync(join(IMAGE, "root/etc/nftables.conf"), "utf8")
    .split("\n")
    .map((line) => line.trim());
  const lets = rules.indexOf("tcp dport @ports ct state new accept");
  const bounds = rules
    .slice(0, lets)
    .filter((rule) => rule.startsWith("tcp dport @ports ct state new") && rule.endsWith("drop"));
  for (const source of ["ip saddr", "ip6 saddr"]) {
    for (const bound of [/ct count over \d+/, /limit rate over \d+\/second/]) {
      expect(
        bounds.some((rule) => rule.includes(source) && bound.test(rule)),
        `${source} ${bound}`,
      ).toBe(true);
    }
  }
});
