// An appliance in QEMU: its disk, its medium, its lines and its ports, from start to end.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, copyFileSync, existsSync, linkSync, mkdirSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { installPackages, run } from "../image/tools.ts";
import { makeMedium } from "./medium.ts";
import { Qmp } from "./qmp.ts";

/** How two guests' network cards are joined: one listens on a port, the other connects. */
export type Wire =
  | { readonly listen: number }
  | { readonly connect: number }
  | { readonly from: number; readonly to: number };

/** The disk, the modules and the wires of one emulated machine. */
export interface GuestOptions {
  /** What its processor is; amd64 where nothing is said. */
  readonly architecture?: keyof typeof MACHINES | undefined;
  /** The disk image. It is not changed: what the guest writes goes to an overlay in `dir`. */
  readonly disk: string;
  /** Folder of this guest's disk, medium and sockets. Its path is short: sockets lie in it. */
  readonly dir: string;
  /** Folder whose files the config medium gets; without one no medium is plugged in. */
  readonly medium?: string | undefined;
  /** Ports of 127.0.0.1 that lead to ports of the guest. */
  readonly forward?: readonly { readonly host: number; readonly guest: number }[];
  /**
   * The second network card, by ports of 127.0.0.1: the end that listens or that connects, over TCP, or one that sends to
   * `to` what `from` is sent to, over UDP, which outlives a power cut at the other end.
   */
  readonly wire?: Wire | undefined;
  /** The guest reaches nothing over its first network card; forwarded ports still lead to it. */
  readonly isolated?: boolean;
  /** USB serial adapters, by the Unix socket that is plugged in: QEMU connects to it when `plug` is called. */
  readonly usbSerial?: readonly { readonly id: string; readonly socket: string }[];
  /** Number that tells guests on one wire apart, 1 to 250. */
  readonly number?: number;
  readonly memoryMiB?: number;
  readonly diskMiB?: number;
  readonly processors?: number;
  /** What the guest's first serial line is connected to: a Unix socket `serial.sock`, or this terminal. */
  readonly terminal?: "socket" | "stdio";
  /** Firmware with Secure Boot, and the file with what its variables are at first: which keys it knows. */
  readonly secureBoot?: string | undefined;
  /** Further words of QEMU's own. */
  readonly more?: readonly string[];
}

/** What QEMU needs to be a machine of a processor. */
interface Machine {
  readonly program: string;
  /** Debian packages, by a program or file of theirs. */
  readonly packages: Readonly<Record<string, string>>;
  /** The UEFI firmware, and what its variables are at first. */
  readonly firmware: string;
  readonly variables: string;
  readonly words: readonly string[];
  /** The watchdog, where Debian's kernel has a driver for one of QEMU's. */
  readonly watchdog: readonly string[];
}

/** The PC's firmware with Secure Boot keeps its variables where only system management mode can write. */
const SECURE = {
  firmware: "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
  words: ["-machine", "smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"],
} as const;

/**
 * Room for what was translated: more of it makes a machine that is reset slow, as the firmware's every byte overwrites what
 * QEMU has translated of the kernel there (at 1 GiB, QEMU's own choice, 15 to 40 s; so 2 to 4 s).
 */
const ACCELERATOR = ["-accel", process.env.QKM_QEMU_ACCEL ?? "tcg,thread=multi,tb-size=256"];
const MACHINES = {
  amd64: {
    program: "qemu-system-x86_64",
    packages: { "qemu-system-x86": "qemu-system-x86_64", ovmf: "/usr/share/OVMF/OVMF_CODE.fd" },
    firmware: "/usr/share/OVMF/OVMF_CODE.fd",
    variables: "/usr/share/OVMF/OVMF_VARS.fd",
    // Emulated without what costs most and helps no one here: long string moves by bytes, keys and checks on each page.
    words: ["-machine", "q35", ...ACCELERATOR, "-cpu", "max,-erms,-fsrm,-pku,-smap,-smep,-la57"],
    watchdog: ["-device", "i6300esb", "-watchdog-action", "reset"],
  },
  arm64: {
    program: "qemu-system-aarch64",
    packages: {
      "qemu-system-arm": "qemu-system-aarch64",
      "qemu-efi-aarch64": "/usr/share/AAVMF/AAVMF_CODE.fd",
    },
    firmware: "/usr/share/AAVMF/AAVMF_CODE.fd",
    variables: "/usr/share/AAVMF/AAVMF_VARS.fd",
    // This processor signs no pointers, which costs much to emulate.
    words: ["-machine", "virt", ...ACCELERATOR, "-cpu", "cortex-a72"],
    watchdog: [],
  },
} as const satisfies Record<string, Machine>;
const PACKAGES = { "util-linux": "setpriv", "qemu-utils": "qemu-img", mtools: "mcopy", dosfstools: "mkfs.vfat" };
const DISK_MIB = 1536;
/** Between two looks at something of which QEMU tells nothing by itself. */
const POLL_MS = 50;

