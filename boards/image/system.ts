// Makes Debian's part the board's system: units, settings, slots, and what the board's data say.

import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Board, BoardImage } from "../board.ts";
import { KEPT_WANTS, LOADED_MODULES, UNITS } from "./packages.ts";

const OWN = (folder: string): string => fileURLToPath(new URL(folder, import.meta.url));

/** What is put on top of the base system. */
export interface SystemOptions {
  readonly board: Board;
  readonly image: BoardImage;
  readonly version: string;
  /** PEM of the certificate whose updates are installed. */
  readonly keyring: string;
}

/** Adds qkm, its units and its settings to the root folder of an image. */
export function addSystem(root: string, options: SystemOptions): void {
  const { image } = options;
  cpSync(OWN("root"), root, { recursive: true });
  if (image.hidGadget) cpSync(OWN("gadget"), root, { recursive: true });
  for (const [path, text] of Object.entries(filesOf(options))) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  for (const folder of ["data", "boot/efi"]) mkdirSync(join(root, folder), { recursive: true });
  rmSync(join(root, "etc/resolv.conf"), { force: true });
  symlinkSync("/run/net/resolv.conf", join(root, "etc/resolv.conf"));
  chooseUnits(root, image);
}

/** What Debian starts by itself is cut down to what is needed; ours is added. */
function chooseUnits(root: string, image: BoardImage): void {
  for (const where of ["etc/systemd/system", "usr/lib/systemd/system"]) {
    for (const [wants, kept] of Object.entries(KEPT_WANTS)) {
      const folder = join(root, where, wants);
      if (!existsSync(folder)) continue;
      for (const unit of readdirSync(folder)) if (!kept.includes(unit)) rmSync(join(folder, unit));
    }
  }
  const gadget = image.hidGadget ? { "multi-user.target": ["qkm-hid-gadget.service"] } : {};
  for (const [target, units] of [...Object.entries(UNITS), ...Object.entries(gadget)]) {
    const folder = join(root, "etc/systemd/system", `${target}.wants`);
    mkdirSync(folder, { recursive: true });
    for (const unit of units) {
      const at = existsSync(join(root, "etc/systemd/system", unit)) ? "/etc/systemd/system" : "/usr/lib/systemd/system";
      rmSync(join(folder, unit), { force: true });
      symlinkSync(join(at, unit), join(folder, unit));
    }
  }
  const [defaultTarget, units] = ["etc/systemd/system/default.target", "/usr/lib/systemd/system"];
  rmSync(join(root, defaultTarget), { force: true });
  symlinkSync(join(units, "multi-user.target"), join(root, defaultTarget));
  for (const unit of ["serial-getty@.service", "getty@.service", "rescue.service", "emergency.service"]) {
    rmSync(join(root, "etc/systemd/system", unit), { force: true });
    symlinkSync("/dev/null", join(root, "etc/systemd/system", unit));
  }
}

const unit = (name: string): string => `etc/systemd/system/${name}.d/board.conf`;
/** The device that data.mount waits for; a first start makes it (root/usr/lib/qkm/disk). */
const DATA_DEVICE = "dev-disk-by\\x2dpartlabel-qkm\\x2ddata.device";
const lines = (...parts: readonly string[]): string => `${parts.join("\n")}\n`;

/** Files that follow from the board's data, by their paths. */
export function filesOf({ board, image, version, keyring }: SystemOptions): Readonly<Record<string, string>> {
  const tty = lines("[Service]", `TTYPath=${board.console ?? "/dev/console"}`);
  return {
    [unit("qkm-provision.service")]: tty + lines(`DeviceAllow=${board.console ?? "/dev/console"} rw`),
    [unit("qkm-console.service")]: tty + lines(`DeviceAllow=${board.console ?? "/dev/console"} rw`),
    [unit("qkm.service")]: lines(
      "[Service]",
      // What is slow for an update on trial is slow for a start: one that is cut off begins anew, and is cut off again.
      `TimeoutStartSec=${image.boot.trialS / 2}`,
      ...devicesOf(board).map((device) => `DeviceAllow=${device} rw`),
      // Else all of /sys is read only to it.
      ...board.indicators.map(({ led }) => `ReadWritePaths=-/sys/class/leds/${led}`),
    ),
    // Else systemd gives it up after 90 s, and nothing mounts it once a slow disk or processor has made it.
    [unit(DATA_DEVICE)]: lines("[Unit]", `JobRunningTimeoutSec=${image.boot.trialS}`),
    [unit("qkm-trial.timer")]: lines("[Timer]", "OnBootSec=", `OnBootSec=${image.boot.trialS}`),
    "etc/qkm/environment": lines(`QKM_BOARD=${board.name}`, "NODE_COMPILE_CACHE=/opt/qkm/cache"),
    "etc/udev/rules.d/70-qkm.rules": udevRules(board),
    "etc/modules-load.d/qkm.conf": lines(...LOADED_MODULES, ...image.kernel.load),
    "etc/modprobe.d/qkm.conf": lines(...image.kernel.options.map((option) => `options ${option}`)),
    "etc/rauc/system.conf": raucConfig(board),
    "etc/rauc/keyring.pem": keyring,
    "etc/hostname": "qkm\n",
    "etc/hosts": "127.0.0.1 localhost qkm\n::1 localhost qkm\n",
    "etc/machine-id": "",
    "etc/fstab": "",
    "etc/issue": "",
    "etc/qkm/release": `${version}\n`,
    ...repartFiles(image),
  };
}

