// What feeds one link of the reference network: simulated modules, or a vendor's simulated boxes (`qkm up --sources`).

import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { loadConfig } from "../../config/read.ts";
import type { LinkConfig } from "../../config.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { authority, issue } from "./certificates.ts";
import { freePort } from "./more-doors.ts";
import { endpointText, type LinkFile, linkLines } from "./node-toml.ts";
import { networkPlaces, nodePlaces, REFERENCE, type RelayHop } from "./plan.ts";
import type { Progress } from "./provision.ts";

/** Simulated modules, or boxes by their driver. */
export const SOURCES = { serial: undefined, etsi014: "https", etsi004: "tls" } as const satisfies Readonly<
  Record<string, string | undefined>
>;
/** What may feed a link of the reference network in place of a simulated module. */
export type Source = keyof typeof SOURCES;
/** The names that `--sources` takes. */
export const SOURCE_NAMES = Object.keys(SOURCES) as readonly Source[];

/** The link that is fed so: ab, between km-a and km-b. */
const [FED] = REFERENCE.links;
const HOST = "127.0.0.1";
/** Of a box, counted from the one before that of Ak. */
const PORT_OFFSET = 20;

/** Who a KM is to the boxes: the CN of its certificate, and what a key stream calls it. */
const nameAt = (source: Source, km: string): string => (source === "etsi014" ? km : `qkd://${km}@boxes`);

/** Certificates of the boxes of a link, and of the KMs that come to them, by an authority of the vendor's. */
async function provisionBoxes(dir: string, link: string, kms: readonly string[], say: Progress): Promise<void> {
  const at = (name: string) => ({ cert: join(dir, `${name}.pem`), key: join(dir, `${name}.key`) });
  const vendor = await authority(at("ca"), `vendor of the boxes of link ${link}`);
  const made = [
    ...["box-a", "box-b"].map((box) =>
      issue(vendor, at(box), { uri: `urn:vendor:box:${box}`, usages: ["server"], hosts: [HOST, "localhost"] }),
    ),
    ...kms.map((km) => issue(vendor, at(km), { uri: `urn:vendor:sae:${km}`, usages: ["client"] })),
  ];
  copyFileSync(at("ca").cert, join(dir, "trust.pem"));
  if ((await Promise.all(made)).some(Boolean)) say(`certificates of the boxes of link ${link}: ${dir}`);
}

/**
 * Writes what feeds the link into the configurations of its KMs, where it is something else now. Key that is stored stays.
 * @throws CommandError when a configuration does not have the link as it was provisioned
 */
export async function provisionSource(
  source: Source,
  { dir, stations }: { readonly dir: string; readonly stations: readonly RelayHop[] },
  say: Progress,
): Promise<void> {
  if (FED === undefined) return;
  const { id, kms } = FED;
  const places = networkPlaces(dir);
  const boxes = places.boxes(id);
  if (source !== "serial") await provisionBoxes(boxes, id, kms, say);
  for (const km of kms) {
    const files = stations.filter((one) => one.km === km).map(({ name }) => nodePlaces(places.node(name)).config);
    // One box at each end, whatever machines come to it.
    let port: string | undefined;
    for (const file of files) {
      const config = loadConfig(file);
      const link = config.links.find((one) => one.id === id);
      if (link === undefined || link.driver === source) continue;
      port ??= await portOf(source, link, config.ak.listen.port - 1 + PORT_OFFSET);
      const peer = kms[km === kms[0] ? 1 : 0];
      const written: LinkFile = {
        ...{ id, peer, port: port ?? places.module(id, km), pairingKey: places.pairingKey(id) },
        ...(source !== "serial" && {
          box: {
            ...{ driver: source, local: nameAt(source, km), remote: nameAt(source, peer) },
            ...{
              certificate: join(boxes, `${km}.pem`),
              key: join(boxes, `${km}.key`),
              trust: join(boxes, "trust.pem"),
            },
          },
        }),
      };
      rewrite(file, written);
      say(`link ${id} is fed by ${source === "serial" ? "modules" : "a vendor's boxes"} (${source}): ${file}`);
    }
  }
}

/** URL of a box; undefined for a module. */
async function portOf(source: Source, link: LinkConfig, wanted: number): Promise<string | undefined> {
  const scheme = SOURCES[source];
  if (scheme === undefined) return undefined;
  const place =
    link.options.box === undefined ? endpointText(HOST, await freePort(wanted, HOST)) : link.port.split("://")[1];
  return `${scheme}://${place}`;
}

/** From its head to the next table that is no part of it. */
const LINK = /^\[\[links\]\]\n(?:(?!\[).*\n|\[links\..*\n)*/gm;

/** Puts a link in the place of the one with its ID. @throws CommandError */
function rewrite(file: string, link: LinkFile): void {
  const text = readFileSync(file, "utf8");
  const [before, ...others] = [...text.matchAll(LINK)].filter(([table]) => table.includes(`\nid = "${link.id}"\n`));
  if (before === undefined || others.length > 0) {
    throw new CommandError(EXIT.config, `${file} has no [[links]] with id = "${link.id}" as it was provisioned.`);
  }
  const lines = linkLines(link, (path) => JSON.stringify(relative(join(file, ".."), path)));
  const [found] = before;
  const after = text.slice(before.index + found.length);
  writeFileSync(file, `${text.slice(0, before.index)}${lines.join("\n")}\n${after === "" ? "" : "\n"}${after}`);
}
