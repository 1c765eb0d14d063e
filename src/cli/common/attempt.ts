// The commands that are worth trying while a network runs, to be pasted into a shell.

import { relative } from "node:path";
import { networkPlaces } from "../provision/plan.ts";
import { quoted } from "./shell.ts";

/** What `qkm up` says at its end: what stays, and how to be rid of it. */
export const whatStays = (dir: string): string =>
  `ending; ${dir} stays with its certificates, tokens and stored key: the same command goes on with it, rm -r ${quoted(dir)} removes it.`;

/** `given` is the folder as it was given on the command line; undefined for the usual one. */
export function commandsToTry(dir: string, given: string | undefined): string[] {
  const network = given === undefined ? "" : ` --network ${quoted(relative("", networkPlaces(dir).network) || ".")}`;
  return [
    `npx qkm app get-key --as app-a1 --with app-b1${network}`,
    `npx qkm app get-key-by-id --as app-b1 --from app-a1 KEY-ID${network}`,
    `npx qkm status${network}`,
    `npx qkm selftest${network}`,
    `npx qkm controller --look${network}`,
  ];
}
