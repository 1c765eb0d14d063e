// One run of provisioning: what the config medium brings is taken, what the node makes itself is made, the rest is said.

import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Board } from "../../../boards/board.ts";
import type { NodeConfig } from "../../config.ts";
import { identitiesOf, takeHosts, takeIdentities } from "./certificates/identities.ts";
import { takePairingKeys, takeTrust } from "./certificates/trust.ts";
import { takeCertificates } from "./install.ts";
import { type Medium, openMedium } from "./medium.ts";
import { configIn, takeConfig } from "./node-config.ts";
import { needOperator, takeOperators } from "./operators.ts";
import { type AppliancePlaces, appliancePlaces } from "./places.ts";
import { Screen, type WriteLine } from "./screen.ts";
import { type Missing, settle } from "./state.ts";
import { takeToken } from "./token.ts";

/** What one run of provisioning came to. */
export interface Outcome {
  /** What the node needs before it can run. */
  readonly missing: readonly Missing[];
  /** Things of the medium or the node that were refused; each was said. */
  readonly refused: number;
}

/**
 * Provisions the node in `dir` as far as it can, and says each thing it does. Run again it does nothing twice; killed
 * anywhere, the next run completes it. `mediumDir` is where the config medium is mounted, if one is plugged in.
 * @throws Error of node:fs when `dir` cannot be written
 */
export async function provisionAppliance(
  dir: string,
  board: Board,
  mediumDir: string | undefined,
  write: WriteLine,
): Promise<Outcome> {
  const home = resolve(dir);
  const places = appliancePlaces(home);
  const screen = new Screen(write);
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const medium = mediumDir === undefined ? undefined : await screen.attempt(() => openMedium(resolve(mediumDir)));
  if (medium !== undefined) await takeMedium(places, board, medium, screen);
  const config = await screen.attempt(() => configIn(places));
  const known = config === undefined ? [] : await equip(config, places, medium, screen);
  await screen.attempt(() => needOperator(places, screen));
  const missing = settle(home, known);
  conclude(config, missing, screen);
  return { missing, refused: screen.refused };
}

/** What the medium has for any node. */
async function takeMedium(places: AppliancePlaces, board: Board, medium: Medium, screen: Screen): Promise<void> {
  screen.say(`config medium at ${medium.dir}`);
  await takeTrust(places, medium, screen);
  await takePairingKeys(places, medium, screen);
  await screen.attempt(() => takeHosts(places, medium, screen));
  await screen.attempt(() => takeConfig(places, board, medium, screen));
  await screen.attempt(() => takeOperators(places, medium, screen));
}

/** Token, keys, requests and certificates of a node that has a configuration. */
async function equip(
  config: NodeConfig,
  places: AppliancePlaces,
  medium: Medium | undefined,
  screen: Screen,
): Promise<readonly Missing[]> {
  const hasToken = await screen.attempt(() => takeToken(config, places, medium, screen));
  const identities = identitiesOf(config, places);
  if (medium !== undefined) await takeCertificates(identities, places, medium, screen);
  await takeIdentities(identities, places, medium, screen);
  return hasToken ? [] : [{ kind: "token", sentence: `the token "${config.token.label}"` }];
}

function conclude(config: NodeConfig | undefined, missing: readonly Missing[], screen: Screen): void {
  if (missing.length === 0) {
    screen.line(`KM ${config?.node.id} is provisioned.`);
    return;
  }
  screen.line("Before this node can run it needs:");
  for (const sentence of new Set(missing.map((one) => one.sentence))) screen.line(`  - ${sentence}`);
  screen.line("Bring it on a FAT volume labelled QKM-CONFIG (docs/provisioning.md);");
  screen.line("certificates may also come in on the console: certificate install");
}