/** A running machine. Disposing pulls the plug: nothing is shut down in order. */
export class Guest implements AsyncDisposable {
  readonly dir: string;
  readonly pid: number;
  readonly qmp: Qmp;
  /** When QEMU has ended; `qemu.log` in its folder says how. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;

  private constructor(dir: string, child: ChildProcess, ended: Promise<void>, qmp: Qmp) {
    this.dir = dir;
    this.pid = child.pid ?? 0;
    this.qmp = qmp;
    this.ended = ended;
    this.#child = child;
  }

  /**
   * Starts it: a new disk the first time, the same one when `dir` has it, as after a power cut. The machine runs when this
   * resolves; it takes about half a minute to its console. @throws Error with what QEMU complains of
   */
  static async start(options: GuestOptions): Promise<Guest> {
    const { dir, architecture = "amd64" } = options;
    const { program, packages } = MACHINES[architecture];
    installPackages({ ...PACKAGES, ...packages });
    mkdirSync(dir, { recursive: true });
    prepareDisk(options);
    if (options.medium !== undefined) makeMedium(join(dir, "medium.img"), options.medium);
    for (const name of ["qmp.sock", "serial.sock"]) rmSync(join(dir, name), { force: true });
    const stdio = options.terminal === "stdio" ? "inherit" : "ignore";
    // QEMU ends with this process, however that ends.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", program, ...qemuArgs(options)], {
      stdio: [stdio, stdio, "pipe"],
    });
    let complaints = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      complaints = `${complaints}${chunk}`.slice(-4_000);
      if (stdio === "inherit") process.stderr.write(chunk);
    });
    const ended = once(child, "close").then(([code, signal]: unknown[]) => {
      appendFileSync(join(dir, "qemu.log"), `${complaints.trim()}\nended: ${signal ?? code}\n`);
    });
    const failed = ended.then(() => Promise.reject(new Error(`QEMU ended at once: ${complaints.trim()}`)));
    const qmp = await Promise.race([Qmp.open(join(dir, "qmp.sock"), ended), failed]);
    failed.catch(() => undefined);
    return new Guest(dir, child, ended, qmp);
  }

  /** The first serial line: what is typed and what the screen shows. One at a time. */
  async serial(): Promise<Socket> {
    const socket = connect(join(this.dir, "serial.sock"));
    await once(socket, "connect");
    return socket;
  }

  /** Plugs a USB serial adapter in: its line is the Unix socket, at which somebody listens. */
  async plug(id: string, socket: string): Promise<void> {
    await this.qmp.ask("chardev-add", {
      id: `line-${id}`,
      backend: { type: "socket", data: { addr: { type: "unix", data: { path: socket } }, server: false } },
    });
    await this.qmp.ask("device_add", {
      driver: "usb-serial",
      id: `usb-${id}`,
      chardev: `line-${id}`,
      serial: id,
      bus: "serial.0",
    });
  }

  /**
   * Pulls it out again, once whoever listens at its socket has let go: QEMU 7.2 ends with a segmentation fault when a byte
   * comes in the moment in which it deletes the device.
   */
  async unplug(id: string): Promise<void> {
    while (await this.#isConnected(`line-${id}`)) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const gone = this.qmp.event("DEVICE_DELETED", ({ device }) => device === `usb-${id}`);
    await this.qmp.ask("device_del", { id: `usb-${id}` });
    await gone;
    await this.qmp.ask("chardev-remove", { id: `line-${id}` });
  }

  async #isConnected(line: string): Promise<boolean> {
    const lines = (await this.qmp.ask("query-chardev")) as readonly {
      readonly label: string;
      readonly filename: string;
    }[];
    return lines.some(({ label, filename }) => label === line && !filename.startsWith("disconnected:"));
  }

  /** The button at the front: the machine starts again without warning. */
  async reset(): Promise<void> {
    await this.qmp.ask("system_reset");
  }

  /** The plug: what was not on the disk is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
    this.qmp[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

function prepareDisk(options: GuestOptions): void {
  const { dir, disk, architecture = "amd64", diskMiB = DISK_MIB, secureBoot } = options;
  const [overlay, variables] = [join(dir, "disk.qcow2"), join(dir, "variables.fd")];
  if (!existsSync(overlay)) {
    // The image may be built anew while what the guest wrote still counts on the old one.
    const base = join(dir, "base.img");
    rmSync(base, { force: true });
    keep(disk, base);
    run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay, `${diskMiB}M`]);
  }
  if (existsSync(variables)) return;
  run("cp", ["--sparse=always", secureBoot ?? MACHINES[architecture].variables, variables]);
}

/** A second name for the file, or a copy where that cannot be. */
function keep(file: string, as: string): void {
  try {
    linkSync(file, as);
  } catch {
    copyFileSync(file, as);
  }
}

