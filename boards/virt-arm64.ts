// A virtual ARM server (QEMU virt with UEFI): what the appliance for 64-bit ARM is tried on. It has no watchdog, as QEMU has
// none for it that Debian's kernel knows. Its times are long, for its processor is emulated on most machines.

import type { Board } from "./board.ts";

/** The virtual ARM server that the tests start in QEMU. */
export const virtArm64 = {
  name: "virt-arm64",
  about: "a virtual ARM server in QEMU, with USB serial modules and a HID gadget",
  architecture: "arm64",
  console: "/dev/ttyAMA0",
  consoleBaud: 115_200,
  modulePorts: ["/dev/ttyUSB0", "/dev/ttyUSB1"],
  hidIds: [{ vendorId: 0x1209, productId: 0x7a1b }],
  token: { module: "/usr/lib/softhsm/libsofthsm2.so", softhsm: true },
  watchdog: undefined,
  indicators: [],
  memory: { slabBytes: 4 << 20, ringBytes: 1 << 20, allowUnlocked: false },
  image: {
    kernel: {
      package: "linux-image-arm64",
      disk: ["virtio_pci", "virtio_blk", "sha2_ce"],
      load: ["virtio_net", "xhci_pci", "ohci_pci", "ftdi_sio"],
      more: ["cdc_acm", "usb_storage", "sd_mod", "usbhid", "dummy_hcd", "libcomposite", "usb_f_hid", "uhid"],
      options: [],
      commandLine: "",
    },
    packages: [],
    boot: { platform: "arm64-efi", file: "BOOTAA64.EFI", package: "grub-efi-arm64-bin", trialS: 600 },
    storage: { espMiB: 34, bootMiB: 48, systemMiB: 160, dataMiB: 256 },
    hidGadget: true,
  },
} as const satisfies Board;
