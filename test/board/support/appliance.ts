// One appliance in QEMU, with a person at its console and, in tests alone, a root shell on its second serial line.

import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { Guest, type GuestOptions } from "../../../boards/qemu/guest.ts";
import { OPERATOR } from "./site.ts";
import { asRead, Terminal } from "./terminal.ts";

const PROMPT = /km-[ab][#>] $/;
const BOOTS_MS = 900_000;

export interface ApplianceOptions extends Omit<GuestOptions, "more"> {
  readonly id: string;
}

export class Appliance implements AsyncDisposable {
  readonly id: string;
  readonly #options: ApplianceOptions;
  #guest: Guest | undefined;
  #console: Terminal | undefined;
  #shell: Terminal | undefined;
  #asked = 0;

  constructor(options: ApplianceOptions) {
    this.id = options.id;
    this.#options = options;
    mkdirSync(options.dir, { recursive: true });
  }

  get guest(): Guest {
    if (this.#guest === undefined) throw new Error(`${this.id} is switched off`);
    return this.#guest;
  }

  /** Its console, since power came. */
  get console(): Terminal {
    if (this.#console === undefined) throw new Error(`${this.id} is switched off`);
    return this.#console;
  }

  get isOn(): boolean {
    return this.#guest !== undefined;
  }

  /** What it has written to its disk; no bytes are packed or split in it but at multiples of 64 KiB. */
  get diskFile(): string {
    return join(this.#options.dir, "disk.qcow2");
  }

  /** What QEMU has complained of, and how it ended each time. */
  get complaints(): string {
    const file = join(this.#options.dir, "qemu.log");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  /** All that its console ever showed. */
  get transcript(): string {
    const file = join(this.#options.dir, "serial.log");
    return existsSync(file) ? asRead(readFileSync(file, "utf8")) : "";
  }

  /** Switches it on. */
  async powerOn(more: Partial<Pick<GuestOptions, "medium" | "usbSerial">> = {}): Promise<void> {
    const line = join(this.#options.dir, "shell.sock");
    const guest = await Guest.start({
      ...this.#options,
      ...more,
      // The ARM machine has one serial line of its own.
      more:
        this.#options.architecture === "arm64"
          ? ["-chardev", `socket,id=shell,path=${line},server=on,wait=off`, "-device", "pci-serial,chardev=shell"]
          : ["-serial", `unix:${line},server=on,wait=off`],
    });
    this.#guest = guest;
    this.#console = new Terminal(`the console of ${this.id}`, await guest.serial());
    const socket = connect(line);
    await once(socket, "connect");
    this.#shell = new Terminal(`the root shell of ${this.id}`, socket);
  }

  /** Pulls the plug. */
  async powerOff(): Promise<void> {
    const guest = this.#guest;
    this.#guest = undefined;
    this.#console?.[Symbol.dispose]();
    this.#shell?.[Symbol.dispose]();
    await guest?.kill();
  }

  /** Logs in, once the console asks for it. */
  async logIn({ name, pin }: { readonly name: string; readonly pin: string } = OPERATOR): Promise<void> {
    await this.console.shows("login: ", BOOTS_MS);
    this.console.type(`${name}\r`);
    await this.console.shows("PIN: ");
    this.console.type(`${pin}\r`);
    await this.console.shows(/[#>] $/);
  }

  /** Gives a command at the console; what it shows until the next prompt. */
  async command(text: string, deadlineMs?: number): Promise<string> {
    this.console.type(`${text}\r`);
    await this.console.shows("\n");
    return (await this.console.shows(PROMPT, deadlineMs)).replace(PROMPT, "");
  }

  /** What a command of the root shell prints. The shell is there because the test's disk asks systemd for it. */
  async root(command: string, deadlineMs?: number): Promise<string> {
    const shell = this.#shell;
    if (shell === undefined) throw new Error(`${this.id} is switched off`);
    this.#asked += 1;
    const [begin, end] = [`begin${this.#asked}`, `end${this.#asked}`];
    shell.type(`\r`);
    await shell.shows("# ", BOOTS_MS);
    shell.type(`stty -echo; echo be""${begin.slice(2)}; ${command}; echo e""${end.slice(1)}\r`);
    await shell.shows(begin, deadlineMs);
    return (await shell.shows(end, deadlineMs)).slice(0, -end.length).trim();
  }

  /** Until its key manager listens to the console. The root shell sees that for less than the console's own question costs. */
  async runs(): Promise<void> {
    await this.root("until [ -S /run/qkm/control.sock ]; do sleep 1; done", BOOTS_MS);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.powerOff();
  }
}
