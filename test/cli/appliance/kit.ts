// An appliance for tests: its folder, a config medium, and authorities that sign its requests.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Board } from "../../../boards/board.ts";
import { host } from "../../../boards/host.ts";
import { signRequests } from "../../../src/cli/appliance/certificates/sign.ts";
import { appliancePlaces } from "../../../src/cli/appliance/places.ts";
import { type Outcome, provisionAppliance } from "../../../src/cli/appliance/provision.ts";
import { AUTHORITIES, authorityFiles } from "../../../src/cli/provision/plan.ts";
import { authoritiesIn } from "../../../src/cli/provision/provision.ts";

/** The least that a person writes; listeners take free ports of the loopback address. */
export const NODE_TOML = `[node]
id = "km-a"
[ak]
listen = "127.0.0.1:0"
[etsi014]
listen = "127.0.0.1:0"
[kx]
listen = "127.0.0.1:0"
[metrics]
listen = "127.0.0.1:0"
[[apps]]
id = "app-a1"
home = "km-a"
`;

export const OPERATORS_TOML = `[[operators]]
name = "alice"
role = "operator"
pin = "271828"
[[operators]]
name = "bob"
role = "auditor"
pin = "twenty minus one"
`;

export interface Run extends Outcome {
  readonly screen: string;
}

export interface Appliance extends Disposable {
  /** All of it is below here. */
  readonly root: string;
  readonly dir: string;
  readonly medium: string;
  readonly ca: string;
  readonly places: ReturnType<typeof appliancePlaces>;
  /** Puts a file on the medium. */
  put(name: string, content: string): void;
  /** Puts `trust/*.pem` of the authorities on the medium. */
  putTrust(): Promise<void>;
  /** Signs the requests on the medium, to the medium. */
  sign(): Promise<void>;
  provision(board?: Board): Promise<Run>;
}

export function makeAppliance(): Appliance {
  const root = mkdtempSync(join(tmpdir(), "qkm appliance "));
  const [dir, medium, ca] = [join(root, "data"), join(root, "medium"), join(root, "ca")];
  mkdirSync(medium);
  const put = (name: string, content: string) => {
    mkdirSync(dirname(join(medium, name)), { recursive: true });
    writeFileSync(join(medium, name), content);
  };
  return {
    ...{ root, dir, medium, ca, places: appliancePlaces(dir), put },
    async putTrust() {
      const authorities = authoritiesIn(ca, () => {});
      for (const name of AUTHORITIES) {
        await authorities.get(name);
        put(`trust/${name}.pem`, readFileSync(authorityFiles(ca, name).cert, "utf8"));
      }
    },
    async sign() {
      const requests = readdirSync(join(medium, "requests")).map((name) => join(medium, "requests", name));
      await signRequests(requests, { ca, out: join(medium, "certificates"), yes: true }, () => {});
    },
    async provision(board = host) {
      const lines: string[] = [];
      const outcome = await provisionAppliance(dir, board, medium, (line) => lines.push(line));
      return { ...outcome, screen: lines.join("\n") };
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** An appliance that has everything. */
export async function makeProvisioned(): Promise<Appliance> {
  const made = makeAppliance();
  await made.putTrust();
  made.put("node.toml", NODE_TOML);
  made.put("operators.toml", OPERATORS_TOML);
  await made.provision();
  await made.sign();
  await made.provision();
  return made;
}

/** Every file below a folder: path, mode, time of change (SoftHSM touches its own when it looks), content. */
export function snapshot(dir: string): readonly string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
    .map((path) => {
      const { mode, mtimeNs } = statSync(path, { bigint: true });
      const changed = path.includes("/tokens/") ? "" : mtimeNs;
      return `${path} ${mode.toString(8)} ${changed} ${readFileSync(path, "base64")}`;
    });
}

/** The PINs that a screen shows. */
export const pinsOn = (screen: string): readonly string[] =>
  [...screen.matchAll(/PIN of .* is {2}(\S+) /g)].map(([, pin = ""]) => pin);
