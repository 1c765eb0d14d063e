// A virtual PC (QEMU q35 with UEFI): what the appliance is tried on. Its HID module is a gadget inside it. Its times are long,
// for its processor may be emulated beside others.

import type { Board } from "./board.ts";

/** The virtual PC that the tests start in QEMU. */
export const virtX86 = {
  name: "virt-x86_64",
  about: "a virtual PC in QEMU, with USB serial modules, a HID gadget and the i6300esb watchdog",
  architecture: "amd64",
  console: "/dev/ttyS0",
  consoleBaud: 115_200,
  modulePorts: ["/dev/ttyUSB0", "/dev/ttyUSB1"],
  hidIds: [{ vendorId: 0x1209, productId: 0x7a1b }],
  token: { module: "/usr/lib/softhsm/libsofthsm2.so", softhsm: true },
  watchdog: { device: "/dev/watchdog0", timeoutS: 60, kernelModule: "i6300esb" },
  indicators: [],
  memory: { slabBytes: 4 << 20, ringBytes: 1 << 20, allowUnlocked: false },
  image: {
    kernel: {
      package: "linux-image-amd64",
      disk: ["virtio_pci", "virtio_blk"],
      load: ["virtio_net", "xhci_pci", "ohci_pci", "ftdi_sio", "i6300esb"],
      more: ["cdc_acm", "usb_storage", "sd_mod", "usbhid", "dummy_hcd", "libcomposite", "usb_f_hid", "uhid"],
      options: ["i6300esb heartbeat=60"],
      // Where the emulator waits for a processor the kernel finds its timer too slow, and panics.
      commandLine: "no_timer_check",
    },
    packages: [],
    boot: { platform: "x86_64-efi", file: "BOOTX64.EFI", package: "grub-efi-amd64-bin", trialS: 300 },
    storage: { espMiB: 34, bootMiB: 24, systemMiB: 160, dataMiB: 256 },
    hidGadget: true,
  },
} as const satisfies Board;
