// Which slot GRUB starts: its own script, run by the shell with GRUB's commands in place of the machine; as it is on the ESP,
// and as it is in a signed GRUB.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { signedConfig } from "../../../boards/image/secure/sign.ts";

const SCRIPT = readFileSync(new URL("../../../boards/image/esp/grub.cfg", import.meta.url), "utf8");

type Environment = Readonly<Record<string, string>>;

/** What GRUB knows of its variables is all the shell needs to be told. */
const asShell = (script: string): string =>
  script.replaceAll(/\bset (\w+)=/g, "$1=").replaceAll("[ -f /slot.cfg ]", "true");

const MACHINE = (kept: Environment, damage: string) => `
load_env() { ${Object.entries(kept)
  .map(([name, value]) => `${name}="${value}";`)
  .join(" ")} :; }
save_env() { saved="A_TRY=$A_TRY B_TRY=$B_TRY"; }
regexp() { case $1 in *:root) root=hd0,gpt1 ;; *) disk=hd0 ;; esac; }
source() { words=w; verity=v; }
linux() { ${damage === "kernel" ? "return 1" : 'started="$*"'}; }
initrd() { :; }
chainloader() { ${damage === "kernel" ? "return 1" : 'started="$* $check_signatures"'}; }
sleep() { :; }
boot() { echo "$started on $root, $saved"; exit; }
reboot() { echo "reboot, $saved"; exit; }
root=$start prefix=/EFI/BOOT cmdpath="(hd0,gpt1)/EFI/BOOT"
`;

/** A signed GRUB starts from the files in itself. */
function start(kept: Environment, damage = "", isSigned = false): string {
  const begun = isSigned ? "start=memdisk" : "start=hd0,gpt1";
  const script = isSigned ? signedConfig(SCRIPT) : SCRIPT;
  const input = `${begun}\n${MACHINE(kept, damage)}${asShell(script)}`;
  return execFileSync("sh", ["-eu"], { input, encoding: "utf8" }).trim();
}

const fresh = { ORDER: "A B", A_OK: "1", A_TRY: "0", B_OK: "0", B_TRY: "0", GOOD: "A" };
const updated = { ...fresh, ORDER: "B A", B_OK: "1" };
const A = (saved: string): string => `/vmlinuz rauc.slot=A qkm.slot=a qkm.verity=v w on hd0,gpt2, ${saved}`;
const B = (saved: string): string => `/vmlinuz rauc.slot=B qkm.slot=b qkm.verity=v w on hd0,gpt4, ${saved}`;

test.each<[string, Environment, string]>([
  ["a fresh disk starts A", fresh, A("A_TRY=1 B_TRY=0")],
  ["what GRUB remembers is lost: A is started", {}, A("A_TRY=1 B_TRY=0")],
  ["a good slot whose start was cut off is tried again", { ...fresh, A_TRY: "1" }, A("A_TRY=2 B_TRY=0")],
  ["and a third time", { ...fresh, A_TRY: "2" }, A("A_TRY=3 B_TRY=0")],
  ["a good slot goes on being tried where there is no other", { ...fresh, A_TRY: "3" }, A("A_TRY=1 B_TRY=0")],
  ["an update is started", updated, B("A_TRY=0 B_TRY=1")],
  ["an update that did not come up once is given up", { ...updated, B_TRY: "1" }, A("A_TRY=1 B_TRY=1")],
  ["an update that came up is the good one", { ...updated, GOOD: "B", B_TRY: "1" }, B("A_TRY=0 B_TRY=2")],
  ["it goes back after three starts that failed", { ...updated, GOOD: "B", B_TRY: "3" }, A("A_TRY=1 B_TRY=3")],
  [
    "and on from the good one when both have failed",
    { ...updated, GOOD: "B", B_TRY: "3", A_TRY: "1" },
    B("A_TRY=1 B_TRY=1"),
  ],
  ["a slot that RAUC is writing is not started", { ...updated, B_OK: "0" }, A("A_TRY=1 B_TRY=0")],
  [
    "the slot that runs is being replaced by the next update",
    { ...updated, GOOD: "B", ORDER: "A B" },
    A("A_TRY=1 B_TRY=0"),
  ],
  ["nothing is in order: A is started", { ...fresh, A_OK: "0" }, A("A_TRY=1 B_TRY=0")],
])("%s", (_, kept, expected) => {
  expect(start(kept)).toBe(expected);
});

test.each<[string, Environment, string]>([
  ["a fresh disk starts A", fresh, "/qkm.efi enforce on hd0,gpt2, A_TRY=1 B_TRY=0"],
  ["an update is started", updated, "/qkm.efi enforce on hd0,gpt4, A_TRY=0 B_TRY=1"],
  ["one that did not come up is given up", { ...updated, B_TRY: "1" }, "/qkm.efi enforce on hd0,gpt2, A_TRY=1 B_TRY=1"],
])("signed, with signatures enforced: %s", (_, kept, expected) => {
  expect(start(kept, "", true)).toBe(expected);
});

test("signed: a kernel that is refused costs a try and a reboot, and no other is looked for", () => {
  expect(start(updated, "kernel", true)).toBe("qkm: slot B cannot be started\nreboot, A_TRY=0 B_TRY=1");
});

test("a slot without a kernel costs a try and a reboot", () => {
  expect(start(updated, "kernel")).toBe("qkm: slot B cannot be started\nreboot, A_TRY=0 B_TRY=1");
});
