// The boards that there are.

import { genericX86 } from "./generic-x86_64.ts";
import { host } from "./host.ts";
import { raspberryPiCm4 } from "./raspberrypi-cm4.ts";
import { virtArm64 } from "./virt-arm64.ts";
import { virtX86 } from "./virt-x86_64.ts";

/** Every board that a configuration or an image may name. */
export const BOARDS = {
  host,
  "virt-x86_64": virtX86,
  "virt-arm64": virtArm64,
  "generic-x86_64": genericX86,
  "raspberrypi-cm4": raspberryPiCm4,
} as const;
