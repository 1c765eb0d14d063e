// Trust anchors and modules' pairing keys, as they come on the config medium.

import type { X509Certificate } from "node:crypto";
import { basename, join } from "node:path";
import { parsePairingKey } from "../../../kq/pairing.ts";
import { CommandError, EXIT } from "../../common/exit.ts";
import { AUTHORITIES, type AuthorityName } from "../../provision/plan.ts";
import { readBytes, readText, writeWhole } from "../files.ts";
import { forget, type Medium } from "../medium.ts";
import { type AppliancePlaces, ON_MEDIUM } from "../places.ts";
import type { Screen } from "../screen.ts";
import { certificatesIn } from "./chain.ts";

/** Takes `trust/<authority>.pem`; each on its own, so that one bad file spoils no other. */
export async function takeTrust(places: AppliancePlaces, medium: Medium, screen: Screen): Promise<void> {
  const files = (await screen.attempt(() => medium.list(ON_MEDIUM.trust, ".pem"))) ?? [];
  for (const file of files) await screen.attempt(() => takeAnchor(file, places, medium, screen));
}

function takeAnchor(file: string, places: AppliancePlaces, medium: Medium, screen: Screen): void {
  const name = AUTHORITIES.find((known) => `${known}.pem` === basename(file));
  if (name === undefined) {
    const known = AUTHORITIES.map((one) => `${one}.pem`).join(", ");
    throw new CommandError(EXIT.config, `the medium's ${file} is not one of ${known}; give it one of these names.`);
  }
  const pem = medium.text(file) ?? "";
  const anchors = certificatesIn(pem, `the medium's ${file}`);
  const other = anchors.find(({ ca }) => !ca);
  if (other !== undefined) {
    throw new CommandError(
      EXIT.config,
      `the medium's ${file} has ${other.subject}, which is no authority's certificate.`,
    );
  }
  keepAnchor(name, pem, places, screen);
}

function keepAnchor(name: AuthorityName, pem: string, places: AppliancePlaces, screen: Screen): void {
  const path = places.trust(name);
  const present = readText(path);
  if (present === pem) return;
  if (present !== undefined) writeWhole(`${path}.before`, present, 0o644);
  writeWhole(path, pem, 0o644);
  const subjects = certificatesIn(pem, path).map((one: X509Certificate) => one.subject);
  const before = present === undefined ? "" : `; the one before is ${name}.pem.before`;
  screen.say(`trust anchor ${name}: ${subjects.join("; ")}${before}`);
}

/** Takes `pairing/*.key` of modules outside the enclosure; `pairing_key_file = "pairing/NAME.key"` names one. */
export async function takePairingKeys(places: AppliancePlaces, medium: Medium, screen: Screen): Promise<void> {
  const files = (await screen.attempt(() => medium.list(ON_MEDIUM.pairing, ".key"))) ?? [];
  for (const file of files) await screen.attempt(() => takePairingKey(file, places, medium, screen));
}

function takePairingKey(file: string, places: AppliancePlaces, medium: Medium, screen: Screen): void {
  const bytes = medium.bytes(file);
  if (bytes === undefined) return;
  using key = parsePairingKey(bytes);
  const path = join(places.pairing, basename(file));
  const kept = readBytes(path);
  const same = kept !== undefined && key.lend((given) => given.length === kept.length && kept.equals(given));
  if (!same) key.lend((given) => writeWhole(path, given));
  if (!same) screen.say(`pairing key ${basename(file)}${kept === undefined ? "" : " replaces the one before"}`);
  kept?.fill(0);
  forget(medium, file, screen);
}
