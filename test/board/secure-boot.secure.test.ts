// An appliance under Secure Boot with the operator's own keys, from a firmware without any to one that refuses what is older.

import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type BuiltImage, CACHE, imagedBoard } from "../../boards/image/build.ts";
import { makeSecureKeys, secureKeys, signForGrub } from "../../boards/image/secure/keys.ts";
import { makeEnrolment, signImage } from "../../boards/image/secure/sign.ts";
import { run } from "../../boards/image/tools.ts";
import { makeBundle, updateKeys } from "../../boards/image/updates.ts";
import { Appliance } from "./support/appliance.ts";
import { type TestImage, testImage } from "./support/disk.ts";
import { changedDisk } from "./support/mishaps.ts";
import { inOrder, READY, showsOf, update } from "./support/operator.ts";
import { certify } from "./support/provision.ts";
import { KMS, Site } from "./support/site.ts";

const BOOTS_MS = 900_000;
const BOARD = imagedBoard("virt-x86_64");
const EMPTY = "/usr/share/OVMF/OVMF_VARS_4M.fd";
const MIB = 1 << 20;
/** The update. */
const NEXT = "next.raucb";

let dir: string;
let image: TestImage;
let signed: BuiltImage;
/** The firmware's variables once it knows the keys. */
let enrolled: string;
const appliances: Appliance[] = [];

const options = () => {
  const cache = process.env.QKM_IMAGE_CACHE ?? CACHE;
  return { board: BOARD, keys: join(dir, "keys"), cache, epoch: image.epoch };
};

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "qkm-secure-"));
  image = await testImage(dir);
  makeSecureKeys(join(dir, "keys"));
  signed = await signImage(image, options());
}, 1_200_000);

afterEach(async ({ task }) => {
  const last = appliances.at(-1);
  if (task.result?.state === "fail" && last !== undefined) {
    console.log(`${last.id} showed last:\n${last.transcript.slice(-4_000)}\nQEMU:\n${last.complaints}`);
  }
  await last?.powerOff();
}, 60_000);

afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Switches an appliance with this disk on, by a firmware that has these variables. */
async function start(id: string, disk: string, secureBoot = enrolled, medium?: string): Promise<Appliance> {
  const where = join(dir, id);
  const appliance = new Appliance({
    id,
    dir: where,
    disk,
    secureBoot,
    isolated: true,
    processors: 1,
    number: 4,
    medium,
  });
  appliances.push(appliance);
  await appliance.powerOn();
  return appliance;
}

/** A signed disk whose `qkm.efi` has one changed bit, `at` so many bytes behind the words. */
function changedKernel(name: string, words: string, at: number, isSignedForGrub = false): string {
  const [disk, kernel] = [join(dir, `${name}.img`), join(dir, `${name}.efi`)];
  run("cp", ["--sparse=always", signed.disk, disk]);
  const boot = `${disk}@@${(1 + BOARD.image.storage.espMiB) * MIB}`;
  run("mcopy", ["-n", "-i", boot, "::/qkm.efi", kernel]);
  const bytes = readFileSync(kernel);
  const found = bytes.indexOf(words);
  if (found < 0) throw new Error(`qkm.efi has no ${words}`);
  bytes.writeUInt8(bytes.readUInt8(found + at) ^ 1, found + at);
  writeFileSync(kernel, bytes);
  if (isSignedForGrub) signForGrub(kernel, secureKeys(options().keys));
  const files = [kernel, ...(isSignedForGrub ? [`${kernel}.sig`] : [])];
  for (const file of files) run("mcopy", ["-o", "-i", boot, file, `::/${file.replace(/.*\.efi/, "qkm.efi")}`]);
  return disk;
}

test("a firmware without keys takes the operator's from the enrolment stick", async () => {
  const stick = join(dir, "stick.img");
  await makeEnrolment(stick, options());
  const machine = await start("enrolment", stick, EMPTY);
  const again = machine.guest.qmp.event("RESET");
  await machine.console.shows("Enrolling secure boot keys", BOOTS_MS);
  await again;
  await machine.powerOff();
  enrolled = join(dir, "enrolled.fd");
  copyFileSync(join(dir, "enrolment", "variables.fd"), enrolled);
}, 1_800_000);

