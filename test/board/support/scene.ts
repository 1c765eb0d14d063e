// Two appliances in QEMU, joined by a wire and two QKD links, with an application of each on the host.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BOARDS } from "../../../boards/index.ts";
import { App } from "../../system/support/app.ts";
import { reservePorts } from "../../system/support/ports.ts";
import { Appliance } from "./appliance.ts";
import { type TestImage, testImage, type VirtualBoard } from "./disk.ts";
import { Modules } from "./modules.ts";
import { KMS, SERIAL, Site } from "./site.ts";

export interface Scene extends AsyncDisposable {
  readonly dir: string;
  /** km-a's. */
  readonly image: TestImage;
  readonly site: Site;
  readonly a: Appliance;
  readonly b: Appliance;
  /** app-a at km-a, app-b at km-b. */
  readonly apps: readonly [App, App];
  /** The Unix socket of the module that belongs into an appliance. */
  readonly moduleOf: (appliance: Appliance) => string;
  /** Lets the module of an appliance let go of its line. */
  readonly letGo: (appliance: Appliance) => void;
  /** Folder of what is on the config medium of an appliance when it is switched on. */
  readonly mediumOf: (appliance: Appliance) => string;
  /** Both are provisioned: their media hold nothing any more but what their HID modules need. */
  readonly clearMedia: () => void;
}

/** All but the power, km-a and km-b on these boards. Dispose ends every process and removes the folder. */
export async function setScene(
  boards: readonly [VirtualBoard, VirtualBoard] = ["virt-x86_64", "virt-x86_64"],
): Promise<Scene> {
  await using parts = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), "qkm-board-"));
  parts.defer(() => rmSync(dir, { recursive: true, force: true }));
  const image = await testImage(dir, boards[0]);
  const images = [image, boards[1] === boards[0] ? image : await testImage(dir, boards[1])];
  const siteDir = join(dir, "site");
  mkdirSync(siteDir);
  const site = await Site.make(siteDir);
  const { pairingKeyFile } = site;
  const pair = { ...SERIAL, link: SERIAL.id, dir, seed: site.seed(SERIAL.id), pairingKeyFile };
  const modules = parts.use(await Modules.start(pair));
  const { ports } = parts.use(await reservePorts(KMS.length));
  const [a, b] = KMS.map((km, index) => {
    const [own, other] = [ports[index], ports[1 - index]];
    const [socket, installed] = [modules.sockets[index], images[index]];
    if (own === undefined || other === undefined || socket === undefined || installed === undefined)
      throw new Error("there are two KMs");
    const medium = join(dir, `${km.id}-medium`);
    mkdirSync(medium);
    site.writeMedium(medium, km);
    return new Appliance({
      ...{ id: km.id, dir: join(dir, km.id), disk: installed.disk, medium, number: index + 1 },
      architecture: BOARDS[installed.board].architecture,
      ...{ isolated: true, processors: 1, wire: { from: own.kx, to: other.kx } },
      usbSerial: [{ id: SERIAL.id, socket }],
      forward: [
        { host: own.ak, guest: 4161 },
        { host: own.etsi014, guest: 4014 },
      ],
    });
  });
  const apps = KMS.map(({ id, app }, index) => {
    const own = ports[index];
    const etsiUrl = `https://127.0.0.1:${own?.etsi014}`;
    return parts.use(new App(siteDir, app, { id, etsiUrl, ak: { host: "127.0.0.1", port: own?.ak ?? 0 } }));
  });
  const [appA, appB] = apps;
  if (a === undefined || b === undefined || appA === undefined || appB === undefined) throw new Error("there are two");
  for (const one of [a, b]) parts.use(one);
  const all = parts.move();
  return {
    ...{ dir, image, site, a, b, apps: [appA, appB] },
    moduleOf: (appliance) => modules.sockets[appliance === a ? 0 : 1],
    letGo: (appliance) => modules.letGo(modules.sockets[appliance === a ? 0 : 1]),
    mediumOf: ({ id }) => join(dir, `${id}-medium`),
    clearMedia: () => {
      for (const km of KMS) site.writeLaterMedium(join(dir, `${km.id}-medium`), km);
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}
