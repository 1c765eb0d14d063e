// What a node still needs before it can run, and the file that says that it needs nothing.

import { createPublicKey } from "node:crypto";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { ConfigError } from "../../config/read.ts";
import type { NodeConfig } from "../../config.ts";
import { CommandError } from "../common/exit.ts";
import { leafOf } from "./certificates/chain.ts";
import { identitiesOf, keyOf, type NodeIdentity } from "./certificates/identities.ts";
import { clientDoors } from "./doors.ts";
import { syncPath, writeWhole } from "./files.ts";
import { completeConfig, configIn } from "./node-config.ts";
import { operatorsIn } from "./operators.ts";
import { type AppliancePlaces, appliancePlaces } from "./places.ts";

/** One thing that is missing: what, and where it comes from. */
export interface Missing {
  readonly kind: "configuration" | "token" | "certificate" | "trust" | "operators" | "file";
  readonly sentence: string;
}

/** Looks what is missing, beside what is known to be, and makes `provisioned` or removes it. */
export function settle(dir: string, known: readonly Missing[] = []): readonly Missing[] {
  const places = appliancePlaces(dir);
  const missing = [...known, ...missingIn(places)];
  if (missing.length === 0 && !existsSync(places.provisioned)) writeWhole(places.provisioned, "");
  if (missing.length > 0 && existsSync(places.provisioned)) {
    rmSync(places.provisioned);
    syncPath(dirname(places.provisioned));
  }
  return missing;
}

/** Everything that is missing, in the order in which a person would bring it. */
export function missingIn(places: AppliancePlaces): readonly Missing[] {
  try {
    const config = configIn(places);
    if (config === undefined) return [{ kind: "configuration", sentence: "node.toml, on a config medium" }];
    const own = [
      ...missingToken(config, places),
      ...identitiesOf(config, places).flatMap((identity) => missingCertificate(identity, places)),
      ...missingTrust(config, places),
      ...(operatorsIn(places) === undefined
        ? [{ kind: "operators", sentence: "somebody who may log in" } as const]
        : []),
    ];
    if (own.length === 0) completeConfig(places.config);
    return own;
  } catch (thrown) {
    if (!(thrown instanceof ConfigError || thrown instanceof CommandError)) throw thrown;
    return thrown.message.split("\n").map((sentence) => ({ kind: "file", sentence }));
  }
}

function missingToken({ token }: NodeConfig, places: AppliancePlaces): readonly Missing[] {
  const missing = (sentence: string): Missing => ({ kind: "token", sentence });
  const tokens = join(places.token, "tokens");
  const own = token.softhsmConf === places.softhsmConf;
  if (own && (!existsSync(tokens) || readdirSync(tokens).length === 0)) {
    return [missing(`the token "${token.label}"`)];
  }
  return existsSync(token.pinFile) ? [] : [missing(`the PIN of the token "${token.label}": file "pin" on the medium`)];
}

function missingCertificate(identity: NodeIdentity, places: AppliancePlaces): readonly Missing[] {
  const { name, certificate } = identity;
  const missing = (what: string): readonly Missing[] => [
    { kind: "certificate", sentence: `certificate ${name}${what}: have the request ${name} signed and bring it` },
  ];
  const key = keyOf(identity, places);
  const leaf = leafOf(certificate);
  if (key === undefined || leaf === undefined) return missing("");
  return leaf.publicKey.equals(createPublicKey(key)) ? [] : missing(" for the key that is there");
}

function missingTrust(config: NodeConfig, places: AppliancePlaces): readonly Missing[] {
  const doors = [...clientDoors(config), config.kx];
  const files = new Set(doors.map(({ tls }) => tls.trust));
  return [...files]
    .filter((file) => leafOf(file) === undefined)
    .map((file) => ({ kind: "trust", sentence: `trust anchor ${relative(dirname(places.config), file)}` }));
}
