// What a controller shows of a round: links with their cost, and the routes of each pair of KMs.

import { percent } from "../../core/text/figures.ts";
import type { Route } from "../../core/topology/topology.ts";
import { columns, count } from "../common/columns.ts";
import { costOfLink, endsOf } from "./aim.ts";
import type { Domain } from "./domain.ts";
import type { Round } from "./round.ts";

/** A round as tables for a person. */
export function roundTables({ topology }: Domain, { polled, silent, outcomes, directories }: Round): string[] {
  const links = topology.links.map((link) => {
    const ends = endsOf(link, polled);
    const cost = costOfLink(link, ends);
    return [
      link.id,
      link.kms.join(" ══ "),
      ends.map(({ line }) => line).join("/"),
      ends.map(({ usable_blocks }) => usable_blocks).join("/"),
      percent(ends[0]?.qber ?? undefined),
      Number.isFinite(cost) ? String(cost) : "not used",
    ];
  });
  const routes = outcomes.map(({ from, to, paths, routes: found, what }) => [
    `${from} → ${to}`,
    String(paths),
    found.map(viaOf).join(" | "),
    what,
  ]);
  const told = directories.map(({ km, apps, what }) => [km, count(apps), what]);
  return [
    ...columns([["link", "between", "line", "usable", "QBER", "cost"], ...links]),
    "",
    ...columns([["route", "paths", "over", "what was done"], ...routes]),
    ...(told.length === 0 ? [] : ["", ...columns([["directory", "applications", "what was done"], ...told])]),
    ...[...silent].map(([id, why]) => `${id} does not answer: ${why}`),
  ];
}

const viaOf = (route: Route): string => (route.length === 0 ? "direct" : route.join(" "));
