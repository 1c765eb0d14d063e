// A PC-class appliance with UEFI: two serial ports of its own, USB, a TPM, and a watchdog of the chip set.

import type { Board } from "./board.ts";

/** A PC with UEFI. */
export const genericX86 = {
  name: "generic-x86_64",
  about: "a PC with UEFI, two serial ports (the first is the console), USB, TPM and the chip set's watchdog",
  architecture: "amd64",
  console: "/dev/ttyS0",
  consoleBaud: 115_200,
  modulePorts: ["/dev/ttyS1", "/dev/ttyUSB0", "/dev/ttyUSB1"],
  hidIds: [{ vendorId: 0x1209, productId: 0x7a1b }],
  token: { module: "/usr/lib/softhsm/libsofthsm2.so", softhsm: true },
  watchdog: { device: "/dev/watchdog0", timeoutS: 30, kernelModule: "iTCO_wdt" },
  indicators: [],
  memory: { slabBytes: 4 << 20, ringBytes: 1 << 20, allowUnlocked: false },
  image: {
    kernel: {
      package: "linux-image-amd64",
      disk: [
        "nvme",
        "ahci",
        "sd_mod",
        "xhci_pci",
        "usb_storage",
        "uas",
        "sdhci_pci",
        "mmc_block",
        "virtio_pci",
        "virtio_blk",
      ],
      load: ["iTCO_wdt", "i6300esb"],
      more: [
        ...["e1000", "e1000e", "igb", "igc", "ixgbe", "r8169", "virtio_net"],
        ...["ehci_pci", "usbhid", "ftdi_sio", "cp210x", "pl2303", "ch341", "cdc_acm"],
        ...["i2c_i801", "lpc_ich", "coretemp", "k10temp"],
      ],
      options: ["iTCO_wdt heartbeat=30", "i6300esb heartbeat=30"],
      commandLine: "",
    },
    packages: [],
    boot: { platform: "x86_64-efi", file: "BOOTX64.EFI", package: "grub-efi-amd64-bin", trialS: 300 },
    storage: { espMiB: 34, bootMiB: 24, systemMiB: 160, dataMiB: 1024 },
    hidGadget: false,
  },
} as const satisfies Board;
