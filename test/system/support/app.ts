// One app of a network under test: its certificate, and clients for both doors of its KM.

import { readFileSync } from "node:fs";
import { type AkClient, type AkClientOptions, connectAk } from "../../../src/ak/client.ts";
import { appFiles, authorityFiles, networkPlaces } from "../../../src/cli/provision/plan.ts";
import type { Endpoint } from "../../../src/config.ts";
import { kmId } from "../../../src/core/ids.ts";
import { Sae, type SaeKey, type Wish } from "./sae.ts";

/** The KM of an app, as the app knows it. */
export interface Home {
  readonly id: string;
  readonly ak: Endpoint;
  /** `https://host:port` */
  readonly etsiUrl: string;
}

export class App implements Disposable {
  readonly id: string;
  readonly km: Home;
  /** PEM texts: certificate, private key, and the authority of the KMs' doors. */
  readonly tls: { readonly certificate: string; readonly key: string; readonly trust: string };
  readonly sae: Sae;

  constructor(dir: string, id: string, km: Home) {
    const places = networkPlaces(dir);
    const files = appFiles(places.apps, id);
    this.id = id;
    this.km = km;
    this.tls = {
      certificate: readFileSync(files.cert, "utf8"),
      key: readFileSync(files.key, "utf8"),
      trust: readFileSync(authorityFiles(places.authorities, "km_servers").cert, "utf8"),
    };
    const { certificate: cert, key, trust: ca } = this.tls;
    this.sae = new Sae({ url: km.etsiUrl, cert, key, ca });
  }

  /** ETSI GS QKD 014. @throws SaeRefusal, Error */
  encKeys(destination: string, wish: Wish = {}): Promise<SaeKey[]> {
    return this.sae.encKeys(destination, wish);
  }

  /** ETSI GS QKD 014. @throws SaeRefusal, Error */
  decKeys(initiator: string, ids: readonly string[]): Promise<SaeKey[]> {
    return this.sae.decKeys(initiator, ids);
  }

  /** A new connection over Ak, which the caller disposes. */
  connectAk(options: Partial<AkClientOptions> = {}): Promise<AkClient> {
    const { host, port } = this.km.ak;
    return connectAk({ ...options, host, port, tls: this.tls, km: kmId(this.km.id) });
  }

  [Symbol.dispose](): void {
    this.sae[Symbol.dispose]();
  }
}
