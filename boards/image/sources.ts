// The Debian packages' sources of this machine: the same ones make the image. Those of others are left out.

import { ImageError, run } from "./tools.ts";

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Where apt gets Debian's packages for the image. */
export interface DebianSources {
  /** Lines for apt's sources.list. */
  readonly list: string;
  /** Debian's release, such as bookworm. */
  readonly release: string;
}

/** @throws ImageError when this machine has none */
export function debianSources(): DebianSources {
  const format = "$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT)";
  const targets = run("apt-get", ["indextargets", "--format", format, "Created-By: Packages", "Origin: Debian"]);
  const rows = [...new Set(targets.split("\n").filter((line) => line !== ""))].map((line) => line.split(" "));
  const release = rows
    .map(([, suite, codename]) => ({ suite, codename }))
    .find(({ suite, codename }) => suite === codename);
  if (release?.codename === undefined) {
    throw new ImageError("apt knows no sources of Debian here; run apt-get update on a Debian machine and try again");
  }
  const lines = rows.map(([uri, suite, , component]) => `deb [signed-by=${KEYRING}] ${uri} ${suite} ${component}\n`);
  return { list: lines.join(""), release: release.codename };
}