test("it starts no image that is not signed", async () => {
  const { console: line } = await start("unsigned", image.disk);
  expect(await line.shows(/Access Denied|Welcome to GRUB/, BOOTS_MS)).toContain("Access Denied");
});

test.for([
  ["in the kernel", "HdrS", 4_000_000, false, "bad signature"],
  ["in the command line", "lockdown=integrity", 9, false, "bad signature"],
  ["in the root hash", "qkm.verity=", 30, false, "bad signature"],
  ["in the root hash, with a new signature for GRUB alone", "qkm.verity=", 30, true, "cannot load image"],
] as const)("one changed byte %s is refused", async ([where, words, at, isSignedForGrub, why]) => {
  const name = where.replaceAll(/[^a-z]+/g, "-");
  const { console: line } = await start(name, changedKernel(name, words, at, isSignedForGrub));
  const shown = await line.shows(/cannot be started|login: /, BOOTS_MS);
  expect(shown).toContain(why);
  expect(shown).not.toContain("login: ");
});

test("one changed byte in the root is refused by the kernel", async () => {
  const disk = changedDisk({ ...image, disk: signed.disk }, dir);
  const { console: line } = await start("root", disk);
  expect(await line.shows(/dm-verity device corrupted|login: /, BOOTS_MS)).toContain("dm-verity device corrupted");
});

test("what is signed starts, and its key manager; an update that revokes what is older leaves nothing else to start", async () => {
  const [siteDir, medium] = [join(dir, "site"), join(dir, "medium")];
  for (const folder of [siteDir, medium]) mkdirSync(folder);
  const site = await Site.make(siteDir);
  site.writeMedium(medium, KMS[0]);
  const next = { ...image, boot: laterBoot(), disk: join(dir, "next", "disk.img") };
  const later = await signImage(next, { ...options(), revokeOlder: true });
  const bundle = { ...later, board: BOARD.name, version: `${image.version}-next` };
  makeBundle(join(medium, NEXT), bundle, updateKeys(image.keys));
  const machine = await start(KMS[0].id, signed.disk, enrolled, medium);
  const { console: line } = machine;
  await line.shows("certificate install\n", BOOTS_MS);
  expect(await machine.root("od -An -tx1 /sys/firmware/efi/efivars/SecureBoot-*")).toMatch(/01$/);
  expect(await machine.root("cat /run/boot/slot")).toBe("a");
  await machine.logIn();
  await certify(machine, site);
  await machine.runs();
  await showsOf(machine, "show status", READY);
  line.type("logout\r");

  await update(machine, NEXT);
  await machine.logIn();
  await machine.runs();
  await showsOf(machine, "show status", READY);
  expect(await machine.root("cat /run/boot/slot")).toBe("b");
  await inOrder(machine);
  const said = await machine.root("journalctl --no-pager -o cat -u qkm-good.service");
  expect(said).toContain("starts no older system any more");

  await machine.root('grub-editenv /boot/efi/EFI/BOOT/grubenv set "ORDER=A B" A_OK=1 A_TRY=0');
  await machine.root("sync; systemctl --no-block reboot");
  await line.shows("cannot load image", BOOTS_MS);
  await machine.logIn();
  await machine.runs();
  await showsOf(machine, "show status", READY);
  expect(await machine.root("cat /run/boot/slot")).toBe("b");
});

/** The boot partition of a later system: one word of its command line is another. */
function laterBoot(): string {
  const [boot, file] = [join(dir, "later.boot.img"), join(dir, "slot.cfg")];
  copyFileSync(image.boot, boot);
  run("mcopy", ["-o", "-n", "-i", boot, "::/slot.cfg", file]);
  writeFileSync(file, readFileSync(file, "utf8").replace("panic=5", "panic=6"));
  run("mcopy", ["-o", "-i", boot, file, "::/slot.cfg"]);
  return boot;
}