function endsOf(wire: Wire): string {
  if ("listen" in wire) return `listen=127.0.0.1:${wire.listen}`;
  if ("connect" in wire) return `connect=127.0.0.1:${wire.connect}`;
  return `udp=127.0.0.1:${wire.to},localaddr=127.0.0.1:${wire.from}`;
}

/** QEMU's words for the boards virt-x86_64 and virt-arm64. */
export function qemuArgs(options: GuestOptions): string[] {
  const {
    architecture = "amd64",
    dir,
    medium,
    forward = [],
    wire,
    usbSerial = [],
    number = 1,
    memoryMiB = 768,
    processors = 2,
    secureBoot,
    more = [],
  } = options;
  const { watchdog, ...machine } = MACHINES[architecture];
  const firmware = secureBoot === undefined ? machine.firmware : SECURE.firmware;
  const words = secureBoot === undefined ? machine.words : [...machine.words, ...SECURE.words];
  const mac = (card: number): string => `52:54:00:71:${number.toString(16).padStart(2, "0")}:0${card}`;
  const forwards = forward.map(({ host, guest }) => `,hostfwd=tcp:127.0.0.1:${host}-:${guest}`).join("");
  const restrict = options.isolated ? ",restrict=on" : "";
  const drive = (id: string, file: string, format: string, rest = ""): string[] => [
    ...["-drive", `if=none,id=${id},file=${file},format=${format}${rest}`],
    ...["-device", `virtio-blk-pci,drive=${id},bootindex=${id === "disk" ? 0 : 9}`],
  ];
  return [
    ...words,
    ...["-smp", String(processors), "-m", String(memoryMiB), "-nodefaults", "-no-user-config", "-display", "none"],
    ...["-drive", `if=pflash,format=raw,readonly=on,file=${firmware}`],
    ...["-drive", `if=pflash,format=raw,file=${join(dir, "variables.fd")}`],
    ...drive("disk", join(dir, "disk.qcow2"), "qcow2", ",cache=writeback,discard=unmap"),
    ...(medium === undefined ? [] : drive("medium", join(dir, "medium.img"), "raw")),
    ...[
      "-netdev",
      `user,id=net0,ipv6=off${restrict}${forwards}`,
      "-device",
      `virtio-net-pci,netdev=net0,romfile=,mac=${mac(0)}`,
    ],
    ...(wire === undefined
      ? []
      : ["-netdev", `socket,id=net1,${endsOf(wire)}`, "-device", `virtio-net-pci,netdev=net1,romfile=,mac=${mac(1)}`]),
    // Serial adapters are at a controller that the firmware leaves alone: QEMU goes on writing to where the firmware of an xHCI
    // had an endpoint when a byte comes in, and by then that is the kernel's memory.
    ...["-device", "qemu-xhci,id=usb", "-device", "pci-ohci,id=serial,num-ports=4"],
    ...["-device", "virtio-rng-pci", ...watchdog],
    ...usbSerial.flatMap(({ id, socket }) => [
      ...["-chardev", `socket,id=line-${id},path=${socket}`],
      ...["-device", `usb-serial,id=usb-${id},chardev=line-${id},serial=${id},bus=serial.0`],
    ]),
    ...(options.terminal === "stdio"
      ? ["-chardev", "stdio,id=console,mux=off,signal=off"]
      : [
          "-chardev",
          `socket,id=console,path=${join(dir, "serial.sock")},server=on,wait=off,logfile=${join(dir, "serial.log")},logappend=on`,
        ]),
    ...["-serial", "chardev:console", "-qmp", `unix:${join(dir, "qmp.sock")},server=on,wait=off`, ...more],
  ];
}
