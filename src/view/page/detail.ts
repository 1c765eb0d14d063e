// One KM or link in detail: facts and tables, as the server tells them.

import type { Cell, Detail, DetailTable } from "../model.ts";
import { byId, html, setText } from "./dom.ts";

/** What was drawn last: nothing is drawn again that is as it was, so that a selection in it stays. */
let drawn = "";

/** Draws the panel of one KM or link, if anything in it differs. */
export function showDetail(detail: Detail): void {
  const text = JSON.stringify(detail);
  if (text === drawn) return;
  drawn = text;
  setText(byId("detail-title"), detail.title);
  byId("facts").replaceChildren(
    ...detail.facts.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", marks(value), value.text))),
  );
  const left = [...document.querySelectorAll("#tables .scroll")].map(({ scrollLeft }) => scrollLeft);
  byId("tables").replaceChildren(...detail.tables.map(tableOf));
  for (const [at, box] of [...document.querySelectorAll("#tables .scroll")].entries()) box.scrollLeft = left[at] ?? 0;
}

const marks = ({ mark }: Cell): Record<string, string> => (mark === undefined ? {} : { class: mark });

function tableOf({ title, columns, rows }: DetailTable): HTMLElement {
  const head = html("thead", {}, html("tr", {}, ...columns.map((name) => html("th", { scope: "col" }, name))));
  const body = html(
    "tbody",
    {},
    ...rows.map((cells) =>
      html("tr", {}, ...cells.map((cell, at) => html(at === 0 ? "th" : "td", marks(cell), cell.text))),
    ),
  );
  const none = html("tbody", {}, html("tr", {}, html("td", { colspan: columns.length, class: "none" }, "none")));
  const table = html("table", {}, html("caption", {}, title), head, rows.length === 0 ? none : body);
  return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, table);
}
