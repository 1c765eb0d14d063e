// What every image is made of, and with: Debian packages, kernel modules, units.

/** Packages here, by a program or file of theirs. */
export const BUILD_PACKAGES = {
  mmdebstrap: "mmdebstrap",
  "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",
  "squashfs-tools": "mksquashfs",
  "cryptsetup-bin": "veritysetup",
  "grub-common": "grub-mkimage",
  mtools: "mcopy",
  dosfstools: "mkfs.vfat",
  fdisk: "sfdisk",
  cpio: "cpio",
  kmod: "depmod",
  openssl: "openssl",
  rauc: "rauc",
} as const;

/** Packages in the image, beside those of the board and Debian's essential ones. */
export const IMAGE_PACKAGES: readonly string[] = [
  ...["systemd", "systemd-sysv", "udev", "dbus", "systemd-timesyncd"],
  ...["kmod", "dmsetup", "busybox-static", "e2fsprogs", "iproute2", "nftables", "socat"],
  ...["rauc", "rauc-service", "grub-common"],
  ...["softhsm2", "libusb-1.0-0", "libatomic1", "libstdc++6"],
];

/** Modules to reach and verify the root. */
export const ROOT_MODULES: readonly string[] = ["squashfs", "dm_verity", "sha256_generic"];

/** Modules to learn from which slot a signed image was started. */
export const SIGNED_MODULES: readonly string[] = ["efivarfs"];

/** Modules that are loaded at the start of every board. */
export const LOADED_MODULES: readonly string[] = ["hid", "usbserial", "cdc_acm"];

/** Modules that are there for when they are needed. */
export const MODULES: readonly string[] = [
  ...["ext4", "crc32c_generic", "crc32c_intel", "vfat", "nls_ascii", "nls_cp437", "nls_iso8859_1", "nls_utf8"],
  ...["loop", "efivarfs", "hid_generic", "configfs", "autofs4"],
  ...[
    "nf_tables",
    "nft_ct",
    "nft_limit",
    "nft_connlimit",
    "nf_conncount",
    "nf_conntrack",
    "nft_reject_inet",
    "nf_defrag_ipv4",
    "nf_defrag_ipv6",
  ],
];

/** Units that are started, by the target that wants them. */
export const UNITS: Readonly<Record<string, readonly string[]>> = {
  "local-fs.target": ["data.mount", "var.mount", "tmp.mount"],
  "sysinit.target": ["nftables.service"],
  "multi-user.target": [
    ...["qkm.path", "qkm-console.service", "qkm-provision.service", "qkm-medium.service", "qkm-network.service"],
    ...["qkm-good.path", "qkm-reboot.path", "qkm-trial.timer", "boot-efi.automount"],
    ...["systemd-networkd.service", "systemd-timesyncd.service"],
  ],
};

/** Of what Debian starts by itself, what stays. */
export const KEPT_WANTS: Readonly<Record<string, readonly string[]>> = {
  "sysinit.target.wants": [
    ...["kmod-static-nodes.service", "systemd-journald.service", "systemd-modules-load.service"],
    ...["systemd-sysctl.service", "systemd-tmpfiles-setup-dev.service", "systemd-tmpfiles-setup.service"],
    ...["systemd-udev-trigger.service", "systemd-udevd.service"],
  ],
  "multi-user.target.wants": ["dbus.service"],
  "sockets.target.wants": [
    ...["dbus.socket", "systemd-journald-dev-log.socket", "systemd-journald.socket"],
    ...["systemd-udevd-control.socket", "systemd-udevd-kernel.socket", "systemd-networkd.socket"],
  ],
  "timers.target.wants": [],
  "getty.target.wants": [],
  "local-fs.target.wants": [],
};

/** What no one needs on the appliance. */
export const PRUNED: readonly string[] = [
  ...[
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/i18n",
    "usr/share/zoneinfo",
    "usr/share/lintian",
  ],
  ...[
    "usr/share/bash-completion",
    "usr/share/zsh",
    "usr/share/perl",
    "usr/share/perl5",
    "usr/lib/x86_64-linux-gnu/perl",
  ],
  ...["usr/lib/x86_64-linux-gnu/perl-base", "usr/lib/aarch64-linux-gnu/perl", "usr/lib/aarch64-linux-gnu/perl-base"],
  ...["usr/share/grub", "usr/share/pixmaps", "usr/share/initramfs-tools", "usr/share/polkit-1", "usr/share/gcc"],
  ...["usr/share/doc-base", "usr/share/menu", "usr/share/debconf", "usr/share/gdb", "usr/share/common-licenses.d"],
  ...["usr/lib/udev/hwdb.d", "usr/lib/udev/hwdb.bin", "etc/udev/hwdb.bin", "usr/lib/x86_64-linux-gnu/gconv"],
  ...["usr/lib/aarch64-linux-gnu/gconv", "usr/lib/locale", "usr/share/terminfo", "var/cache", "var/lib/apt", "var/log"],
  ...["var/lib/dpkg", "var/backups", "etc/apt", "etc/cron.d", "etc/cron.daily", "etc/logrotate.d", "boot"],
  ...["usr/lib/systemd/catalog", "usr/lib/kernel", "etc/kernel", "usr/share/python3", "usr/share/java"],
];
