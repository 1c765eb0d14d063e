// What a board is: the hardware that the appliance runs on, as data.

import type { Indicator } from "../src/device/indicators.ts";

/** Speeds that a serial line can be set to, in bit/s. */
type Baud = 9_600 | 19_200 | 38_400 | 57_600 | 115_200 | 230_400 | 460_800 | 921_600;

/** GRUB's platform, and the file that firmware of this kind looks for in /EFI/BOOT. */
type Firmware =
  | { readonly platform: "x86_64-efi"; readonly file: "BOOTX64.EFI" }
  | { readonly platform: "arm64-efi"; readonly file: "BOOTAA64.EFI" };

/** A board as data: what a node on it finds where, and what its image is made of. */
export interface Board {
  readonly name: string;
  /** One sentence for people. */
  readonly about: string;
  /** What machine code it runs: an image is built on a machine of the same. */
  readonly architecture: "amd64" | "arm64" | "any";
  /** Device of the serial console, if it has one; 8 data bits, no parity, 1 stop bit. */
  readonly console: `/dev/tty${string}` | undefined;
  /** Of the serial console. */
  readonly consoleBaud: Baud;
  /** Where QKD modules are plugged in, in the order of the connectors: devices, or `usb:VENDOR:PRODUCT:SERIAL`. */
  readonly modulePorts: readonly string[];
  /** USB HID modules to look for. */
  readonly hidIds: readonly { readonly vendorId: number; readonly productId: number }[];
  /** The security module's PKCS#11 library, and whether it is SoftHSM, which wants a configuration file. */
  readonly token: { readonly module: string; readonly softhsm: boolean };
  /** The hardware watchdog, if it has one: its device, the time after which it resets the board, and its driver. */
  readonly watchdog:
    | { readonly device: string; readonly timeoutS: number; readonly kernelModule: string | undefined }
    | undefined;
  /** Lights, by their names in /sys/class/leds, and what each does when. */
  readonly indicators: readonly Indicator[];
  /** Locked memory; `allowUnlocked` is for development only. */
  readonly memory: { readonly slabBytes: number; readonly ringBytes: number; readonly allowUnlocked: boolean };
  /** What its image is made of, if one is made. */
  readonly image: BoardImage | undefined;
}

/** What `npm run image` makes the board's image of, beside what every image has. */
export interface BoardImage {
  readonly kernel: {
    /** The Debian package that names the newest kernel. */
    readonly package: string;
    /** Modules that must be loaded to reach the disk. */
    readonly disk: readonly string[];
    /** Modules that are loaded at the start. */
    readonly load: readonly string[];
    /** Modules that are there for when their device is. */
    readonly more: readonly string[];
    /** Options of modules, as in modprobe.d. */
    readonly options: readonly string[];
    /** Further words of the kernel's command line. */
    readonly commandLine: string;
  };
  /** Debian packages beside those of every image. */
  readonly packages: readonly string[];
  readonly boot: Firmware & {
    /** The Debian package with GRUB for it. */
    readonly package: string;
    /** A new system that is not in order after this time is given up. */
    readonly trialS: number;
  };
  /** Partitions, in MiB: the rest of the disk, but no less than `dataMiB`, is for data. */
  readonly storage: {
    readonly espMiB: number;
    readonly bootMiB: number;
    readonly systemMiB: number;
    readonly dataMiB: number;
  };
  /** The gadget that stands for a HID module where there is no hardware. */
  readonly hidGadget: boolean;
}
