// A Raspberry Pi Compute Module 4 on a carrier board, with UEFI firmware (EDK II) in front of the image.

import type { Board } from "./board.ts";

/** A Raspberry Pi Compute Module 4. */
export const raspberryPiCm4 = {
  name: "raspberrypi-cm4",
  about: "a Raspberry Pi Compute Module 4 with UEFI firmware, modules on USB, and the chip's watchdog",
  architecture: "arm64",
  console: "/dev/ttyAMA0",
  consoleBaud: 115_200,
  modulePorts: ["/dev/ttyUSB0", "/dev/ttyUSB1", "/dev/ttyACM0"],
  hidIds: [{ vendorId: 0x1209, productId: 0x7a1b }],
  token: { module: "/usr/lib/softhsm/libsofthsm2.so", softhsm: true },
  watchdog: { device: "/dev/watchdog0", timeoutS: 15, kernelModule: "bcm2835_wdt" },
  // The green and the red one of the carrier board.
  indicators: [
    { led: "ACT", shows: { booting: "blinking", healthy: "on", degraded: "on", fault: "off", zeroised: "off" } },
    { led: "PWR", shows: { booting: "off", healthy: "off", degraded: "blinking", fault: "on", zeroised: "blinking" } },
  ],
  memory: { slabBytes: 4 << 20, ringBytes: 1 << 20, allowUnlocked: false },
  image: {
    kernel: {
      package: "linux-image-arm64",
      // The device tree has two regulators and a reset line in front of eMMC and USB.
      disk: [
        ...["fixed", "gpio_regulator", "reset_raspberrypi"],
        ...["sha256_arm64", "sdhci_iproc", "mmc_block", "xhci_pci", "usb_storage", "sd_mod"],
      ],
      load: ["bcm2835_wdt"],
      more: [
        ...["genet", "broadcom", "iproc_rng200", "leds_gpio"],
        ...["dwc2", "xhci_plat_hcd", "usbhid", "ftdi_sio", "cp210x", "pl2303", "ch341", "cdc_acm"],
      ],
      options: ["bcm2835_wdt heartbeat=15"],
      commandLine: "",
    },
    packages: [],
    boot: { platform: "arm64-efi", file: "BOOTAA64.EFI", package: "grub-efi-arm64-bin", trialS: 300 },
    storage: { espMiB: 34, bootMiB: 48, systemMiB: 160, dataMiB: 1024 },
    hidGadget: false,
  },
} as const satisfies Board;
