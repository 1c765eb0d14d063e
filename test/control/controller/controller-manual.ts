// Makes the tables of docs/controller.md; `npx vitest run test/control/controller/controller-manual.test.ts -u` writes them.

import { RESOURCES } from "../../../src/control/controller/resources.ts";
import { CLUSTER, DIRECTORY_ENTRY, OTHER_MEMBER, ROUTE } from "../../../src/control/controller/tables.ts";

type Table = Readonly<Record<string, { readonly json: string; readonly meaning: string }>>;

const rows = (table: Table): string =>
  Object.entries(table)
    .map(([name, { json, meaning }]) => `| \`${name}\` | ${json} | ${meaning} |`)
    .join("\n");

const section = (heading: string, sentence: string, table: Table): string =>
  `### ${heading}\n\n${sentence}\n\n| member | type | |\n| --- | --- | --- |\n${rows(table)}`;

const BY_MARKER: Readonly<Record<string, () => string>> = {
  resources: () =>
    [
      "| resource | methods | |\n| --- | --- | --- |",
      ...Object.values(RESOURCES).map(
        ({ path, methods, meaning }) => `| \`${path}\` | ${methods.join(", ")} | ${meaning} |`,
      ),
    ].join("\n"),
  tables: () =>
    [
      ...Object.values(RESOURCES).map(({ path, answer, table }) =>
        section(path, answer === "one object" ? "One object:" : `An array ${answer} of objects:`, table),
      ),
      section("a route", "In `routes`:", ROUTE),
      section("an entry", "In `entries` of `directory`:", DIRECTORY_ENTRY),
      section("a cluster", "In `cluster` of `node`:", CLUSTER),
      section("another member", "In `others` of a cluster:", OTHER_MEMBER),
    ].join("\n\n"),
};

/** The document with what is between its markers made anew. @throws Error when a marker misses */
export function withControllerTables(document: string): string {
  return Object.entries(BY_MARKER).reduce((text, [name, make]) => {
    const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
    const [from, to] = [text.indexOf(open), text.indexOf(close)];
    if (from < 0 || to < from) throw new Error(`the markers of ${name} are missing`);
    return `${text.slice(0, from)}${open}\n\n${make()}\n\n${text.slice(to)}`;
  }, document);
}
