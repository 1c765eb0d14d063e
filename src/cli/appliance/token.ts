// The token and its PIN: made once, with the PIN of the config medium or a new one that is shown once.

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { hasToken, initToken } from "../../../drivers/pkcs11/provision.ts";
import type { NodeConfig } from "../../config.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { moveWhole, readText, syncPath, writeWhole } from "./files.ts";
import { forget, type Medium } from "./medium.ts";
import { type AppliancePlaces, ON_MEDIUM } from "./places.ts";
import { newPin, type Screen } from "./screen.ts";

const PIN_FORM = /^[\x21-\x7e]{6,64}$/;

/**
 * Makes the node's own SoftHSM token unless it is there; for any other token takes the PIN only.
 * @throws CommandError, Fault HSM_UNAVAILABLE
 */
export function takeToken(
  config: NodeConfig,
  places: AppliancePlaces,
  medium: Medium | undefined,
  screen: Screen,
): true {
  const { token } = config;
  const given = pinOn(medium);
  const own = token.softhsmConf === places.softhsmConf;
  if (own) rmSync(freshOf(places), { recursive: true, force: true });
  if (!own || hasToken({ ...token, dir: places.token })) takePin(token.pinFile, given, !own, screen);
  else makeToken(config, places, given, screen);
  if (medium !== undefined && given !== undefined) forget(medium, ON_MEDIUM.pin, screen);
  return true;
}

function pinOn(medium: Medium | undefined): string | undefined {
  const pin = medium?.text(ON_MEDIUM.pin)?.replace(/\r?\n$/, "");
  if (pin === undefined || PIN_FORM.test(pin)) return pin;
  const rule = "one line of 6 to 64 letters, digits and signs, without spaces";
  throw new CommandError(EXIT.config, `the medium's file "${ON_MEDIUM.pin}" is no PIN: write ${rule}.`);
}

/** Of a token that is there: another PIN than the one kept is taken only if it may be that of a new device. */
function takePin(pinFile: string, given: string | undefined, replace: boolean, screen: Screen): void {
  const kept = readText(pinFile);
  if (given === undefined || given === kept) return;
  if (kept !== undefined && !replace) {
    throw new CommandError(
      EXIT.config,
      `the medium's PIN is not that of the token, which was made before; remove the medium's file "${ON_MEDIUM.pin}".`,
    );
  }
  writeWhole(pinFile, given);
  screen.say(`the token's PIN was taken from the medium${kept === undefined ? "" : " and replaces the one before"}`);
}

/** Where a token is made; what a kill left there is of no use. */
const freshOf = ({ token }: AppliancePlaces): string => `${token}.new`;

/** In a folder of its own, moved to its place when it is whole; so a kill leaves no half of a token. */
function makeToken(
  { token, node }: NodeConfig,
  places: AppliancePlaces,
  given: string | undefined,
  screen: Screen,
): void {
  if (existsSync(node.storeDir)) {
    throw new CommandError(
      EXIT.config,
      `the token "${token.label}" is gone, but the key store that it opens is there: put the token back, or remove ${node.storeDir} to begin without its keys.`,
    );
  }
  const fresh = freshOf(places);
  if (given === undefined) screen.say("making the token; its PIN is kept here, so that the node starts by itself");
  const pin = given ?? newPin();
  if (given === undefined) screen.showPin(`the token "${token.label}"`, pin);
  writeWhole(token.pinFile, pin);
  writeWhole(places.soPin, randomBytes(16).toString("hex"));
  initToken({ ...token, dir: fresh, soPinFile: places.soPin });
  syncTree(fresh);
  const tokens = join(places.token, "tokens");
  mkdirSync(tokens, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(join(fresh, "tokens"))) moveWhole(join(fresh, "tokens", name), join(tokens, name));
  rmSync(fresh, { recursive: true });
  if (!hasToken({ ...token, dir: places.token }))
    throw new Error(`the token ${token.label} is not there after it was made`);
  screen.say(`token "${token.label}" made${given === undefined ? "" : " with the PIN of the medium"}`);
}

function syncTree(path: string): void {
  if (statSync(path).isDirectory()) for (const name of readdirSync(path)) syncTree(join(path, name));
  syncPath(path);
}
