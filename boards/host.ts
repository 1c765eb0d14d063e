// Any Debian machine with SoftHSM2 as the security module: development, tests and the reference network.

import type { Board } from "./board.ts";

/** Any Debian machine, without an image of its own. */
export const host = {
  name: "host",
  about: "a Debian machine with SoftHSM2 and modules on any serial port",
  architecture: "any",
  console: undefined,
  consoleBaud: 115_200,
  modulePorts: ["/dev/ttyUSB0", "/dev/ttyUSB1", "/dev/ttyACM0", "/dev/ttyACM1"],
  hidIds: [],
  token: { module: "/usr/lib/softhsm/libsofthsm2.so", softhsm: true },
  watchdog: undefined,
  indicators: [],
  memory: { slabBytes: 4 << 20, ringBytes: 1 << 20, allowUnlocked: false },
  image: undefined,
} as const satisfies Board;