/** FieldTypes rather than names where a device comes and goes. */
function devicesOf(board: Board): string[] {
  const own = board.modulePorts.filter((port) => /^\/dev\/tty(S|AMA)\d/.test(port));
  return [
    ...own,
    "char-ttyUSB",
    "char-ttyACM",
    "char-hidraw",
    "char-watchdog",
    ...(board.watchdog ? [board.watchdog.device] : []),
  ];
}

const hex = (id: number): string => id.toString(16).padStart(4, "0");

const udevRules = ({ hidIds, indicators }: Board): string =>
  lines(
    "# HID modules and the watchdog are the key manager's; a config medium is looked into when it is plugged in.",
    ...hidIds.map(
      ({ vendorId, productId }) =>
        `SUBSYSTEM=="hidraw", ATTRS{idVendor}=="${hex(vendorId)}", ATTRS{idProduct}=="${hex(productId)}", GROUP="qkm", MODE="0660"`,
    ),
    'SUBSYSTEM=="watchdog", GROUP="qkm", MODE="0660"',
    'KERNEL=="watchdog", GROUP="qkm", MODE="0660"',
    ...indicators.map(
      ({ led }) =>
        `SUBSYSTEM=="leds", KERNEL=="${led}", RUN+="/bin/sh -c 'cd /sys%p && chgrp qkm brightness trigger && chmod g+w brightness trigger'"`,
    ),
    'SUBSYSTEM=="block", ENV{ID_FS_LABEL}=="QKM-CONFIG", TAG+="systemd", ENV{SYSTEMD_WANTS}+="qkm-medium-plugged.service"',
  );

const raucConfig = (board: Board): string =>
  lines(
    "[system]",
    `compatible=qkm-${board.name}`,
    "bootloader=grub",
    "grubenv=/boot/efi/EFI/BOOT/grubenv",
    "statusfile=/data/rauc/status",
    "mountprefix=/run/rauc",
    "bundle-formats=verity",
    "",
    "[keyring]",
    "path=/etc/rauc/keyring.pem",
    "# The clock of a node may be wrong; the signature counts.",
    "use-bundle-signing-time=true",
    ...["a", "b"].flatMap((letter, number) => [
      "",
      `[slot.system.${number}]`,
      `device=/dev/disk/by-partlabel/system-${letter}`,
      "type=raw",
      `bootname=${letter.toUpperCase()}`,
      "",
      `[slot.boot.${number}]`,
      `device=/dev/disk/by-partlabel/boot-${letter}`,
      "type=raw",
      `parent=system.${number}`,
    ]),
  );

/** What the first start makes on the rest of the disk. */
function repartFiles({ storage }: BoardImage): Record<string, string> {
  const there = (label: string, type: string): string => lines("[Partition]", `Type=${type}`, `Label=${label}`);
  const sized = (label: string, size: number, ...more: string[]): string =>
    lines(
      "[Partition]",
      "Type=linux-generic",
      `Label=${label}`,
      `SizeMinBytes=${size}M`,
      `SizeMaxBytes=${size}M`,
      ...more,
    );
  return {
    "etc/repart.d/10-esp.conf": there("esp", "esp"),
    "etc/repart.d/20-boot-a.conf": sized("boot-a", storage.bootMiB),
    "etc/repart.d/30-system-a.conf": sized("system-a", storage.systemMiB),
    "etc/repart.d/40-boot-b.conf": sized("boot-b", storage.bootMiB),
    "etc/repart.d/50-system-b.conf": sized("system-b", storage.systemMiB),
    "etc/repart.d/60-data.conf": lines(
      "[Partition]",
      "Type=linux-generic",
      "Label=qkm-data",
      `SizeMinBytes=${storage.dataMiB}M`,
      "Format=ext4",
    ),
  };
}
