// What two appliances and their applications need from outside: authorities, certificates, and the files of a config medium.

import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { signRequests } from "../../../src/cli/appliance/certificates/sign.ts";
import { appFiles, authorityFiles, networkPlaces } from "../../../src/cli/provision/plan.ts";
import { authoritiesIn, provisionApp } from "../../../src/cli/provision/provision.ts";

export const KMS = [
  { id: "km-a", app: "app-a", peer: "km-b", role: "tx", address: "10.7.1.1" },
  { id: "km-b", app: "app-b", peer: "km-a", role: "rx", address: "10.7.1.2" },
] as const;
export type KmPlan = (typeof KMS)[number];

/** The serial link, whose modules are outside the enclosure, and that over USB HID, whose modules are within. */
export const SERIAL = { id: "ab", rateBitsPerS: 60_000, bufferBlocks: 16 } as const;
export const HID = { id: "hid", rateBitsPerS: 12_000, run: 1, blockBytes: 4_096 } as const;
export const OPERATOR = { name: "olga", pin: "271828" } as const;
export const AUDITOR = { name: "axel", pin: "314159" } as const;

export class Site {
  readonly dir: string;
  readonly pairingKeyFile: string;
  readonly #seed: string;
  /** When the HID modules began, in s since 1970. */
  readonly #since = Math.floor(Date.now() / 1_000);

  private constructor(dir: string, seed: string) {
    this.dir = dir;
    this.#seed = seed;
    this.pairingKeyFile = join(dir, "ab.key");
  }

  /** Makes authorities and the applications' certificates in `dir`. */
  static async make(dir: string): Promise<Site> {
    const site = new Site(dir, randomBytes(16).toString("hex"));
    const places = networkPlaces(dir);
    const authorities = authoritiesIn(places.authorities, () => {});
    for (const name of ["km_servers", "apps", "kms"] as const) await authorities.get(name);
    for (const { app } of KMS) await provisionApp(authorities, app, appFiles(places.apps, app), () => {});
    writeFileSync(site.pairingKeyFile, randomBytes(32), { mode: 0o600 });
    return site;
  }

  /** What the modules of a link make the same key from. */
  seed(link: string): string {
    return `${this.#seed}-${link}`;
  }

  /** Writes the files of one appliance's config medium to `folder`. */
  writeMedium(folder: string, km: KmPlan): void {
    const { authorities } = networkPlaces(this.dir);
    const files: Record<string, string | Buffer> = {
      "node.toml": nodeToml(km),
      hosts: "127.0.0.1\n",
      "operators.toml": operatorsToml(),
      "pairing/ab.key": readFileSync(this.pairingKeyFile),
      "network/10-wire.network": wireNetwork(km),
      "hid-module.env": this.#hidEnvironment(km),
    };
    for (const name of ["km_servers", "apps", "kms"] as const) {
      files[`trust/${name}.pem`] = readFileSync(authorityFiles(authorities, name).cert);
    }
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), content);
    }
  }

  /** Leaves on it what the simulated HID module of a provisioned appliance needs at each start. */
  writeLaterMedium(folder: string, km: KmPlan): void {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    writeFileSync(join(folder, "hid-module.env"), this.#hidEnvironment(km));
  }

  #hidEnvironment(km: KmPlan): string {
    return `HID_MODULE_ARGS="${this.#hidModule(km).join(" ")}"\n`;
  }

  /** Words of systemd's EnvironmentFile, none with a space in it. */
  #hidModule({ role }: KmPlan): string[] {
    const numbers = ["--run", String(HID.run), "--since-s", String(this.#since)];
    const size = ["--block-bytes", String(HID.blockBytes), "--rate-bits-per-s", String(HID.rateBitsPerS)];
    return [...size, "--link", HID.id, "--role", role, "--seed", this.seed(HID.id), ...numbers];
  }

  /** Signs a certificate request, both PEM. */
  async sign(request: string): Promise<string> {
    const work = mkdtempSync(join(this.dir, "sign-"));
    try {
      const [file, out] = [join(work, "request.csr"), join(work, "out")];
      mkdirSync(out);
      writeFileSync(file, request);
      const lines: string[] = [];
      const options = { ca: networkPlaces(this.dir).authorities, out, yes: true } as const;
      await signRequests([file], options, (line) => lines.push(line));
      const [, signed] = /signed until \S+: (.*)$/.exec(lines.at(-1) ?? "") ?? [];
      return readFileSync(signed ?? "", "utf8");
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
}

const nodeToml = ({ id, peer }: KmPlan): string => `[node]
id = "${id}"

[[links]]
id = "${SERIAL.id}"
peer = "${peer}"
driver = "serial"
port = "usb:0403:6001:${SERIAL.id}"
pairing_key_file = "pairing/ab.key"

[[links]]
id = "${HID.id}"
peer = "${peer}"
driver = "hid"
port = "usb:1209:7a1b:0001"
block_bytes = ${HID.blockBytes}

[[peers]]
id = "${peer}"
address = "${KMS.find((km) => km.id === peer)?.address}:4163"

${KMS.map(({ id: home, app }) => `[[apps]]\nid = "${app}"\nhome = "${home}"\n`).join("\n")}`;

const operatorsToml = (): string =>
  [
    { ...OPERATOR, role: "operator" },
    { ...AUDITOR, role: "auditor" },
  ]
    .map(({ name, role, pin }) => `[[operators]]\nname = "${name}"\nrole = "${role}"\npin = "${pin}"\n`)
    .join("\n");

const wireNetwork = ({ address }: KmPlan): string => `[Match]
MACAddress=52:54:00:71:0${address.slice(-1)}:01

[Network]
Address=${address}/24
LinkLocalAddressing=no
`;
